"""The best format of a given width for an edge or a tensor."""

import math
from collections.abc import Callable

import numpy as np

from ssm_hdl.fixed import Format, quantize
from ssm_hdl.sw.quantize.histogram import Floats, Histogram
from ssm_hdl.sw.quantize.recipe import Recipe


def covering(reach: float, width: int, signed: bool = True) -> Format:
    """The finest format of ``width`` bits whose range goes up to ``reach``."""
    i_bits = math.frexp(reach)[1] + signed if reach > 0 else 1
    return Format(signed, i_bits, width - i_bits)


def candidates(widest: Format, recipe: Recipe) -> list[Format]:
    """``widest``, and by the rule ``mse`` also the formats of the same width that clip
    more and round less."""
    more = range(widest.width if recipe.clip == "mse" else 1)
    return [Format(widest.signed, widest.i_bits - bits, widest.f_bits + bits) for bits in more]


def reach(histogram: Histogram, recipe: Recipe) -> Floats:
    """The magnitude (channels,) that a format has to hold by the recipe's rule."""
    if recipe.clip == "percentile":
        return histogram.percentile(recipe.percentile)
    return histogram.peak


def edge_format(
    histogram: Histogram,
    width: int,
    recipe: Recipe,
    function: Callable[[Floats], Floats] | None = None,
    scale: Floats | float = 1.0,
    signed: bool = True,
) -> Format:
    """The format of an edge.

    Args:
        histogram: of its values.
        width: in bits.
        recipe: gives the rule.
        function: the next operation on the edge; the rule ``mse`` then takes errors at its output.
        scale: factor of the channels, (channels,).
        signed: it has a sign.
    """
    if np.ndim(scale) == 0:
        # one scale and one format for all: the percentile of the tensor
        histogram = histogram.pooled
    tried = candidates(
        covering(float((reach(histogram, recipe) * scale).max()), width, signed), recipe
    )
    return min(tried, key=lambda format: float(histogram.error(format, scale, function).sum()))


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), the function of a gate, by a form that cannot overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(x / 2))


def gated_format(value: Histogram, gate: Histogram, width: int, recipe: Recipe) -> Format:
    """The signed format that ``value`` and ``gate`` share,
    by the squared error of value * sigmoid(gate)."""
    widest = max(float(reach(value, recipe).max()), float(reach(gate, recipe).max()))
    by_value, by_gate = gate.mean(lambda x: sigmoid(x) ** 2), value.mean(np.square)

    def error(format: Format) -> float:
        return float(
            by_value @ value.error(format) + by_gate @ gate.error(format, function=sigmoid)
        )

    return min(candidates(covering(widest, width), recipe), key=error)


def tensor_format(values: Floats, width: int, recipe: Recipe) -> Format:
    """The signed format of a tensor: the one with the least squared error,
    or the one that clips nothing."""
    tried = candidates(covering(float(np.abs(values).max()), width), recipe)
    return min(
        tried,
        key=lambda format: float(((quantize(values, format) * format.lsb - values) ** 2).sum()),
    )
