"""From a trained float model to a quantised one."""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ssm_hdl.errors import SsmHdlError, UsageError, brief
from ssm_hdl.extras import need
from ssm_hdl.sw.api.arguments import arguments
from ssm_hdl.sw.api.model import Model

if TYPE_CHECKING:
    import torch

    from ssm_hdl.sw.checkpoint import Checkpoint
    from ssm_hdl.sw.data import Dataset, InputSpec

Data: TypeAlias = "str | Path | tuple[ArrayLike, ArrayLike] | Dataset | None"
"""The name of a data set, an .npz file, a text, or arrays (x, y)."""


@arguments
def convert(
    model: "str | Path | Checkpoint | torch.nn.Module",
    data: Data = None,
    recipe: Path | str | None = None,
    *,
    mean: ArrayLike | None = None,
    std: ArrayLike | None = None,
    progress: Callable[[int], None] | None = None,
    **reading: Any,
) -> Model:
    """Quantise a trained model after its training (PTQ).

    Args:
        model: a checkpoint of ours, a public one, or a module of PyTorch in a public layout
            (``docs/layers.md``).
        data: what it was trained on: the name of a data set, an .npz file, a text,
            or arrays (x, y). A checkpoint of ours knows its data set.
        recipe: bit widths, such as ``w8a8``, or a YAML file; ``w8a8`` if left out,
            of a Mamba ``mamba-w8a8``.
        mean: of each channel of x, what the training subtracted; 0 for nothing.
            The data set's if left out.
        std: of each channel of x, what divided that.
        progress: called with the number of sequences done since the last call.
        reading: what the arrays of a public checkpoint do not tell: ``norm_order``, ``activation``,
            ``pooling``, ``layout``...

    Raises:
        SsmHdlError: the model or the data do not fit; the message says what.
    """
    need("torch", "numba")
    from ssm_hdl.sw.checkpoint import Checkpoint
    from ssm_hdl.sw.quantize import Recipe, program, usual

    ours = model if isinstance(model, Checkpoint) else _ours(model)
    if ours is None:
        if data is None:
            raise UsageError(
                "say what the model was trained on: data=(x, y), a data set or an .npz file"
            )
        dataset = _dataset(data)
        ours = _imported(model, dataset.spec, mean, std, reading)  # type: ignore[arg-type]
        dataset = replace(dataset, mean=ours.inputs.mean, std=ours.inputs.std)
    elif mean is not None or std is not None or reading:
        given = [
            *reading,
            *(name for name, value in (("mean", mean), ("std", std)) if value is not None),
        ]
        raise UsageError(f"a checkpoint of ours says what it is; leave {', '.join(given)} out")
    else:
        dataset = _dataset(data, ours.inputs)
    widths = Recipe.load(usual("w8a8", ours.model.config.family) if recipe is None else recipe)
    manifest, lowering = program(ours, dataset, widths, progress=progress)
    return Model(manifest, lowering)


def _ours(model: "str | Path | torch.nn.Module") -> "Checkpoint | None":
    """A checkpoint of ours, None for another."""
    from ssm_hdl.sw.checkpoint import load, read_safetensors

    if not isinstance(model, str | Path):
        if not hasattr(model, "state_dict"):
            raise UsageError(
                f"model is {brief(repr(model))}; give the path of a checkpoint, "
                "or a module of PyTorch"
            )
        return None
    path = Path(model)
    foreign = path.is_file() and (
        path.suffix != ".safetensors" or "schema" not in read_safetensors(path)[1]
    )
    return None if foreign else load(path)


def _dataset(data: Data, like: "InputSpec | None" = None) -> "Dataset":
    """The samples, of the kind of a checkpoint if there is one."""
    from ssm_hdl.sw.data import Dataset, load, load_for, npz

    if isinstance(data, Dataset):
        return data
    if isinstance(data, tuple):
        if len(data) != 2:
            raise UsageError(f"data has {len(data)} arrays; give two, (x, y)")
        x, y = (_array(name, value) for name, value in zip("xy", data, strict=True))
        return npz.prepare(Path(like.name if like else "arrays"), {"x": x, "y": y}, like)
    if not isinstance(data, str | Path | None):
        raise UsageError(
            f"data is {brief(repr(data))}; give (x, y), the name of a data set, or a file"
        )
    if like is not None:
        return load_for(like, data)
    return load(str(data))


def _array(name: str, value: ArrayLike) -> NDArray[Any]:
    """An argument as an array."""
    try:
        return np.asarray(value)
    except ValueError as error:  # lists of different lengths
        raise UsageError(f"{name} is no array: {error}") from error


def _imported(
    model: "str | Path | torch.nn.Module",
    spec: "InputSpec",
    mean: ArrayLike | None,
    std: ArrayLike | None,
    reading: dict[str, Any],
) -> "Checkpoint":
    """A public checkpoint, or a module by its state dict."""
    import torch

    from ssm_hdl.sw import importers

    def each(name: str, value: ArrayLike | None, stated: tuple[float, ...]) -> tuple[float, ...]:
        """A number for each channel, in the unit of the codes."""
        if value is None:
            return stated
        numbers = _array(name, value)
        if numbers.dtype.kind not in "biuf" or numbers.shape not in ((), (1,), (spec.channels,)):
            raise UsageError(
                f"{name} is {brief(repr(value))}; give a number, "
                f"or one for each of the {spec.channels} channels"
            )
        return tuple((np.broadcast_to(numbers, spec.channels) / unit).tolist())

    unit = np.array(spec.scale or (1.0,) * spec.channels)
    spec = replace(spec, mean=each("mean", mean, spec.mean), std=each("std", std, spec.std))
    layout = reading.pop("layout", None)
    if not isinstance(reading.get("renamed", {}), Mapping):
        raise UsageError(
            f"renamed is {brief(repr(reading['renamed']))}; give new names by old ones, "
            "{'OLD': 'NEW'}"
        )
    if isinstance(model, str | Path):
        return importers.load(model, layout, spec, **reading)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{type(model).__name__.lower()}.pt"
        torch.save(model.state_dict(), path)
        try:
            return importers.load(path, layout, spec, **reading)
        except SsmHdlError as error:
            # a file that the caller does not know
            error.args = (str(error).replace(str(path), type(model).__name__),)
            raise
