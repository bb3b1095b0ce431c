"""The arrays of a public checkpoint: read without running code from the file, and checked one by one."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.checkpoint import read_safetensors


class Arrays:
    """Arrays by name, with a record of those in use.

    Attributes:
        path: of the file, for the messages.
        tensors: all arrays.
    """

    def __init__(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        self.path, self.tensors, self._taken = path, dict(tensors), set[str]()

    @classmethod
    def read(cls, path: Path) -> "Arrays":
        """The arrays of a safetensors, .npz or torch file; a ``module.`` prefix is taken off.

        Raises:
            SsmHdlError: another kind of file, or other contents than arrays.
        """
        try:
            with path.open("rb") as file:
                safe = file.read(9)[8:] == b"{"  # safetensors: 8 bytes of length, then a JSON header
        except OSError as error:
            raise SsmHdlError(f"cannot read {path}: {error.strerror}") from error
        tensors = read_safetensors(path)[0] if safe else _read_npz(path) if path.suffix == ".npz" else _read_torch(path)
        return cls(path, {name.removeprefix("module."): tensor for name, tensor in tensors.items()})

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def shape(self, name: str, meaning: str) -> tuple[int, ...]:
        """The shape of an array that the sizes of the model are read from.

        Args:
            name: of the array.
            meaning: what the shape should be, such as ``(H, N, 2)``.

        Raises:
            SsmHdlError: there is no such array, or it has another number of dimensions.
        """
        actual = tuple(self.tensors[name].shape) if name in self.tensors else None
        if actual is None or len(actual) != meaning.count(",") + (not meaning.endswith(",)")):
            state = "is missing" if actual is None else f"has shape {actual}"
            raise SsmHdlError(f"{self.path} has another layout: {name} {state}, it should have shape {meaning}")
        return actual

    def take(self, name: str, *shape: int) -> Tensor:
        """An array of a given shape.

        Raises:
            SsmHdlError: it is missing, has another shape, or holds values that are not finite numbers.
        """
        if name not in self.tensors:
            raise SsmHdlError(f"{self.path} lacks {name} of shape {shape}")
        tensor = self.tensors[name]
        if tuple(tensor.shape) != shape:
            raise SsmHdlError(f"{self.path}: {name} has shape {tuple(tensor.shape)}, it should have {shape}")
        if not (tensor.is_floating_point() or tensor.is_complex()):
            raise SsmHdlError(f"{self.path}: {name} is {tensor.dtype}; floating-point numbers are wanted")
        if not torch.isfinite(tensor).all():
            raise SsmHdlError(f"{self.path}: {name} has {int((~torch.isfinite(tensor)).sum())} values that are not finite")
        self._taken.add(name)
        return tensor

    def all_taken(self, layout: str) -> None:
        """Refuse arrays that were not used.

        Raises:
            SsmHdlError: names the first unused array.
        """
        for name in sorted(self.tensors.keys() - self._taken):
            raise SsmHdlError(f"{self.path} has {name}, which a model of layout {layout} that can be imported does not have")


def _read_npz(path: Path) -> dict[str, Tensor]:
    """Read the arrays of a file by ``numpy.savez``."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {name: torch.from_numpy(np.asarray(file[name])) for name in file.files}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise SsmHdlError(f"cannot read {path} as arrays of numbers by numpy.savez: {error}") from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a state dict by ``torch.save``."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in any of torch.load's layers
        reason = str(error).strip().split("\n")[0]
        raise SsmHdlError(f"cannot read {path} as safetensors or as a torch state dict of tensors alone: {reason}") from error
    for key in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise SsmHdlError(f"{path} holds no state dict; save model.state_dict()")
    return {str(name): tensor for name, tensor in content.items()}
