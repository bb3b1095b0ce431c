"""Balancing the modes of a scan: how far each state is scaled, and with it how large its read-out weights get.

A mode x' = Abar x + u is read out as Re(g x) with a complex gain g. The integer program runs h = 2**e x and reads it out
by the weight g 2**-e, for any e. A large e uses more of the state's bits and leaves fewer to the weight, whose tensor has
one format; a small e does the opposite. Both errors are known in advance, so the best e is found by trying all.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import Codes, Format, quantize
from ssm_hdl.sw.quantize.formats import candidates, covering
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.quantize.recipe import Recipe

Complexes = NDArray[np.complex128]


@dataclass(frozen=True)
class Modes:
    """The modes of a scan in floating point.

    Attributes:
        transition: Abar as it will run, (C, N) complex.
        gain: g, (C, N) complex.
        peak: largest |Re| or |Im| of each state x to be kept without saturation, (C, N).
        power: mean of |x|^2, (C, N).
        steps: of a sequence, over which errors of the state add up.
    """

    transition: Complexes
    gain: Complexes
    peak: Floats
    power: Floats
    steps: int


@dataclass(frozen=True)
class Balanced:
    """Modes in integers.

    Attributes:
        exponent: e, (C, N).
        weight: codes of g 2**-e, (C, N, 2).
        format: of ``weight``.
    """

    exponent: Codes
    weight: Codes
    format: Format


def truncate(transition: Complexes, format: Format) -> Codes:
    """Codes (C, N, 2) of Abar (C, N), each part rounded towards zero: no mode decays more slowly than it was trained to."""
    return np.trunc(np.ldexp(parts(transition), format.f_bits)).astype(np.int64)


def balance(modes: Modes, state: Format, transition: Format, u: Format, recipe: Recipe) -> Balanced:
    """Choose e for every mode, and the format of the read-out weights.

    Args:
        modes: what the scan is to do.
        state: format of each part of h.
        transition: format of Abar.
        u: format of the scan's input.
        recipe: width of the read-out weights, and the rule: ``mse`` finds both by the least squared error, otherwise states
            are as large as they may be and no weight is clipped.

    Raises:
        SsmHdlError: the input has more fraction bits than the accumulator.
    """
    largest = np.floor(np.log2(state.max * state.lsb / np.maximum(modes.peak, 2.0**-60))).astype(np.int64)
    least = u.f_bits - transition.f_bits - state.f_bits
    if largest.min() < least:
        raise SsmHdlError(
            f"states up to {modes.peak.max():.3g} and an input of {u.f_bits} fraction bits do not fit a state of "
            f"{state.width} and a transition of {transition.width} bits; widen one of these two"
        )
    exponents = np.maximum(largest - np.arange(state.width if recipe.clip == "mse" else 1)[:, np.newaxis, np.newaxis], least)
    weights = np.ldexp(modes.gain.real, -exponents) + 1j * np.ldexp(modes.gain.imag, -exponents)
    widest = covering(float(np.abs(parts(weights[0])).max()), recipe.weights["readout"])
    best: tuple[float, Format, Codes] | None = None
    for format in candidates(widest, recipe):
        errors = _errors(modes, exponents, weights, state, u, format)
        total = float(errors.min(0).sum())
        if best is None or total < best[0]:
            best = total, format, np.take_along_axis(exponents, errors.argmin(0)[np.newaxis], 0)[0]
    assert best is not None
    _, format, exponent = best
    return Balanced(exponent, quantize(np.ldexp(parts(modes.gain), -exponent[..., np.newaxis]), format), format)


def parts(values: Complexes) -> Floats:
    """Real and imaginary parts on a last axis."""
    return np.stack([values.real, values.imag], axis=-1)


def _errors(modes: Modes, exponents: Codes, weights: Complexes, state: Format, u: Format, format: Format) -> Floats:
    """Mean squared error of Re(g x) for every choice of e, mode by mode, (choices, C, N).

    Re(d h) of a weight error d has the mean square |d|^2 E|h|^2 / 2. Rounding adds lsb^2 / 12 to each part of the state at
    every step, which the recurrence accumulates to lsb^2 / 12 / (1 - |Abar|^2), or to `steps` times as much if that is less.
    """
    codes = quantize(parts(weights), format) * format.lsb
    stored = codes[..., 0] + 1j * codes[..., 1]
    by_weight = np.abs(stored - weights) ** 2 * np.ldexp(modes.power, 2 * exponents) / 2
    memory = np.minimum(1 / (1 - np.abs(modes.transition) ** 2), modes.steps)
    exact = (modes.transition == 0) & (exponents + state.f_bits >= u.f_bits)
    by_state = np.where(exact, 0.0, np.abs(stored) ** 2 * state.lsb**2 / 12 * memory)
    return np.asarray(by_weight + by_state, np.float64)
