"""Balances the modes of a scan: chooses the scale of every state,
and with it the size of its read-out weight.

A mode x' = Abar x + u is read out as Re(g x) with a complex gain g. The integer program runs h =
2**e x and reads it out with the weight g 2**-e, for any e. A large e uses more bits of the state
but makes the weight small, and all weights of a tensor share a format. A small e does the opposite.
Both errors have formulas, so all e are tried.
"""

from dataclasses import dataclass

import numpy as np

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import Codes, Format, quantize
from ssm_hdl.sw.quantize.formats import covering
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.quantize.recipe import Recipe
from ssm_hdl.sw.quantize.transition import Complexes, real_pairs


@dataclass(frozen=True)
class Modes:
    """The modes of a scan in floating point, of all channels or (axis C left out) of one.

    Attributes:
        transition: Abar as stored, (C, N) complex.
        gain: g, (C, N) complex.
        peak: largest |Re| or |Im| of a state x that must not saturate, (C, N).
        power: mean of |x|^2, (C, N).
        steps: length of a sequence, over which errors of the state add up.
    """

    transition: Complexes
    gain: Complexes
    peak: Floats
    power: Floats
    steps: int

    def of(self, channel: int) -> "Modes":
        """The modes of one channel, (N,)."""
        return Modes(
            self.transition[channel],
            self.gain[channel],
            self.peak[channel],
            self.power[channel],
            self.steps,
        )


def balance(modes: Modes, state: Format, least: int, u: Format, recipe: Recipe) -> Codes:
    """Choose e for every mode, (C, N).

    Args:
        modes: the scan in floating point.
        state: format of each part of h.
        least: the smallest e that drops no bit of the input before the state is rounded.
        u: format of the scan's input.
        recipe: width of the read-out weights, and the rule. ``mse`` takes the e of least squared
            error; otherwise states get the largest scale that does not saturate.

    Raises:
        SsmHdlError: the input has more fraction bits than the accumulator.
    """
    # a state that stays 0 fits for every e
    reach = np.where(modes.peak > 0, modes.peak, np.exp2(-least))
    largest = np.floor(np.log2(state.max * state.lsb / reach)).astype(np.int64)
    largest = np.where(modes.peak > 0, largest, least)
    if largest.min() < least:
        raise SsmHdlError(
            f"states up to {modes.peak.max():.3g} and an input of {u.f_bits} fraction bits do not "
            f"fit a state of {state.width} and a transition of {recipe.transition} bits; "
            "widen one of these two"
        )
    exponents = np.maximum(
        largest - np.arange(state.width if recipe.clip == "mse" else 1)[:, np.newaxis, np.newaxis],
        least,
    )
    weights = np.ldexp(modes.gain.real, -exponents) + 1j * np.ldexp(modes.gain.imag, -exponents)
    top = np.abs(real_pairs(weights[0])).max((1, 2))
    if not recipe.per_channel:
        top = np.full_like(top, top.max())
    lowest, best = np.full(len(top), np.inf), exponents[0]
    # The first exponent gives the smallest weights. Finer formats clip some of them,
    # which pays if it helps the others.
    for finer in range(recipe.weights["readout"] if recipe.clip == "mse" else 1):
        formats = [covering(float(one), recipe.weights["readout"] + finer) for one in top]
        errors = np.stack(
            [
                _errors(
                    modes.of(c),
                    exponents[:, c],
                    weights[:, c],
                    state,
                    u,
                    Format(True, f.i_bits - finer, f.f_bits),
                )
                for c, f in enumerate(formats)
            ],
            axis=1,
        )
        total = errors.min(0).sum(-1)
        better = (
            total < lowest if recipe.per_channel else np.full(len(top), total.sum() < lowest.sum())
        )
        chosen = np.take_along_axis(exponents, errors.argmin(0)[np.newaxis], 0)[0]
        best, lowest = (
            np.where(better[:, np.newaxis], chosen, best),
            np.where(better, total, lowest),
        )
    return np.asarray(best)


def _errors(
    modes: Modes, exponents: Codes, weights: Complexes, state: Format, u: Format, format: Format
) -> Floats:
    """Mean squared error of Re(g x) for every choice of e, mode by mode, (choices, N).

    Re(d h) of a weight error d has the mean square |d|^2 E|h|^2 / 2. Rounding adds lsb^2 / 12 to
    each part of the state at every step. The recurrence accumulates this to lsb^2 / 12 / (1 -
    |Abar|^2), but to no more than ``steps`` lsb^2 / 12.
    """
    codes = quantize(real_pairs(weights), format) * format.lsb
    stored = codes[..., 0] + 1j * codes[..., 1]
    by_weight = np.abs(stored - weights) ** 2 * np.ldexp(modes.power, 2 * exponents) / 2
    memory = np.minimum(1 / (1 - np.abs(modes.transition) ** 2), modes.steps)
    # A pole of 0 with enough fraction bits only passes the input on, without rounding: the skip.
    exact = (modes.transition == 0) & (exponents + state.f_bits >= u.f_bits)
    by_state = np.where(exact, 0.0, np.abs(stored) ** 2 * state.lsb**2 / 12 * memory)
    return np.asarray(by_weight + by_state, np.float64)
