"""Files of public checkpoints: recognised by their content, unwrapped, and read without running code from them."""

import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssm_hdl.errors import SsmHdlError, UsageError, brief, listing
from ssm_hdl.sw.checkpoint import read_safetensors
from ssm_hdl.sw.data import arrays as npz

WRAPPERS = ("module", "_orig_mod", "model", "net", "ema", "ema_model", "state_dict", "model_state_dict")
"""Prefixes that training code puts before the names of parameters, and keys under which it saves them."""

DEPTH = 50
"""Most keys that lead to a state dict; deeper ones are not searched."""

SIGNS = {b"version https://git-lfs": "a pointer of Git LFS; fetch the file itself with git lfs pull"}
SIGNS |= {b"/annex/objects": "a pointer of git-annex; fetch the file itself with git annex get"}
SIGNS |= {
    b"\x89HDF\r\n": "HDF5; save the arrays with numpy.savez",
    b"\x93NUMPY": "a single array; save all by name with numpy.savez",
}
SIGNS |= {
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
        path: of the file.
        key: of the state dict, if a torch file holds several.
        renamed: new names by old ones, of arrays or of dotted parts of names.

    Raises:
        SsmHdlError: another kind of file, other contents than arrays, or two arrays of one name.
    """
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        raise SsmHdlError(f"cannot read {path}: {error.strerror}") from error
    for sign, meaning in SIGNS.items():
        if start.lstrip().lower().startswith(sign.lower()):
            raise SsmHdlError(f"cannot read {path}: it is {meaning}")
    if start[8:9] == b"{":  # 8 bytes of length, then a JSON header
        found = {"": read_safetensors(path)[0]}
    elif _is_npz(path):
        found = {"": _read_npz(path)}
    else:
        found = _read_torch(path)
    tensors = _choose(path, found, key)
    for name, tensor in tensors.items():
        _check(path, name, tensor)
    return _rename(path, tensors, renamed)


def _check(path: Path, name: str, tensor: Tensor) -> None:
    """Refuse a tensor whose numbers are not all in the file."""
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
    result: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    used = set[str]()
    for old, tensor in tensors.items():
        name = re.sub(r"(^|[./])_orig_mod[./]", r"\1", old)
        while (head := re.match(r"([^./]*)[./]", name)) and head[1] in WRAPPERS:
            name = name[head.end() :]
        for before, after in renamed.items():
            changed = re.sub(rf"(?<![^./]){re.escape(before)}(?![^./])", after.replace("\\", r"\\"), name)
            if changed != name:
                name = changed
                used.add(before)
        if name in result:
            raise SsmHdlError(f"{path} has both {origin[name]} and {old}, which name the same array; keep one of them")
        result[name], origin[name] = tensor, old
    if left := sorted(renamed.keys() - used):
        raise UsageError(f"--map {left[0]}: {path} has no such name; it has {listing(sorted(result))}")
    return result


def _is_npz(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as file:
            return not any(name.endswith("data.pkl") for name in file.namelist())
    except (zipfile.BadZipFile, OSError, ValueError):
        return path.suffix == ".npz"


def _read_npz(path: Path) -> dict[str, Tensor]:
    """Read the arrays of a file by ``numpy.savez``."""
    arrays = {name: array for name, array in npz.read(path).items() if array.dtype.kind in "biufc"}
    try:
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    except (TypeError, ValueError) as error:  # of another machine's bytes, or of more than 64 bits
        raise SsmHdlError(f"{path} holds numbers that torch does not: {brief(error, 120)}; save floats of 32 bits") from error


def _choose(path: Path, found: Mapping[str, dict[str, Tensor]], key: str | None) -> dict[str, Tensor]:
    """The state dict under ``key``, or the only one."""
    names = ", ".join(name for name in found if name)
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
    found = {".".join(words): tensors for words, tensors in _state_dicts(content, (), set())}
    if not found:
        raise SsmHdlError(f"{path} holds no state dict; save model.state_dict()")
    return found


def _state_dicts(content: object, words: Sequence[str], seen: set[int]) -> Iterator[tuple[tuple[str, ...], dict[str, Tensor]]]:
    """All dicts of tensors by name in nested dicts, with the keys that lead there; the state of an optimizer has no names."""
    if not isinstance(content, dict) or len(words) > DEPTH or id(content) in seen:
        return
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if any("." in name or "/" in name for name in tensors):
        yield tuple(words), tensors
        return
    seen.add(id(content))  # a dict may hold itself
    for name, value in content.items():
        if isinstance(name, str) and "optim" not in name:
            yield from _state_dicts(value, (*words, name), seen)
