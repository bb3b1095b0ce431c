"""Files by ``torch.save``, read without running code from them, and the state dicts in them."""

import re
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssm_hdl.errors import SsmHdlError, listing
from ssm_hdl.sw.importers.kinds import CUT_OFF

DEPTH = 50
"""Most keys that lead to a state dict; deeper ones are not searched."""

Words = tuple[str, ...]
"""Keys that lead to a value."""

Named = dict[str, Tensor]
"""A state dict."""


class Inert:
    """What becomes of most things of NumPy in a torch file: nothing."""

    def __init__(self, *arguments: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


class InertType:
    """What becomes of a type of NumPy's numbers: its code, such as f4, with its order of bytes."""

    def __init__(self, code: object = None, *arguments: object) -> None:
        self.code = code

    def __setstate__(self, state: Sequence[object]) -> None:
        self.code = f"{state[1]}{self.code}".replace("|", "")


class InertArray:
    """What becomes of an array of NumPy: its numbers, if they are such; see `_tensor_of`."""

    def __init__(self, *arguments: object) -> None:
        self.tensor: Tensor | None = None

    def __setstate__(self, state: Sequence[Any]) -> None:
        _, shape, kind, fortran, data = state
        code = str(kind.code)
        if isinstance(data, bytes) and re.fullmatch(r"[<>=]?[fiubc]\d\d?", code):
            array = np.frombuffer(data, code).reshape(shape, order="F" if fortran else "C")
            self.tensor = torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))


class InertDict:
    """What any other class or function that is not torch's becomes: a plain dict. None is run."""

    def __new__(cls, *arguments: object) -> Any:
        """The one kind of dict that torch fills and gives attributes;
        one that wraps another keeps it."""
        sole = arguments[0] if len(arguments) == 1 else None
        return OrderedDict[Any, Any](sole if isinstance(sole, dict) else {})


STAND_INS: Mapping[str, type] = {"_reconstruct": InertArray, "dtype": InertType}
"""Of things of NumPy, by the last part of their names."""


def read_torch(path: Path, legacy: bool) -> dict[str, Named]:
    """The state dicts of a file by ``torch.save``, by the keys that lead to them, with dots.

    Args:
        path: of the file.
        legacy: torch before version 1.6 wrote it, which holds tensors alone.

    Raises:
        SsmHdlError: it is damaged, or holds no state dict.
    """
    unknown: list[str] = []
    try:
        if not legacy:  # torch gives them in an order of chance
            unknown = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(str(path)))
        inert: list[Any] = [(_stand_in(name), name) for name in unknown]
        with torch.serialization.safe_globals(inert), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of kinds of tensors that are refused later
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in any of torch.load's layers
        what = _fault(str(error), unknown)
        raise SsmHdlError(f"cannot read {path} as a state dict by torch.save: {what}") from error
    found = {".".join(words): tensors for words, tensors in _state_dicts(content, (), set())}
    found = found or {
        "": {".".join(words): tensor for words, tensor in _leaves(content, (), set())}
    }
    if not any(found.values()):
        held = _described(content)
        raise SsmHdlError(
            f"{path} holds no state dict of tensors, but {held}; save model.state_dict()"
        )
    return found


def _fault(error: str, unknown: Sequence[str]) -> str:
    """What is wrong with a file, by torch's words and the classes in it that
    torch does not know."""
    if named := re.search(r"(?:GLOBAL|global) ([\w.]+)", error):
        unknown = [named[1]]
    if "Unsupported operand" in error:
        return "it is of another pickle_protocol; save it with the one that torch.save has"
    if unknown:
        return (
            f"it holds {listing(unknown, 3)}, which is more than tensors; "
            "save model.state_dict() alone"
        )
    return f"it is {CUT_OFF}"


def _stand_in(name: str) -> type:
    """For a class or a function that torch does not know."""
    package, _, rest = name.partition(".")
    return STAND_INS.get(rest.rsplit(".", 1)[-1], Inert) if package == "numpy" else InertDict


def _tensor_of(value: object) -> Tensor | None:
    """A tensor, or an array of NumPy as one."""
    value = value.tensor if isinstance(value, InertArray) else value
    return value if isinstance(value, Tensor) else None


def _children(content: object) -> Iterator[tuple[str, object]]:
    """What a dict or a list holds, by its keys; nothing of an optimizer."""
    if isinstance(content, dict) and not {"state", "param_groups"} <= content.keys():
        named = ((str(name), value) for name, value in content.items())
        yield from (pair for pair in named if "optim" not in pair[0])
    elif isinstance(content, list | tuple):
        pairs = [one for one in content if isinstance(one, tuple) and len(one) == 2]
        if pairs and len(pairs) == len(content) and all(isinstance(name, str) for name, _ in pairs):
            yield from pairs  # as list(model.named_parameters())
        else:
            yield from ((str(number), value) for number, value in enumerate(content))


def _state_dicts(content: object, words: Words, seen: set[int]) -> Iterator[tuple[Words, Named]]:
    """All dicts of tensors whose names have parts, and all whole modules, in nested dicts."""
    if len(words) > DEPTH or id(content) in seen or not isinstance(content, dict | list | tuple):
        return
    if "_modules" in getattr(content, "__dict__", ()):
        yield words, dict(_of_module(content, "", seen))
        return
    children = list(_children(content))
    values = ((name, _tensor_of(value)) for name, value in children)
    tensors = {name: tensor for name, tensor in values if tensor is not None}
    if any(re.search("[./]", name) for name in tensors):
        yield words, tensors
        return
    seen.add(id(content))  # a dict may hold itself
    for name, value in children:
        yield from _state_dicts(value, (*words, name), seen)


def _of_module(module: object, prefix: str, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    """The state dict of a module that was saved whole."""
    if id(module) in seen or prefix.count(".") > DEPTH:
        return
    seen.add(id(module))
    parts = getattr(module, "__dict__", {})
    own = {**parts.get("_parameters", {}), **parts.get("_buffers", {})}
    for name, value in own.items():
        if isinstance(value, Tensor) and name not in parts.get("_non_persistent_buffers_set", ()):
            yield f"{prefix}{name}", value
    for name, value in parts.get("_modules", {}).items():
        yield from _of_module(value, f"{prefix}{name}.", seen)


def _leaves(content: object, words: Words, seen: set[int]) -> Iterator[tuple[Words, Tensor]]:
    """All tensors of a tree of dicts, such as flax has, by their keys; those of lists have none."""
    if len(words) > DEPTH or id(content) in seen or not isinstance(content, dict):
        return
    seen.add(id(content))
    for name, value in _children(content):
        if (tensor := _tensor_of(value)) is not None:
            yield (*words, name), tensor
        else:
            yield from _leaves(value, (*words, name), seen)


def _described(content: object) -> str:
    """What a file holds, in words."""
    if isinstance(content, Tensor | InertArray):
        return "one tensor without a name"
    if isinstance(content, list | tuple):
        kinds = {"Tensor" if _tensor_of(one) is not None else type(one).__name__ for one in content}
        return f"a list of {len(content)} without names ({', '.join(sorted(kinds))})"
    if isinstance(content, dict):
        return f"a dict of {listing([*map(str, content)])}"
    return f"a {type(content).__name__}"
