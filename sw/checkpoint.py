"""Checkpoints: a safetensors file with the float parameters; its metadata hold the model,
its inputs and its training command."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ssm_hdl.errors import SsmHdlError, UsageError, reason
from ssm_hdl.files import write_atomically
from ssm_hdl.manifest import FILE
from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.models import CONFIGS, Config, Model
from ssm_hdl.weights import refuse_duplicates

SCHEMA = "1"
"""Version of the metadata; a file with another one is refused."""

M = TypeVar("M", bound=Model)
V = TypeVar("V")


@dataclass(frozen=True)
class Checkpoint:
    """A trained float model with its origin.

    Attributes:
        model: the model, in evaluation mode.
        inputs: the samples that it takes.
        metadata: ``name``, ``accuracy`` (or ``r2``) on the test samples and ``val_accuracy``,
            ``command``, ``seed``, as text; an imported checkpoint has ``name`` alone.
    """

    model: Model
    inputs: InputSpec
    metadata: Mapping[str, str]

    def require(self, family: type[M]) -> M:
        """The model, which has to be of a family.

        Raises:
            SsmHdlError: it is of another family.
        """
        if not isinstance(self.model, family):
            name = self.metadata.get("name", "the checkpoint")
            raise SsmHdlError(
                f"{name} is {self.model.config.title}; this is for models of {family.__name__}"
            )
        return self.model

    def unscaled(self) -> "Checkpoint":
        """The model as hardware computes it: the decoder leaves out `target_scale`."""
        if not self.inputs.target_scale:
            return self
        model, scale = (
            copy.deepcopy(self.model),
            torch.tensor(self.inputs.target_scale, dtype=torch.float64),
        )
        with torch.no_grad():
            for parameter in model.decoder.parameters():
                parameter.copy_(parameter / scale.view(-1, *[1] * (parameter.ndim - 1)))
        return replace(self, model=model)

    def save(self, path: Path | str) -> Path:
        """Write the checkpoint, whole or not at all.

        Raises:
            SsmHdlError: the file cannot be written.
        """
        return write_atomically(path, self.to_bytes())

    def to_bytes(self) -> bytes:
        """The file; of equal checkpoints the same bytes."""
        config = self.model.config
        header = {"schema": SCHEMA, "model": config.family} | config.model_dump()
        header |= {f"inputs.{name}": _text(value) for name, value in self.inputs.facts().items()}
        tensors = {
            name: tensor.detach().contiguous() for name, tensor in self.model.state_dict().items()
        }
        text = {key: str(value) for key, value in (header | dict(self.metadata)).items()}
        return _sorted(save(tensors, text))


def load(path: Path | str) -> Checkpoint:
    """Read a checkpoint that ``save`` wrote.

    Raises:
        SsmHdlError: no such file, not a checkpoint, cut off, another schema or family,
            or a tensor that is missing, has another shape than the metadata say, or is not finite.
    """
    path = Path(path)
    if path.is_dir() or (path.suffix in (".yaml", ".yml", ".npz", ".npy") and path.exists()):
        kind = "samples" if path.suffix in (".npz", ".npy") else "a manifest"
        if path.is_dir() and not (path / FILE).exists():
            kind = "a folder"
        raise UsageError(
            f"{path} is {kind}, not a checkpoint; name a .safetensors file of `ssm-hdl train` or "
            "`ssm-hdl import`"
        )
    tensors, header = read_safetensors(path)
    if "schema" not in header:
        raise SsmHdlError(
            f"{path} is not a checkpoint of ssm-hdl: no 'schema' in its metadata; "
            "`ssm-hdl import` reads public ones"
        )
    schema, family = header.pop("schema"), header.pop("model", None)
    if schema != SCHEMA or family not in CONFIGS:
        raise SsmHdlError(
            f"{path} is a checkpoint of schema {schema}, model {family}; "
            f"this version reads schema {SCHEMA}, model {' or '.join(CONFIGS)}; upgrade ssm-hdl"
        )
    given = {
        name: header.pop(f"inputs.{name}")
        for name in _names(InputSpec)
        if f"inputs.{name}" in header
    }
    inputs = _parse(path, InputSpec, given, "inputs.")
    options = {name: header.pop(name) for name in CONFIGS[family].model_fields if name in header}
    config = _parse(path, CONFIGS[family], options, "")
    return Checkpoint(fill(path, config, inputs, tensors), inputs, MappingProxyType(header))


def fill(
    path: Path | str, config: Config, inputs: InputSpec, tensors: Mapping[str, Tensor]
) -> Model:
    """Build a model from the tensors of a file, all of them checked; in evaluation mode.

    Args:
        path: of the file, for the messages.
        config: options of the model.
        inputs: the samples that it takes.
        tensors: its whole state, by name.

    Raises:
        SsmHdlError: a tensor that is missing, unknown, misshapen,
            not of real floating-point numbers, or not finite.
    """
    with torch.device("meta"):  # shapes without memory; `assign` below puts the tensors in place
        model = config.build(inputs)
    kind = config.title
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    for name in sorted(tensors.keys() - expected.keys()):
        raise SsmHdlError(
            f"{path} has a tensor {name}, which {kind} of {_sizes(config)} does not have"
        )
    for name, shape in expected.items():
        if name not in tensors:
            raise SsmHdlError(f"{path} lacks the tensor {name} of shape {shape}")
        tensor = tensors[name]
        if tuple(tensor.shape) != shape:
            takes = (
                f"{inputs.tokens} tokens"
                if inputs.tokens
                else f"{inputs.channels} input{'s' * (inputs.channels > 1)}"
            )
            raise SsmHdlError(
                f"{path}: {name} has shape {tuple(tensor.shape)}; "
                f"{kind} of {_sizes(config)}, {takes} and {inputs.outputs} outputs has {shape}"
            )
        if not tensor.is_floating_point():
            raise SsmHdlError(
                f"{path}: {name} is {tensor.dtype}; the parameters of {kind} are real "
                "floating-point numbers"
            )
        if count := int((~torch.isfinite(tensor.float())).sum()):
            raise SsmHdlError(f"{path}: {name} has {count} values that are not finite in 32 bits")
    model.load_state_dict(
        {name: tensor.float().contiguous() for name, tensor in tensors.items()}, assign=True
    )
    return model.eval()


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Raises:
        SsmHdlError: the file is missing, cut off or of another kind.
    """
    try:
        refuse_duplicates(path)
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, dict(file.metadata() or {})
    except FileNotFoundError as error:
        raise SsmHdlError(
            f"{path} does not exist; `ssm-hdl train` and `ssm-hdl import` write a checkpoint"
        ) from error
    except (OSError, SafetensorError) as error:
        raise SsmHdlError(
            f"cannot read {path}: {error}; is it a whole safetensors file? `ssm-hdl "
            "import` reads others"
        ) from error


