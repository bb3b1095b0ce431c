"""Post-training quantization (PTQ): from a float checkpoint and a recipe of bit widths to a
manifest, integer from end to end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.data import Dataset
from ssm_hdl.sw.quantize.calibrate import Calibration
from ssm_hdl.sw.quantize.compare import EdgeError, compare
from ssm_hdl.sw.quantize.draft import part_of
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.quantize.lowering import DeepLowering, Layer, Lowering
from ssm_hdl.sw.quantize.mamba import MambaLowering
from ssm_hdl.sw.quantize.recipe import PRESETS, Recipe, usual
from ssm_hdl.sw.quantize.reconstruct import Samples, moments
from ssm_hdl.sw.quantize.rows import Rows, error, fit
from ssm_hdl.sw.quantize.s4d import DeepS4DLowering, S4DLowering
from ssm_hdl.sw.quantize.s5 import S5Lowering

__all__ = [
    "FAMILIES",
    "PRESETS",
    "EdgeError",
    "Quantized",
    "Recipe",
    "compare",
    "effort",
    "program",
    "quantize",
    "usual",
]

FAMILIES: dict[str, type[S4DLowering] | type[DeepLowering]] = {
    "s4d": S4DLowering,
    "s4d_deep": DeepS4DLowering,
    "s5": S5Lowering,
    "mamba": MambaLowering,
}
"""The lowering of each family of models."""

MARGINS = (1.25, 1.0, 0.8, 0.65, 0.5, 0.4)
"""State margins that ``state_margin: fit`` tries; below 1,
the largest states saturate and the others are finer."""

MARGIN_SAMPLES = 64
"""Most calibration samples for the choice of a margin, and at most a quarter of all:
the choice takes ``len(MARGINS)`` fits."""

Progress = Callable[[int], None]
"""Called with the number of sequences done since the last call."""


@dataclass(frozen=True)
class Quantized:
    """A quantized model.

    Attributes:
        manifest: the integer program.
        errors: the quantization error of every edge, on the calibration samples.
    """

    manifest: Manifest
    errors: Mapping[str, EdgeError]


def effort(checkpoint: Checkpoint, dataset: Dataset, recipe: Recipe) -> int:
    """Number of sequences that ``quantize`` runs, the total of its progress."""
    family = FAMILIES[checkpoint.model.config.family]
    samples, layers = min(recipe.samples, len(dataset.train)), family.layers_of(checkpoint)
    tried = (
        len(MARGINS) * _margin_samples(samples) * len(layers)
        if recipe.fit and recipe.state_margin == "fit"
        else 0
    )
    fitted = sum(len(layer.fitted) for layer in layers) * recipe.fit
    return samples * (family.calibrations + fitted + 1) + tried


def quantize(
    checkpoint: Checkpoint, dataset: Dataset, recipe: Recipe, progress: Progress | None = None
) -> Quantized:
    """Quantize a trained model (PTQ).

    Calibrate on training samples and lower the model to integers. Then fit one dense after the
    other to the output of the float model, on the inputs that the integer program gives it.

    Args:
        checkpoint: the float model.
        dataset: what it was trained on.
        recipe: widths and rules.
        progress: called with the number of sequences done since the last call;
            ``effort`` is their total.

    Raises:
        SsmHdlError: another data set than the checkpoint's, widths that cannot work,
            or activations that are not finite.
    """
    manifest, lowering = program(checkpoint, dataset, recipe, progress=progress)
    chosen = dataset.train.head(recipe.samples)
    return Quantized(
        manifest, compare(manifest, lowering.wanted, checkpoint.inputs, chosen, progress)
    )


def program(
    checkpoint: Checkpoint,
    dataset: Dataset,
    recipe: Recipe,
    known: Calibration | None = None,
    progress: Progress | None = None,
) -> tuple[Manifest, Lowering]:
    """The integer program of `quantize` without the errors, and the lowering that made it.

    Args:
        checkpoint: the float model.
        dataset: what it was trained on.
        recipe: widths and rules.
        known: ``observe`` of the family on the samples of the recipe; many recipes can share it.
        progress: called with the number of sequences done since the last call.
    """
    checkpoint, inputs = checkpoint.unscaled(), checkpoint.inputs
    if dataset.name != inputs.name:
        raise SsmHdlError(
            f"the checkpoint is for {inputs.name}, not for {dataset.name}; "
            f"calibrate on {inputs.name}"
        )
    chosen = dataset.train.head(recipe.samples)
    lowering = FAMILIES[checkpoint.model.config.family](checkpoint, chosen, recipe, known, progress)
    fitted: dict[str, Rows] = {}
    samples: Samples | None = None
    for layer in lowering.layers if recipe.fit else ():
        # Lower again after every fit, so that the next dense is fitted on the integers
        # that it will see.
        lowered = lowering.lower(fitted)
        samples = samples or Samples.of(inputs, chosen, lowered.manifest.input.name)
        # codes here no longer change: fitted layers are final
        samples = samples.until(lowered.manifest, layer.source)
        if recipe.state_margin == "fit":
            lowering.margins[layer.readout] = _margins(lowering, layer, fitted, samples, progress)
        for name in layer.fitted:
            lowered = lowering.lower(fitted)
            seen = moments(lowered.manifest, name, lowering.wanted, samples, progress)
            fitted[name] = fit(seen, lowered.weights[name], recipe.weights[part_of(name)], recipe)
    return lowering.lower(fitted).manifest, lowering


def _margins(
    lowering: Lowering,
    layer: Layer,
    fitted: Mapping[str, Rows],
    samples: Samples,
    progress: Progress | None,
) -> Floats:
    """The state margins of a layer that give the read-out the least error,
    one per group of the read-out."""
    count = sum(len(codes) for codes, _ in samples.batches)
    few, recipe, name, errors = (
        samples.head(_margin_samples(count)),
        lowering.recipe,
        layer.readout,
        [],
    )
    for margin in MARGINS:
        lowering.margins[name] = np.array([margin])
        lowered = lowering.lower(fitted)
        seen = moments(lowered.manifest, name, lowering.wanted, few, progress)
        errors.append(
            error(
                fit(seen, lowered.weights[name], recipe.weights[part_of(name)], recipe), seen
            ).sum(1)
        )
    return np.asarray(np.array(MARGINS)[np.argmin(errors, axis=0)])


def _margin_samples(samples: int) -> int:
    return max(1, min(MARGIN_SAMPLES, samples // 4))
