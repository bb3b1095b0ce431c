"""Checkpoints: one safetensors file with the float parameters; its metadata say how to use and how to repeat them.

The tensors carry the names of the minimal S4D of state-spaces/s4 (``s4d.py``, and the model of ``example.py``), so that
a public checkpoint differs from ours by its missing metadata alone: ``import_s4d`` reads those.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.files import write_atomically
from ssm_hdl.fixed import Format
from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.models.s4d import S4D

SCHEMA = "1"
"""Version of the metadata; a file with another one is refused."""

LAYER = "s4_layers.0"


@dataclass(frozen=True)
class Checkpoint:
    """A trained float model with its origin.

    Attributes:
        model: the model.
        inputs: what it is fed.
        metadata: ``name``, ``accuracy`` on the test samples and ``val_accuracy`` (0 to 1), ``command``, ``seed``, as
            text; an imported checkpoint has ``name`` alone.
    """

    model: S4D
    inputs: InputSpec
    metadata: Mapping[str, str]

    def save(self, path: Path | str) -> Path:
        """Write the checkpoint, whole or not at all.

        Raises:
            SsmHdlError: the file cannot be written.
        """
        sizes = {"width": self.model.width, "modes": self.model.modes}
        inputs = {f"inputs.{key}": value for key, value in asdict(self.inputs).items()}
        header = {"schema": SCHEMA, "model": "s4d"} | sizes | inputs | dict(self.metadata)
        tensors = {name: tensor.detach().contiguous() for name, tensor in self.model.state_dict().items()}
        return write_atomically(path, _sorted(save(tensors, {key: str(value) for key, value in header.items()})))


def load(path: Path | str) -> Checkpoint:
    """Read a checkpoint that ``save`` wrote.

    Raises:
        SsmHdlError: no such file, not a checkpoint, cut off, another schema, or a tensor that is missing, has another
            shape than the metadata say, or is not finite.
    """
    tensors, header = _read_safetensors(Path(path))
    if "schema" not in header:
        raise SsmHdlError(
            f"{path} is not a checkpoint of ssm-hdl: no 'schema' in its metadata; import a public S4D checkpoint"
        )
    if header["schema"] != SCHEMA or header.get("model") != "s4d":
        raise SsmHdlError(
            f"{path} is a checkpoint of schema {header['schema']}, model {header.get('model')}; "
            f"this version reads schema {SCHEMA}, model s4d; upgrade ssm-hdl"
        )
    try:
        width, modes = int(header.pop("width")), int(header.pop("modes"))
        inputs = InputSpec(
            header.pop("inputs.name"),
            header.pop("inputs.input_format"),
            mean=float(header.pop("inputs.mean")),
            std=float(header.pop("inputs.std")),
            steps=int(header.pop("inputs.steps")),
            classes=int(header.pop("inputs.classes")),
        )
    except KeyError as error:
        raise SsmHdlError(f"{path} lacks {error} in its metadata; train it again") from error
    except ValueError as error:
        raise SsmHdlError(f"{path} has damaged metadata: {error}; train it again") from error
    Format.parse(inputs.input_format)
    del header["schema"], header["model"]
    return Checkpoint(_model(path, tensors, width, modes, inputs.classes), inputs, MappingProxyType(header))


def import_s4d(path: Path | str, inputs: InputSpec) -> Checkpoint:
    """Read a public checkpoint of the minimal S4D layout, one layer without a norm.

    Args:
        path: a safetensors file, or a state dict (or ``{"model": state dict}``) written by ``torch.save``, which is
            read with ``weights_only=True``: no code in it is run. A ``module.`` prefix is taken off.
        inputs: what the model was trained on, for example ``ssm_hdl.sw.data.SPECS["mnist"]``.

    Raises:
        SsmHdlError: not such a file, several layers, a norm, more than one input, another number of classes than
            ``inputs``, an unknown, missing or misshapen tensor, or one that is not finite.
    """
    path = Path(path)
    tensors = {name.removeprefix("module."): tensor for name, tensor in _read_public(path).items()}
    norm = next((name for name in tensors if name.startswith("norms.")), None)
    if norm is not None:
        raise SsmHdlError(
            f"{path} has a norm ({norm}); the S4D of the paper has none, and only that one is imported; "
            "train with the norm left out"
        )
    second = next(
        (name for name in tensors if name.startswith("s4_layers.") and not name.startswith(f"{LAYER}.")), None
    )
    if second is not None:
        raise SsmHdlError(f"{path} has more than one layer ({second}); models of one S4D layer can be imported")
    kernel = tensors.get(f"{LAYER}.kernel.C")
    if kernel is None or kernel.ndim != 3:
        found = "is missing" if kernel is None else f"has shape {tuple(kernel.shape)}"
        raise SsmHdlError(f"{path} is not a minimal S4D: {LAYER}.kernel.C {found}, it should have shape (H, N, 2)")
    model = _model(path, tensors, kernel.shape[0], kernel.shape[1], inputs.classes)
    return Checkpoint(model, inputs, MappingProxyType({"name": path.stem}))


def _sorted(data: bytes) -> bytes:
    """The safetensors file ``data`` with its header sorted: the library writes it in a random order."""
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


def _model(path: Path | str, tensors: dict[str, Tensor], width: int, modes: int, classes: int) -> S4D:
    """The model with ``tensors``, each checked."""
    with torch.device("meta"):
        model = S4D(width, modes, classes)
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name in sorted(tensors.keys() - expected.keys()):
        raise SsmHdlError(f"{path} has a tensor {name}, which an S4D of one layer without norm does not have")
    for name, shape in expected.items():
        if name not in tensors:
            raise SsmHdlError(f"{path} lacks the tensor {name} of shape {shape}")
        tensor = tensors[name]
        if tuple(tensor.shape) != shape:
            raise SsmHdlError(
                f"{path}: {name} has shape {tuple(tensor.shape)}; "
                f"an S4D of H {width}, N {modes}, 1 input and {classes} classes has {shape}"
            )
        if not tensor.is_floating_point():
            raise SsmHdlError(
                f"{path}: {name} is {tensor.dtype}; the parameters of an S4D are real floating-point numbers"
            )
        if not torch.isfinite(tensor).all():
            raise SsmHdlError(f"{path}: {name} has {int((~torch.isfinite(tensor)).sum())} values that are not finite")
    model.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, assign=True)
    return model


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise SsmHdlError(f"cannot read {path}: {error}; is it a whole safetensors file?") from error


def _read_public(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, or of a state dict by ``torch.save``."""
    try:
        with path.open("rb") as file:
            if file.read(9)[8:] == b"{":
                return _read_safetensors(path)[0]
    except OSError as error:
        raise SsmHdlError(f"cannot read {path}: {error.strerror}") from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file fails in any of torch.load's layers
        reason = str(error).strip().split("\n")[0]
        raise SsmHdlError(
            f"cannot read {path} as safetensors or as a torch state dict of tensors alone: {reason}"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise SsmHdlError(f"{path} holds no state dict; save model.state_dict()")
    return {str(name): tensor for name, tensor in content.items()}
