"""Files of public checkpoints: recognised by their content, unwrapped, and read without running code from them."""

import json
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssm_hdl.errors import SsmHdlError, UsageError, brief, listing
from ssm_hdl.sw.checkpoint import read_safetensors
from ssm_hdl.sw.data import arrays as npz

WRAPPERS = ("module", "_orig_mod", "model", "net", "ema", "ema_model", "state_dict", "model_state_dict")
"""Prefixes that training code puts before the names of parameters, and keys under which it saves them."""

INSIDE = r"_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module"
"""Wrappers of torch and Lightning around any module."""

OPTIMIZER = r"[./]?opt_state[./]"
"""In the name of an array of an optimizer, in the flattened state of a training by flax."""

DEPTH = 50
"""Most keys that lead to a state dict; deeper ones are not searched."""

SIGNS = {b"version https://git-lfs": "a pointer of Git LFS; fetch the file itself with git lfs pull"}
SIGNS |= {b"/annex/objects": "a pointer of git-annex; fetch the file itself with git annex get"}
SIGNS |= {
    b"\x89HDF\r\n": "HDF5; save the arrays with numpy.savez",
    b"\x93NUMPY": "a single array; save all by name with numpy.savez",
}
SIGNS |= {
    b"\x80\x03": "a pickle, which could run code; save the arrays with numpy.savez",
    b"\x80\x04": "a pickle, which could run code; save the arrays with numpy.savez",
    b"\x80\x05": "a pickle, which could run code; save the arrays with numpy.savez",
    b"\x1f\x8b": "compressed with gzip; unpack it",
    b"<!DOCTYPE": "a web page; download the file itself",
    b"<html": "a web page",
}
"""First bytes of files that hold no arrays by name, and what they are."""


class Inert:
    """What becomes of NumPy's scalars in a torch file: nothing."""

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


class InertDict:
    """What any other class or function in a torch file that is not torch's becomes: a plain dict. Nothing of it is run."""

    def __new__(cls, *arguments: object) -> Any:
        """The one kind of dict that torch fills and gives attributes."""
        return OrderedDict[Any, Any]()


def read(path: Path, key: str | None, renamed: Mapping[str, str]) -> dict[str, Tensor]:
    """The arrays of a safetensors, .npz or torch file by their names, without the prefixes of wrappers.

    Args:
        path: of the file, or of the index of several safetensors files.
        key: of the state dict, if a torch file holds several.
        renamed: new names by old ones, of arrays or of dotted parts of names; arrays of an empty new name are left out.

    Raises:
        SsmHdlError: another kind of file, other contents than arrays, or two arrays of one name.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except IsADirectoryError as error:
        raise UsageError(f"{path} is a folder; name the file in it, or the index (.index.json) of its files") from error
    except OSError as error:
        raise SsmHdlError(f"cannot read {path}: {error.strerror}") from error
    for sign, meaning in SIGNS.items():
        if start.lstrip().lower().startswith(sign.lower()):
            raise SsmHdlError(f"cannot read {path}: it is {meaning}")
    if start[6:9] == b"\0\0{":  # 8 bytes of length, then a JSON header
        found = {"": read_safetensors(path)[0]}
    elif re.match(rb"(?:[\x81-\x8f]|\xde..)[\xa1-\xbf\xd9]", start, re.DOTALL):  # a map whose first key is text
        raise SsmHdlError(f"cannot read {path}: it is msgpack, as of flax; save the flat tree with numpy.savez")
    elif start.lstrip()[:1] == b"{":
        found = {"": _read_index(path)}
    elif _is_npz(path):
        found = {"": _read_npz(path)}
    else:
        found = _read_torch(path)
    tensors = _choose(path, found, key)
    for name, tensor in tensors.items():
        _check(path, name, tensor)
    return _rename(path, _unnormed(tensors), renamed)


def _unnormed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights g v / |v| of PyTorch's weight_norm, whose older version has names of its own, in place of g and v."""
    result = dict(tensors)
    for gain in tensors:
        if match := re.fullmatch(r"(.*)parametrizations\.(\w+)\.original0", gain):
            name, direction = match[1] + match[2], gain[:-1] + "1"
        elif match := re.fullmatch(r"(.*)_g", gain):
            name, direction = match[1], match[1] + "_v"
        if match and direction in tensors and name not in tensors:
            g, v = result.pop(gain).double(), result.pop(direction).double()
            normed = [dim for dim in range(v.ndim) if g.ndim != v.ndim or g.shape[dim] == 1]
            result[name] = v * (g / torch.linalg.vector_norm(v, dim=normed, keepdim=True))
    return result


