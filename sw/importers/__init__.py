"""Importers: convert public checkpoints to ours, by the layout of the code that wrote them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import torch
from pydantic import ValidationError
from torch import Tensor

from ssm_hdl.errors import SsmHdlError, UsageError, listing, reason
from ssm_hdl.sw.checkpoint import Checkpoint, fill
from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.importers import mamba, s4, s5_jax, s5_pytorch
from ssm_hdl.sw.importers.arrays import Arrays, Unanswered
from ssm_hdl.sw.importers.files import read
from ssm_hdl.sw.models import Config

__all__ = ["LAYOUTS", "Layout", "Unanswered", "load"]


@dataclass(frozen=True)
class Layout:
    """A layout of checkpoints.

    Attributes:
        read: from arrays, a description of the inputs, and options to the model's config and its
            tensors by our names.
        recognise: whether arrays have the layout.
        options: names of the options, which cover what the arrays do not tell.
    """

    read: Callable[..., tuple[Config, dict[str, Tensor]]]
    recognise: Callable[[Arrays], bool]
    options: tuple[str, ...] = ()


LAYOUTS: Mapping[str, Layout] = {
    "s4d": Layout(s4.read, s4.recognise, ("norm_order", "activation", "discretization", "pooling")),
    "s5-jax": Layout(
        s5_jax.read,
        s5_jax.recognise,
        ("gate", "discretization", "clip_eigs", "norm_order", "activation", "pooling"),
    ),
    "s5-pytorch": Layout(s5_pytorch.read, s5_pytorch.recognise, ("pooling",)),
    "mamba": Layout(mamba.read, mamba.recognise, ("residual", "pooling")),
}
"""All layouts, by name. Full S4 is read as ``s4d``, and an LRU as ``s5-jax``."""


def load(
    path: Path | str,
    layout: str | None,
    inputs: InputSpec,
    key: str | None = None,
    renamed: Mapping[str, str] = MappingProxyType({}),
    **options: object,
) -> Checkpoint:
    """Read a public checkpoint.

    Args:
        path: a safetensors file, an .npz file of NumPy, or a state dict by ``torch.save``,
            wrapped or not. No code is run.
        layout: one of ``LAYOUTS``; recognised by the names of the arrays if None.
        inputs: the samples that the model was trained on,
            for example ``ssm_hdl.sw.data.SPECS["mnist"]``.
        key: of the state dict, if the file holds several.
        renamed: new names by old ones, of arrays or of dotted parts of names.
        options: of the layout's module.

    Raises:
        Unanswered: an option is needed.
        SsmHdlError: no such layout, no such file, or a model that is not one of ours;
            the message names the tensor.
    """
    if layout is not None and layout not in LAYOUTS:
        raise UsageError(
            f"no layout of checkpoints is called {layout!r}; there are {', '.join(LAYOUTS)}"
        )
    arrays = Arrays(Path(path), read(Path(path), key, renamed))
    layout = layout or next((name for name, one in LAYOUTS.items() if one.recognise(arrays)), None)
    if layout is None:
        if dss := next((name for name in arrays.tensors if name.endswith("kernel.W")), None):
            arrays.fail(
                f"is a DSS ({dss}), which none of the known layouts is; train an S4D instead"
            )
        known = ", ".join(LAYOUTS)
        raise SsmHdlError(
            f"{path} has none of the known layouts ({known}); it has "
            f"{listing(sorted(arrays.tensors))}; if they have other names, give --map OLD=NEW"
        )
    for name in options.keys() - set(LAYOUTS[layout].options):
        owners = (
            " or ".join(one for one, value in LAYOUTS.items() if name in value.options)
            or "no layout"
        )
        raise UsageError(
            f"--{name.replace('_', '-')} is for checkpoints of {owners}; "
            f"{path} is one of {layout}, leave it out"
        )
    try:
        config, tensors = LAYOUTS[layout].read(arrays, inputs, **options)
    except ValidationError as error:
        first = error.errors()[0]
        raise SsmHdlError(
            f"{path} has a model of {first['loc'][0]} {first['input']}: it {reason(first)}"
        ) from error
    arrays.all_taken(layout)
    model = fill(path, config, inputs, tensors)
    with torch.no_grad():
        for name, value in model.discrete().items():
            if count := int((~torch.isfinite(value)).sum()):
                raise SsmHdlError(
                    f"{path}: {count} of {value.numel()} values of {name} are not finite "
                    "after discretization"
                )
    return Checkpoint(model, inputs, MappingProxyType({"name": Path(path).stem}))
