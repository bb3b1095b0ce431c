"""Equalisation: scales every channel so that the integers of mixing are used best.

Value and gate are outputs of one dense, mixing, so they share a format of outputs and a format of
weights. The gate cannot be scaled, because the sigmoid after it is not linear. But a channel c of
the residual stream may have any scale s[c]. Multiply the encoder's row and the value's row by s[c],
divide C, D and the decoder's column by it, and the model computes the same. This is cross-layer
equalisation (Nagel et al., arXiv 1906.04721, section 4.1), here with the formats chosen
at the same time.
"""

import copy
from dataclasses import dataclass

import numpy as np
import torch

from ssm_hdl import Format
from ssm_hdl.fixed import quantize as to_codes
from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.models.s4d import LAYER, S4D
from ssm_hdl.sw.quantize.calibrate import Calibration
from ssm_hdl.sw.quantize.formats import candidates, covering, reach, sigmoid
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.quantize.recipe import Recipe
from ssm_hdl.sw.quantize.rows import nearest, values

MIXING = f"{LAYER}.output_linear.0"
"""The dense with the outputs value and gate, in the names of the model's parameters."""

OCTAVES, PER_OCTAVE = 6, 8
"""Scales tried for a channel: octaves above the largest scale that clips no value,
and scales per octave."""


@dataclass(frozen=True)
class Equalised:
    """An equivalent S4D, and the format for which its scales were chosen.

    Attributes:
        model: the equivalent model.
        mixing: format of value and gate.
        scale: s, (H,).
    """

    model: S4D
    mixing: Format
    scale: Floats


def equalise(model: S4D, inputs: InputSpec, calibration: Calibration, recipe: Recipe) -> Equalised:
    """Choose s and both formats of mixing, by the squared error at the decoder if the recipe's
    rule is ``mse``.

    Args:
        model: the trained model, which is not changed.
        inputs: normalisation of its inputs.
        calibration: of this model; its states are not needed.
        recipe: widths and rule.
    """
    value, gate, residual = (calibration.edges[name] for name in ("value", "gate", "residual"))
    weights = dict(model.named_parameters())[f"{MIXING}.weight"].detach().double().numpy()[..., 0]
    value_rows, gate_rows = np.split(weights, 2)
    columns = np.square(model.decoder.weight.detach().double().numpy()).sum(0)
    gelu = calibration.edges["gelu"]
    # Variances alone: a later bias corrects the errors of the means.
    variance = gelu.mean(np.square) - gelu.mean() ** 2
    slope = gate.mean(lambda x: (sigmoid(x) * sigmoid(-x)) ** 2)
    # glu = value * sigmoid(gate): an error of one counts with the mean square of the other,
    # then with the decoder's weights.
    for_value = columns * calibration.edges["sigmoid"].mean(np.square)
    for_gate = columns * value.mean(np.square)

    def by_weight(rows: Floats, format: Format, scale: Floats | float) -> Floats:
        """Mean squared error (rows,) of the unscaled outputs,
        from the rounding of their rows of weights."""
        scale = np.broadcast_to(scale, len(rows))[:, np.newaxis]
        rounded = to_codes(rows * scale, format) * format.lsb / scale
        return np.asarray((rounded - rows) ** 2 @ variance)

    largest = np.maximum(reach(value, recipe), reach(residual, recipe))
    largest = np.maximum(largest, largest.max() / 1024 or 1.0)  # a bounded scale for a dead channel
    steps = np.exp2(np.arange(OCTAVES * PER_OCTAVE if recipe.clip == "mse" else 1) / PER_OCTAVE)
    best: tuple[float, Format, Floats] | None = None
    for mixing in candidates(
        covering(float(reach(gate, recipe).max()), recipe.activations["mixing"]), recipe
    ):
        scales = mixing.max * mixing.lsb / largest * steps[:, np.newaxis]
        by_value = np.array(
            [value.error(mixing, scale) + residual.error(mixing, scale) for scale in scales]
        )
        by_gate = gate.error(mixing, function=sigmoid)
        heaviest = max(
            float(np.abs(gate_rows).max()),
            float(np.abs(value_rows * scales[0][:, np.newaxis]).max()),
        )
        for weight in candidates(covering(heaviest, recipe.weights["mixing"]), recipe):
            errors = by_value + np.array([by_weight(value_rows, weight, scale) for scale in scales])
            total = for_value @ errors.min(0) + for_gate @ (
                by_gate + by_weight(gate_rows, weight, 1.0) * slope
            )
            if best is None or total < best[0]:
                chosen = np.take_along_axis(scales, errors.argmin(0)[np.newaxis], 0)[0]
                best = float(total), mixing, chosen
    assert best is not None
    _, mixing, scale = best
    scale = scale * _snap(model, inputs, scale, recipe)
    return Equalised(rescale(model, scale), mixing, scale)


def _snap(model: S4D, inputs: InputSpec, scale: Floats, recipe: Recipe) -> Floats:
    """Factors (H,), close to 1, that move the encoder's scaled weights onto codes,
    so that rounding loses nothing; 0 stays."""
    weight = (
        model.encoder.weight.detach().double().numpy() * scale[:, np.newaxis] / np.array(inputs.std)
    )
    stored = values(
        nearest(weight[np.newaxis], np.zeros((1, len(weight))), recipe.weights["encoder"], recipe)
    )[0]
    return np.where(
        (stored == 0) | (weight == 0), 1.0, stored / np.where(weight == 0, 1.0, weight)
    )[:, 0]


def rescale(model: S4D, scale: Floats) -> S4D:
    """An equivalent model, with channel c of the residual stream multiplied by ``scale[c]``,
    (H,)."""
    s = torch.from_numpy(scale).float()
    # Outputs of mixing are values, then gates, which are not scaled.
    value_alone = torch.cat([s, torch.ones_like(s)])
    factors = {
        "encoder.weight": s[:, None],
        "encoder.bias": s,
        f"{LAYER}.kernel.C": 1 / s[:, None, None],
        f"{LAYER}.D": 1 / s,
        f"{MIXING}.weight": value_alone[:, None, None],
        f"{MIXING}.bias": value_alone,
        "decoder.weight": 1 / s,
    }
    model = copy.deepcopy(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.mul_(factors.get(name, 1.0))
    return model
