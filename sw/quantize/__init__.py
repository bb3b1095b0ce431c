"""Post-training quantization: a float checkpoint and a recipe of bit widths become a manifest, integer from end to end."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.data import Dataset
from ssm_hdl.sw.quantize.calibrate import calibrate
from ssm_hdl.sw.quantize.compare import EdgeError, compare
from ssm_hdl.sw.quantize.equalise import equalise
from ssm_hdl.sw.quantize.recipe import PRESETS, Recipe
from ssm_hdl.sw.quantize.reconstruct import RECONSTRUCTED, moments
from ssm_hdl.sw.quantize.rows import Rows, fit
from ssm_hdl.sw.quantize.s4d import lower

__all__ = ["PRESETS", "EdgeError", "Quantized", "Recipe", "effort", "quantize"]

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
    return min(recipe.samples, len(dataset.train)) * (len(RECONSTRUCTED) + 3)


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
    inputs = checkpoint.inputs
    if dataset.name != inputs.name:
        raise SsmHdlError(f"the checkpoint is for {inputs.name}, not for {dataset.name}; calibrate on {inputs.name}")
    codes = dataset.train.codes[: recipe.samples]
    first = calibrate(checkpoint.model, inputs, codes, states=False, progress=progress)
    equalised = equalise(checkpoint.model, inputs, first, recipe)
    calibration = calibrate(equalised.model, inputs, codes, progress=progress)
    fitted: dict[str, Rows] = {}
    for name in RECONSTRUCTED:
        lowered = lower(checkpoint, equalised, calibration, recipe, fitted)
        seen = moments(lowered.manifest, name, equalised.model, inputs, codes, progress)
        fitted[name] = fit(seen, lowered.weights[name], recipe.weights[name], recipe)
    manifest = lower(checkpoint, equalised, calibration, recipe, fitted).manifest
    return Quantized(manifest, compare(manifest, equalised.model, inputs, codes, progress))
