"""The integer arrays of a manifest in a safetensors file."""

import json
from collections import Counter
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ssm_hdl.errors import SsmHdlError, brief
from ssm_hdl.fixed import MAX_WIDTH, Codes, Format, bits
from ssm_hdl.tensors import Tensors

MAX_INTEGERS = 1 << 22
"""Most integers in a file. The largest device has 3.7 Mbit of block RAM,
so more could not be weights of a pipeline."""

MAX_HEADER = 100_000_000
"""Longest header that the library reads."""

_INTEGERS = frozenset({"I8", "U8", "I16", "U16", "I32", "U32", "I64", "U64"})


def load_tensors(path: Path) -> Tensors:
    """The integer arrays of a safetensors file and the formats they were stored in.

    Raises:
        SsmHdlError: the file is missing, truncated or not safetensors,
            or an array is not of integers.
    """
    codes: dict[str, Codes] = {}
    try:
        refuse_duplicates(path)
        with safe_open(path, framework="numpy") as file:
            formats = _formats(path, (file.metadata() or {}).get("formats", "{}"))
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            if (count := sum(prod(part.get_shape()) for part in slices.values())) > MAX_INTEGERS:
                raise SsmHdlError(
                    f"{path} holds {count:,} integers; at most {MAX_INTEGERS:,} are read"
                )
            for name, part in slices.items():
                if (kind := part.get_dtype()) not in _INTEGERS:
                    raise SsmHdlError(
                        f"{path}: tensor {brief(repr(name))} holds {kind} numbers; "
                        "it must hold integer codes, quantize the model"
                    )
                codes[name] = _checked(path, name, file.get_tensor(name))
    except FileNotFoundError as error:
        raise SsmHdlError(
            f"{path} does not exist; it belongs beside the manifest that names it"
        ) from error
    except (SafetensorError, OSError) as error:
        raise SsmHdlError(
            f"{path} is damaged or not a safetensors file ({brief(str(error), 200)}); "
            "quantize again"
        ) from error
    return Tensors(codes, formats)


def refuse_duplicates(path: Path) -> None:
    """Refuse a safetensors file whose header has a name twice, of which the library takes the last.

    Raises:
        SsmHdlError: it has.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = file.read(min(size, MAX_HEADER))
    try:
        json.loads(header, object_pairs_hook=_unique)
    except (RecursionError, ValueError):
        return  # the library names the fault
    except KeyError as error:
        raise SsmHdlError(
            f"{path}: {brief(error.args[0])!r} comes twice in its header; remove one"
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    known = dict(pairs)
    if len(known) < len(pairs):
        raise KeyError(
            next(name for name, number in Counter(name for name, _ in pairs).items() if number > 1)
        )
    return known


def _checked(path: Path, name: str, array: np.ndarray) -> Codes:
    """Stored integers as int64."""
    low, high = int(array.min(initial=0)), int(array.max(initial=0))
    if bits(low, high) > MAX_WIDTH:
        widest = high if high > -low else low
        raise SsmHdlError(
            f"{path}: tensor {brief(repr(name))} holds {widest}; "
            f"a code has at most {MAX_WIDTH} bits"
        )
    return array.astype(np.int64)


def _formats(path: Path, text: str) -> dict[str, Format]:
    """The metadata ``formats``: a JSON object of the format that each tensor was stored in."""
    try:
        stored = json.loads(text, object_pairs_hook=_unique)
    except KeyError as error:
        raise SsmHdlError(
            f"{path}: the metadata 'formats' has {brief(error.args[0])!r} twice; remove one"
        ) from error
    except (ValueError, RecursionError) as error:
        raise SsmHdlError(
            f"{path}: the metadata 'formats' is not JSON ({brief(str(error), 200)}); quantize again"
        ) from error
    if not isinstance(stored, dict):
        raise SsmHdlError(
            f"{path}: the metadata 'formats' is {brief(stored)}; "
            "it must map each tensor to its format"
        )
    formats = {}
    for name, format in stored.items():
        try:
            formats[name] = Format.parse(format)
        except SsmHdlError as error:
            raise SsmHdlError(
                f"{path}: the metadata 'formats' of tensor {brief(repr(name))}: {error}"
            ) from error
    return formats


def tensors_to_bytes(tensors: Tensors) -> bytes:
    """A safetensors file with every array in the narrowest integer type that holds it."""
    arrays = {}
    for name, codes in sorted(tensors.codes.items()):
        low, high = int(codes.min(initial=0)), int(codes.max(initial=0))
        arrays[name] = codes.astype(
            np.result_type(np.min_scalar_type(min(low, -1)), np.min_scalar_type(-high - 1))
        )
    formats = {name: str(format) for name, format in sorted(tensors.formats.items())}
    return save(arrays, metadata={"formats": json.dumps(formats)})