def _text(value: object) -> object:
    """A list as JSON, but a single number alone: older checkpoints have one channel and
    keep their bytes."""
    if not isinstance(value, list):
        return value
    return value[0] if len(value) == 1 and isinstance(value[0], float) else json.dumps(value)


def _names(kind: type[InputSpec]) -> list[str]:
    return [field.name for field in fields(kind)]


def _sizes(config: Config) -> str:
    """The options of a model, as text for a message."""
    return ", ".join(f"{name} {value}" for name, value in config.model_dump().items())


def _parse(path: Path | str, kind: type[V], given: Mapping[str, Any], prefix: str) -> V:
    """Read metadata of ``kind`` from their text."""
    try:
        return TypeAdapter(kind).validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = f"{prefix}{first['loc'][0]}"
        if first["type"] == "missing" or first["type"] == "missing_argument":
            raise SsmHdlError(f"{path} lacks {name!r} in its metadata; train it again") from error
        raise SsmHdlError(
            f"{path} has damaged metadata: {name} is {first['input']!r}: {reason(first)}; "
            "train it again"
        ) from error


def _sorted(data: bytes) -> bytes:
    """A safetensors file with its header sorted: the library writes it in random order,
    but equal models give equal files."""
    size = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + size]), sort_keys=True).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + size :]
