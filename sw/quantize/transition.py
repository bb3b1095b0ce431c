"""Storing Abar in few bits: no pole leaves the unit circle, and each keeps its phase and its decay as well as the bits allow."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.fixed import SQ, Codes, Format
from ssm_hdl.operations.base import MAX_SPREAD
from ssm_hdl.sw.quantize.histogram import Floats

Complexes = NDArray[np.complex128]

MAX_F_BITS = 18
"""Fraction bits of a transition with its exponent, at most: one operand of a DSP block of the ECP5."""

_NEIGHBOURS = range(-1, 3)
"""Codes tried for a part, from the one below it."""


@dataclass(frozen=True)
class Transition:
    """Abar in integers.

    Attributes:
        codes: (C, N, 2).
        exponent: of each mode, (C, N); None if all have the format's scale.
        format: of the codes.
        values: Abar as it will run, (C, N).
    """

    codes: Codes
    exponent: Codes | None
    format: Format
    values: Complexes

    @property
    def f_bits(self) -> int:
        """Fraction bits of the finest mode."""
        return self.format.f_bits + (0 if self.exponent is None else int(self.exponent.max()))


def store(abar: Complexes, width: int, delta: bool) -> Transition:
    """Abar (C, N), |Abar| < 1, in codes of ``width`` bits a part.

    Args:
        abar: the poles; 0 is stored exactly.
        width: bits.
        delta: store Abar - 1, with an exponent for each mode; otherwise Abar, each part rounded towards zero, so that no mode
            decays more slowly than it was trained to.
    """
    format = SQ(1, width - 1)
    if delta:
        return _store_delta(abar, format)
    codes = np.trunc(np.ldexp(parts(abar), format.f_bits)).astype(np.int64)
    return Transition(codes, None, format, _complex(codes * format.lsb))


def _store_delta(abar: Complexes, format: Format) -> Transition:
    """Codes of Abar - 1: of those around it, the pair that moves log Abar least and stays inside the unit circle.

    The response of a mode is exp(t log Abar), so that it is the logarithm, decay and phase, which has to be kept.
    """
    delta = abar - 1
    largest = np.abs(parts(delta)).max(-1)
    exponent = np.clip(np.floor(np.log2(1 / largest)), -1, min(MAX_F_BITS - format.f_bits, MAX_SPREAD - 1)).astype(np.int64)
    exponent = np.where((largest * np.exp2(exponent) > format.max * format.lsb) & (abar != 0), exponent - 1, exponent)
    lsb = np.exp2(-(exponent + format.f_bits))
    below = np.floor(parts(delta) / lsb[..., np.newaxis]).astype(np.int64)
    wanted = np.log(np.where(abar == 0, 1, abar))
    best, codes = np.full(abar.shape, np.inf), below
    for re in _NEIGHBOURS:
        for im in _NEIGHBOURS:
            tried = below + np.array([re, im])
            value = 1 + _complex(tried * lsb[..., np.newaxis])
            fits = (tried.min(-1) >= format.min) & (tried.max(-1) <= format.max) & (np.abs(value) < 1) & (value != 0)
            moved = np.abs(np.log(np.where(fits, value, 1)) - wanted)
            error = np.where(abar == 0, np.abs(value) - 1, np.where(fits, moved, np.inf))
            codes = np.where((error < best)[..., np.newaxis], tried, codes)
            best = np.minimum(error, best)
    lost = np.isinf(best)  # too few bits for a pole inside the circle anywhere near: the mode keeps no memory
    codes = np.where(lost[..., np.newaxis], [format.min, 0], codes)
    exponent = np.where(lost, 0, exponent)
    lsb = np.exp2(-(exponent + format.f_bits))
    return Transition(codes, exponent, format, 1 + _complex(codes * lsb[..., np.newaxis]))


def parts(values: Complexes) -> Floats:
    """Real and imaginary parts on a last axis."""
    return np.stack([values.real, values.imag], axis=-1)


def _complex(parts: NDArray[np.floating]) -> Complexes:
    return np.asarray(parts[..., 0] + 1j * parts[..., 1], np.complex128)
