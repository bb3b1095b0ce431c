"""Files of public checkpoints: recognised by their content, unwrapped,
and read without running code from them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from ssm_hdl.errors import SsmHdlError, UsageError, brief, listing
from ssm_hdl.sw.checkpoint import read_safetensors
from ssm_hdl.sw.data import arrays as npz
from ssm_hdl.sw.importers.kinds import CUT_OFF, kind_of
from ssm_hdl.sw.importers.shards import shards
from ssm_hdl.sw.importers.torch_file import read_torch

WRAPPERS = (
    "module",
    "_orig_mod",
    "model",
    "net",
    "ema",
    "ema_model",
    "online_model",
    "state_dict",
    "model_state_dict",
)
"""Prefixes that training code puts before the names of parameters,
and keys under which it saves them."""

INSIDE = r"_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module|_forward_module"
"""Wrappers of torch and Lightning around any module."""

OPTIMIZER = r"[./]?opt_state[./]"
"""In the name of an array of an optimizer, in the flattened state of a training by flax."""


def read(path: Path, key: str | None, renamed: Mapping[str, str]) -> dict[str, Tensor]:
    """The arrays of a safetensors, .npz or torch file by their names,
    without the prefixes of wrappers.

    Args:
        path: of the file, or of the index of several safetensors files.
        key: of the state dict, if a torch file holds several.
        renamed: new names by old ones, of arrays or of dotted parts of names;
            arrays of an empty new name are left out.

    Raises:
        SsmHdlError: another kind of file, other contents than arrays, or two arrays of one name.
    """
    kind = kind_of(path)
    parts = shards(path, kind)
    found = _read(path, kind) if parts == [path] else {"": _joined(path, parts)}
    tensors = _choose(path, found, key)
    for name, tensor in tensors.items():
        _check(path, name, tensor)
    return _rename(path, _unnormed(tensors), renamed)


def _unnormed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights g v / |v| of PyTorch's weight_norm, whose older version has names of its own,
    in place of g and v."""
    result = dict(tensors)
    for gain in tensors:
        if match := re.fullmatch(r"(.*)parametrizations\.(\w+)\.original0", gain):
            name, direction = match[1] + match[2], gain[:-1] + "1"
        elif match := re.fullmatch(r"(.*)_g", gain):
            name, direction = match[1], match[1] + "_v"
        if match and name not in tensors and _normed(tensors[gain], tensors.get(direction)):
            g, v = result.pop(gain).double(), result.pop(direction).double()
            normed = [dim for dim in range(v.ndim) if g.ndim != v.ndim or g.shape[dim] == 1]
            result[name] = v * (g / torch.linalg.vector_norm(v, dim=normed, keepdim=True))
    return result


def _normed(g: Tensor, v: Tensor | None) -> bool:
    """Whether two arrays can be a weight by weight_norm: one number for all, or for each index of
    some dimensions. Others have such names by chance, and stay."""
    return (
        v is not None
        and g.is_floating_point()
        and v.is_floating_point()
        and (
            g.ndim == 0
            or (
                g.ndim == v.ndim and all(a in (1, b) for a, b in zip(g.shape, v.shape, strict=True))
            )
        )
    )


def _read(path: Path, kind: str) -> dict[str, dict[str, Tensor]]:
    """The state dicts of one file by their keys; the key is empty if there is none."""
    if kind == "safetensors":
        return {"": _read_safetensors(path)}
    if kind == "index":
        raise SsmHdlError(f"cannot read {path}: it is JSON, and its index names it as weights")
    return {"": _read_npz(path)} if kind == "npz" else read_torch(path, kind == "legacy")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        tensors, header = read_safetensors(path)
    except SsmHdlError as error:
        if isinstance(error.__cause__, SafetensorError | OSError):
            fault = f"it is a safetensors file, {CUT_OFF} ({error.__cause__})"
            raise SsmHdlError(f"cannot read {path}: {fault}") from error
        raise
    if "schema" in header:
        raise UsageError(
            f"{path} is a checkpoint of ssm-hdl already; give it to ssm-hdl quantize as it is"
        )
    if "formats" in header:
        raise UsageError(
            f"{path} has the integers of a manifest; "
            "name the float model that it was quantized from"
        )
    return tensors


def _joined(path: Path, parts: Sequence[Path]) -> dict[str, Tensor]:
    """The arrays of the files of one checkpoint, which ``path`` stands for."""
    tensors: dict[str, Tensor] = {}
    for part in parts:
        own = _choose(part, _read(part, kind_of(part)), None)
        if twice := sorted(tensors.keys() & own.keys()):
            raise SsmHdlError(
                f"cannot read {path}: {brief(twice[0])} is in several of its files; keep one"
            )
        tensors |= own
    return tensors


