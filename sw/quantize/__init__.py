"""Post-training quantization: a float checkpoint and a recipe of bit widths become a manifest, integer from end to end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.data import Dataset
from ssm_hdl.sw.models.s4d import S4D
from ssm_hdl.sw.quantize.calibrate import Calibration, calibrate
from ssm_hdl.sw.quantize.compare import EdgeError, compare
from ssm_hdl.sw.quantize.equalise import Equalised, equalise
from ssm_hdl.sw.quantize.recipe import PRESETS, Recipe
from ssm_hdl.sw.quantize.reconstruct import RECONSTRUCTED, moments
from ssm_hdl.sw.quantize.rows import Rows, error, fit
from ssm_hdl.sw.quantize.s4d import lower

__all__ = ["PRESETS", "EdgeError", "Quantized", "Recipe", "effort", "program", "quantize"]

MARGINS = (1.25, 1.0, 0.8, 0.65, 0.5, 0.4)
"""State margins that ``state_margin: fit`` tries."""

MARGIN_SAMPLES = 64
"""Calibration samples that they are tried on, at most; and at most a quarter of all."""


@dataclass(frozen=True)
class Quantized:
    """A quantized model.

    Attributes:
        manifest: the integer program.
        errors: what is lost where, by edge, on the calibration samples.
    """

    manifest: Manifest
    errors: Mapping[str, EdgeError]


def effort(dataset: Dataset, recipe: Recipe) -> int:
    """Sequences that ``quantize`` runs in all, the total of its progress."""
    samples = min(recipe.samples, len(dataset.train))
    tried = len(MARGINS) * _margin_samples(samples) if recipe.state_margin == "fit" else 0
    return samples * (len(RECONSTRUCTED) + 3) + tried


def quantize(
    checkpoint: Checkpoint, dataset: Dataset, recipe: Recipe, progress: Callable[[int], None] | None = None
) -> Quantized:
    """Quantize a trained model after its training.

    Calibrate on training samples, equalise, calibrate what came out, lower it to integers, and then fit one dense after the other
    to what the float model computes there, given the integers that come before it.

    Args:
        checkpoint: the float model.
        dataset: what it was trained on.
        recipe: widths and rules.
        progress: called with the number of sequences done since the last call; ``effort`` is their total.

    Raises:
        SsmHdlError: another data set than the checkpoint's, widths that cannot work, or activations that are not finite.
    """
    manifest, model = program(checkpoint, dataset, recipe, progress=progress)
    codes = dataset.train.codes[: recipe.samples]
    return Quantized(manifest, compare(manifest, model, checkpoint.inputs, codes, progress))


def program(
    checkpoint: Checkpoint,
    dataset: Dataset,
    recipe: Recipe,
    known: Calibration | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[Manifest, S4D]:
    """The integer program of `quantize`, and the equalised float model that it stands for; without the errors.

    Args:
        checkpoint: the float model.
        dataset: what it was trained on.
        recipe: widths and rules.
        known: `calibrate` of the float model on the samples of the recipe, with states, which many recipes may share.
        progress: called with the number of sequences done since the last call.
    """
    inputs = checkpoint.inputs
    if dataset.name != inputs.name:
        raise SsmHdlError(f"the checkpoint is for {inputs.name}, not for {dataset.name}; calibrate on {inputs.name}")
    codes = dataset.train.codes[: recipe.samples]
    model = checkpoint.require(S4D)
    first = known or calibrate(model, inputs, codes, states=False, progress=progress)
    equalised = equalise(model, inputs, first, recipe)
    calibration = calibrate(equalised.model, inputs, codes, states=known is None, progress=progress)
    if known is not None:
        calibration = calibration.with_states(known, equalised.scale)
    calibration = _with_margin(checkpoint, equalised, calibration, recipe, codes, progress)
    fitted: dict[str, Rows] = {}
    for name in RECONSTRUCTED:
        lowered = lower(checkpoint, equalised, calibration, recipe, fitted)
        seen = moments(lowered.manifest, name, equalised.model, inputs, codes, progress)
        fitted[name] = fit(seen, lowered.weights[name], recipe.weights[name], recipe)
    return lower(checkpoint, equalised, calibration, recipe, fitted).manifest, equalised.model


def _with_margin(
    checkpoint: Checkpoint,
    equalised: Equalised,
    calibration: Calibration,
    recipe: Recipe,
    codes: NDArray[np.integer],
    progress: Callable[[int], None] | None,
) -> Calibration:
    """The calibration with the states that are to be held without saturation, in place of the largest ones."""
    if recipe.state_margin != "fit":
        return replace(calibration, state_peak=calibration.state_peak * recipe.state_margin)
    few, peaks, errors = codes[: _margin_samples(len(codes))], [], []
    for margin in MARGINS:
        tried = replace(calibration, state_peak=calibration.state_peak * margin)
        lowered = lower(checkpoint, equalised, tried, recipe)
        seen = moments(lowered.manifest, "readout", equalised.model, checkpoint.inputs, few, progress)
        errors.append(error(fit(seen, lowered.weights["readout"], recipe.weights["readout"], recipe), seen)[:, 0])
        peaks.append(tried.state_peak)
    best = np.argmin(errors, axis=0)
    return replace(calibration, state_peak=np.array(peaks)[best, np.arange(len(best))])


def _margin_samples(samples: int) -> int:
    return max(1, min(MARGIN_SAMPLES, samples // 4))