def _read_index(path: Path) -> dict[str, Tensor]:
    """The arrays of all safetensors files that an index of Hugging Face names, which are beside it."""
    try:
        files = {str(name) for name in json.loads(path.read_bytes())["weight_map"].values()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SsmHdlError(f"cannot read {path}: it is JSON without a weight_map; name the file of the weights") from error
    if outside := sorted(name for name in files if Path(name).name != name):
        raise SsmHdlError(f"cannot read {path}: its file {brief(outside[0])} is in another folder; put it beside the index")
    tensors: dict[str, Tensor] = {}
    for name in sorted(files):
        part = read_safetensors(path.with_name(name))[0]
        if twice := sorted(tensors.keys() & part.keys()):
            raise SsmHdlError(f"cannot read {path}: {brief(twice[0])} is in several of its files; keep one")
        tensors |= part
    return tensors


def _check(path: Path, name: str, tensor: Tensor) -> None:
    """Refuse a tensor whose numbers are not all in the file."""
    name = brief(name)
    if tensor.is_nested:
        raise SsmHdlError(f"{path}: {name} is a nested tensor; save dense tensors of floats")
    kind = "on the meta device, without its numbers" if tensor.is_meta else f"{tensor.layout} and not dense".replace("torch.", "")
    if tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized:
        raise SsmHdlError(f"{path}: {name} is {kind if not tensor.is_quantized else 'quantized'}; save dense tensors of floats")
    held = tensor.untyped_storage().nbytes()
    if tensor.numel() * tensor.element_size() > held:
        raise SsmHdlError(f"{path}: {name} of shape {tuple(tensor.shape)} has only {held:,} bytes; save it with .contiguous()")


def _rename(path: Path, tensors: Mapping[str, Tensor], renamed: Mapping[str, str]) -> dict[str, Tensor]:
    """Take off the prefixes of wrappers, then apply ``renamed``."""
    plain, used = _unwrap(tensors), set[str]()
    result: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    # A name that begins with the old one has priority: `norm=norm_f` is for the outer norm, where there is one.
    anchors = {old: "" if any(re.match(_part(old), name) for name in plain.values()) else r".*(?<![^./])" for old in renamed}
    for old, name in plain.items():
        if dropped := [part for part, new in renamed.items() if not new and any(map(re.compile(_part(part)).match, (old, name)))]:
            used.update(dropped)
            continue
        for before, after in renamed.items():
            if after and re.match(anchors[before] + _part(before), name):
                name = re.sub(rf"(?<![^./]){_part(before)}", after.replace("\\", r"\\"), name, count=0 if anchors[before] else 1)
                used.add(before)
        if name in result:
            both = f"{brief(origin[name])} and {brief(old)}"
            raise SsmHdlError(f"{path} has both {both}, which name the same array; leave one out, with --map PREFIX=")
        result[name], origin[name] = tensors[old], old
    if left := sorted(renamed.keys() - used):
        raise UsageError(f"--map {brief(left[0])}: {path} has no such name; it has {listing(sorted(result))}")
    return result


def _part(name: str) -> str:
    """The pattern of a name, or of its first parts; a dot is a slash, as in the names of messages."""
    return "[./]".join(map(re.escape, re.split("[./]", name))) + "(?![^./])"


def _unwrap(names: Iterable[str]) -> dict[str, str]:
    """Names without the prefixes of wrappers, by the names of the file; arrays of optimizers are left out."""
    plain = {}
    for old in names:
        name = re.sub(rf"(^|[./])(?:(?:{INSIDE})[./])+", r"\1", old)
        while (head := re.match(r"([^./]*)[./]", name)) and head[1] in WRAPPERS:
            name = name[head.end() :]
        if not re.search(OPTIMIZER, f"/{name}"):
            plain[old] = name
    # A prefix of all names is a wrapper too, but not a list of layers.
    while len(heads := {re.split(r"[./]", name)[0] for name in plain.values()}) == 1:
        rest = {old: name[len(min(heads)) + 1 :] for old, name in plain.items()}
        if not all(rest.values()) or all(re.match(r"\d", name) for name in rest.values()):
            break
        plain = rest
    return plain


def _is_npz(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as file:
            return not any(name.endswith("data.pkl") for name in file.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return path.suffix == ".npz"


def _read_npz(path: Path) -> dict[str, Tensor]:
    """Read the arrays of a file by ``numpy.savez``."""
    arrays = {name: array for name, array in npz.read(path).items() if array.dtype.kind not in "USMm"}
    try:
        return {name: torch.from_numpy(np.asarray(array, array.dtype.newbyteorder("="))) for name, array in arrays.items()}
    except (TypeError, ValueError) as error:  # of more than 64 bits, or bfloat16, which NumPy writes as bytes without a type
        raise SsmHdlError(f"{path} holds numbers that torch does not: {brief(error, 120)}; save floats of 32 bits") from error


def _choose(path: Path, found: Mapping[str, dict[str, Tensor]], key: str | None) -> dict[str, Tensor]:
    """The state dict under ``key``, or the only one."""
    names = listing([name for name in found if name]) if any(found) else ""
    if key is not None and key not in found:
        known = f"there are {names}" if names else "its arrays are under no key, leave --key out"
        raise UsageError(f"--key {key}: {path} has no such key; {known}")
    if key is None and len(found) > 1:
        raise UsageError(f"{path} holds several state dicts; give --key with one of {names}")
    return found[key] if key is not None else next(iter(found.values()))


def _read_torch(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read the state dicts of a file by ``torch.save``, by their keys with dots."""
    try:
        unknown = torch.serialization.get_unsafe_globals_in_checkpoint(str(path)) if zipfile.is_zipfile(path) else []
        inert: list[Any] = [(Inert if name.startswith("numpy.") else InertDict, name) for name in unknown]
        with torch.serialization.safe_globals(inert):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in any of torch.load's layers
        reason = re.search(r"(?:GLOBAL|global|class) ([\w.]+)", str(error))
        what = f"it holds {reason[1]}, which is more than tensors" if reason else "it is cut off, damaged or of another kind"
        raise SsmHdlError(f"cannot read {path} as safetensors, .npz or a torch state dict of tensors alone: {what}") from error
    # Names without dots may be those of an optimizer; a small model can have no others.
    ways = ({".".join(words): tensors for words, tensors in _state_dicts(content, (), set(), sign)} for sign in (r"[./]", ""))
    found = next(filter(None, ways), None)
    if not found:
        raise SsmHdlError(f"{path} holds no state dict of tensors; save model.state_dict()")
    return found


def _state_dicts(
    content: object, words: Sequence[str], seen: set[int], sign: str
) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """All dicts of tensors in nested dicts, with the keys that lead there, if a name has the sign; optimizers are left out."""
    if not isinstance(content, dict) or len(words) > DEPTH or id(content) in seen:
        return
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if any(re.search(sign, name) for name in tensors):
        yield tuple(words), tensors
        return
    seen.add(id(content))  # a dict may hold itself
    for name, value in content.items():
        if isinstance(name, str) and "optim" not in name:
            yield from _state_dicts(value, (*words, name), seen, sign)