def _check(path: Path, name: str, tensor: Tensor) -> None:
    """Refuse a tensor whose numbers are not all in the file."""
    name = brief(name)
    if tensor.is_nested:
        raise SsmHdlError(f"{path}: {name} is a nested tensor; save dense tensors of floats")
    kind = (
        "on the meta device, without its numbers"
        if tensor.is_meta
        else f"{tensor.layout} and not dense".replace("torch.", "")
    )
    if tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized:
        raise SsmHdlError(
            f"{path}: {name} is {kind if not tensor.is_quantized else 'quantized'}; "
            "save dense tensors of floats"
        )
    held = tensor.untyped_storage().nbytes()
    if tensor.numel() * tensor.element_size() > held:
        raise SsmHdlError(
            f"{path}: {name} of shape {tuple(tensor.shape)} has only {held:,} bytes; "
            "save it with .contiguous()"
        )


def _rename(
    path: Path, tensors: Mapping[str, Tensor], renamed: Mapping[str, str]
) -> dict[str, Tensor]:
    """Take off the prefixes of wrappers, then apply ``renamed``."""
    plain, used = _unwrap(tensors), set[str]()
    result: dict[str, Tensor] = {}
    origin: dict[str, str] = {}
    # A name that begins with the old one has priority: `norm=norm_f` is for the outer norm,
    # where there is one.
    anchors = {
        old: "" if any(re.match(_part(old), name) for name in plain.values()) else r".*(?<![^./])"
        for old in renamed
    }
    for old, name in plain.items():
        if dropped := [
            part
            for part, new in renamed.items()
            if not new and any(map(re.compile(_part(part)).match, (old, name)))
        ]:
            used.update(dropped)
            continue
        for before, after in renamed.items():
            if after and re.match(anchors[before] + _part(before), name):
                name = re.sub(
                    rf"(?<![^./]){_part(before)}",
                    after.replace("\\", r"\\"),
                    name,
                    count=0 if anchors[before] else 1,
                )
                used.add(before)
        if name in result:
            first, second = brief(origin[name]), brief(old)
            # The plain name would be taken for both.
            prefixes = (
                one.removesuffix(name).rstrip("./") for one in (first, second) if one != name
            )
            ways = " or ".join(f"--map {prefix}=" for prefix in prefixes)
            both = f"{first} and {second}, which name the same array"
            raise SsmHdlError(f"{path} has both {both}; leave one out, with {ways}")
        result[name], origin[name] = tensors[old], old
    if left := sorted(renamed.keys() - used):
        raise UsageError(
            f"--map {brief(left[0])}: {path} has no such name; it has {listing(sorted(result))}"
        )
    return result


def _part(name: str) -> str:
    """The pattern of a name, or of its first parts; a dot is a slash,
    as in the names of messages."""
    return "[./]".join(map(re.escape, re.split("[./]", name))) + "(?![^./])"


def _path(name: str) -> str:
    """A name with slashes, if JAX spelt it ['params']['encoder'] or ('params', 'encoder')."""
    return "/".join(re.findall(r"[\w~-]+", name)) if re.match(r"[.\w]*\[|\(", name) else name


def _unwrap(names: Iterable[str]) -> dict[str, str]:
    """Names without the prefixes of wrappers, by the names of the file;
    arrays of optimizers are left out."""
    plain = {}
    for old in names:
        name = re.sub(rf"(^|[./])(?:(?:{INSIDE})[./])+", r"\1", _path(old))
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


def _read_npz(path: Path) -> dict[str, Tensor]:
    """Read the arrays of a file by ``numpy.savez``."""
    arrays = {
        name: array for name, array in npz.read(path).items() if array.dtype.kind not in "USMm"
    }
    if arrays and all(re.fullmatch(r"arr_\d+", name) for name in arrays):
        names = listing([*arrays], 3)
        raise SsmHdlError(f"{path} has arrays without names ({names}); save them by name")
    if void := next((name for name, array in arrays.items() if array.dtype.kind == "V"), None):
        kind = f"{brief(void)} is of type {arrays[void].dtype}, as bfloat16 becomes"
        raise SsmHdlError(f"{path}: {kind}; save floats of 32 bits")
    try:
        return {
            name: torch.from_numpy(np.asarray(array, array.dtype.newbyteorder("=")))
            for name, array in arrays.items()
        }
    except (TypeError, ValueError) as error:  # of more than 64 bits,
        raise SsmHdlError(
            f"{path} holds numbers that torch does not: {brief(error, 120)}; save floats of 32 bits"
        ) from error


def _choose(
    path: Path, found: Mapping[str, dict[str, Tensor]], key: str | None
) -> dict[str, Tensor]:
    """The state dict under ``key``, or the only one."""
    names = listing([name for name in found if name]) if any(found) else ""
    if key is not None and key not in found:
        known = f"there are {names}" if names else "its arrays are under no key, leave --key out"
        raise UsageError(f"--key {key}: {path} has no such key; {known}")
    if key is None and len(found) > 1:
        raise UsageError(f"{path} holds several state dicts; give --key with one of {names}")
    return found[key] if key is not None else next(iter(found.values()))
