"""The arrays of an .npz file: read without running code from the file,
and checked to be of a known name and kind."""

import math
from collections import Counter
from os import SEEK_END
from pathlib import Path
from sys import maxunicode
from typing import Any, NoReturn
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.errors import SsmHdlError, brief, listing
from ssm_hdl.sw.data.cut import PARTS

Array = NDArray[Any]

KINDS = {
    "x": "biuf",
    "y": "biuf",
    "length": "iu",
    "split": "iuU",
    "recording": "iu",
    "classes": "U",
    "channels": "U",
}
KINDS |= {"rate": "iuf", "format": "U", "mean": "iuf", "std": "iuf"}
"""The arrays of a file, and NumPy's kinds of number or text that each may have."""

MAX_UNPACKED, MAX_RATIO = 1 << 26, 100
"""Bytes, or times its own size, that a file may unpack to: samples rarely shrink to a tenth,
a file made to harm to 1/1000."""


def read(path: Path) -> dict[str, Array]:
    """The arrays of an .npz file, by name.

    Raises:
        SsmHdlError: it cannot be read, or holds something else.
    """
    try:
        with path.open("rb") as stream:
            if (start := stream.read(2)) != b"PK":  # NumPy would take anything else for a pickle
                kind = (
                    "holds one array without a name"
                    if start == b"\x93N"
                    else "is a file of another kind"
                )
                raise ValueError(f"it {kind}, write it with numpy.savez")
            size, whole = (
                sum(member.file_size for member in ZipFile(stream).infolist()),
                stream.seek(0, SEEK_END),
            )
            if size > max(MAX_UNPACKED, MAX_RATIO * whole):
                raise ValueError(
                    f"its {whole:,} bytes unpack to {size:,}; write it with numpy.savez, "
                    "without compression"
                )
            stream.seek(0)
            content = np.load(stream, allow_pickle=False)
            if twice := [name for name, number in Counter(content.files).items() if number > 1]:
                raise ValueError(f"{twice[0]} comes twice; remove one")
            arrays = {name: np.asarray(content[name]) for name in content.files}
            for name, array in arrays.items():
                if array.dtype.kind == "U" and array.itemsize:
                    signs = (
                        np.ascontiguousarray(array, array.dtype.newbyteorder("="))
                        .reshape(-1)
                        .view(np.uint32)
                    )
                    if signs.size and signs.max() > maxunicode:  # Python would end in a SystemError
                        raise ValueError(f"{name} holds what is no text")
            return arrays
    except OSError as error:
        raise SsmHdlError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:
        # a damaged file fails in any layer of zipfile, zlib, tokenize, ast and NumPy
        reason = (
            "it holds objects, not numbers; save each array by its name"
            if "allow_pickle" in str(error)
            else brief(str(error), 200)
        )
        raise SsmHdlError(
            f"cannot read {path} as arrays of numbers by numpy.savez: {reason}"
        ) from error


class File:
    """Arrays by name, of which the kinds are checked.

    Args:
        path: of the file that they came from, for messages.
        arrays: what was in it.

    Raises:
        SsmHdlError: an array is not known, or of another kind.
    """

    def __init__(self, path: Path, arrays: dict[str, Array]) -> None:
        self.path, self.arrays = path, arrays
        for name, array in self.arrays.items():
            if name not in KINDS:
                self.fail(f"there is an array {brief(name)!r}; known are {listing([*KINDS])}")
            if array.dtype.kind not in KINDS[name]:
                kinds = {"U": "text is", "iu": "integers are", "iuU": "integers or text are"}
                names = (
                    ", and names of classes in classes"
                    if name == "y" and array.dtype.kind in "US"
                    else ""
                )
                self.fail(
                    f"{name} is of type {array.dtype}; "
                    f"{kinds.get(KINDS[name], 'numbers are')} wanted{names}"
                )
        if "x" not in self.arrays:
            self.fail("there is no array x")
        for name in [name for name in ("classes", "channels") if name in self.arrays]:
            if self.arrays[name].ndim != 1:
                self.fail(
                    f"{name} has shape {self.arrays[name].shape}; it is a list of names, "
                    f"of shape ({name},)"
                )
            names = self.arrays[name].tolist()
            if len({*names}) < len(names):
                self.fail(
                    f"{name} has the name {max(names, key=names.count)!r} twice; "
                    "give each a name of its own"
                )
        for name in ("rate", "format"):
            if name in self.arrays and self.arrays[name].size != 1:
                self.fail(f"{name} has shape {self.arrays[name].shape}; it is a single value")
        if "rate" in self.arrays and not 0 < float(self.arrays["rate"].item()) < math.inf:
            self.fail(f"rate is {self.arrays['rate']}; it is a number of time steps per second")

    def fail(self, what: str) -> NoReturn:
        """Refuse the file."""
        raise SsmHdlError(f"{self.path}: {what}")

    def take(self, name: str, count: int) -> Array | None:
        """The whole numbers (count,) of an array, if there is one."""
        array = self.arrays.get(name)
        if array is not None and array.shape != (count,):
            self.fail(f"{name} has shape {array.shape}; it goes with {count:,} entries of x")
        return None if array is None or array.dtype.kind == "U" else array.astype(np.int64)

    def split(self, count: int) -> Array | None:
        """The part of each entry as a number, if it is given."""
        array = self.arrays.get("split")
        numbers = self.take("split", count)
        if array is None:
            return None
        if numbers is None:
            numbers = np.full(count, -1)
            for number, name in enumerate(PARTS):
                numbers[array == name] = number
        if not np.isin(numbers, range(len(PARTS))).all():
            wrong = array[~np.isin(numbers, range(len(PARTS)))][0]
            self.fail(f"split has {brief(str(wrong))!r}; there are {', '.join(PARTS)}, or 0, 1, 2")
        return numbers
