"""Importers: convert public checkpoints to ours, by the layout of the code that wrote them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from torch import Tensor

from ssm_hdl.errors import UsageError
from ssm_hdl.sw.checkpoint import Checkpoint, fill
from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.importers import s4d, s5_jax, s5_pytorch
from ssm_hdl.sw.importers.arrays import Arrays
from ssm_hdl.sw.models import Config


@dataclass(frozen=True)
class Layout:
    """A layout of checkpoints.

    Attributes:
        read: from arrays, a description of the inputs, and options to the model's config and its tensors by our names.
        options: names of the options, which cover what the arrays do not tell.
    """

    read: Callable[..., tuple[Config, dict[str, Tensor]]]
    options: tuple[str, ...] = ()


LAYOUTS: Mapping[str, Layout] = {
    "s4d": Layout(s4d.read),
    "s5-jax": Layout(s5_jax.read, ("gate", "discretization", "clip")),
    "s5-pytorch": Layout(s5_pytorch.read),
}
"""All layouts, by name."""


def load(path: Path | str, layout: str, inputs: InputSpec, **options: object) -> Checkpoint:
    """Read a public checkpoint.

    Args:
        path: a safetensors file, an .npz file of NumPy, or a state dict (or ``{"model": state dict}``) by ``torch.save``. No code
            in the file is run: ``torch.load`` gets ``weights_only=True``.
        layout: one of ``LAYOUTS``.
        inputs: the samples that the model was trained on, for example ``ssm_hdl.sw.data.SPECS["mnist"]``.
        options: of the layout's module.

    Raises:
        SsmHdlError: no such layout, no such file, or a model that is not one of ours; the message names the tensor.
    """
    if layout not in LAYOUTS:
        raise UsageError(f"no layout of checkpoints is called {layout!r}; there are {', '.join(LAYOUTS)}")
    for name in options.keys() - set(LAYOUTS[layout].options):
        owners = " or ".join(key for key, value in LAYOUTS.items() if name in value.options) or "no layout"
        raise UsageError(f"{name} {options[name]} is an option of {owners}; a checkpoint of {layout} leaves no choice there")
    arrays = Arrays.read(Path(path))
    config, tensors = LAYOUTS[layout].read(arrays, inputs, **options)
    arrays.all_taken(layout)
    return Checkpoint(fill(path, config, inputs, tensors), inputs, MappingProxyType({"name": Path(path).stem}))
