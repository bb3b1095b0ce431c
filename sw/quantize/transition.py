"""Abar in few bits: poles stay inside the unit circle,
and keep phase and decay to the precision of the bits."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.fixed import SQ, Codes, Format
from ssm_hdl.operations.base import MAX_SPREAD
from ssm_hdl.sw.quantize.histogram import Floats

Complexes = NDArray[np.complex128]

MAX_F_BITS = 18
"""Most fraction bits of a transition with its exponent: one operand of a DSP block of the ECP5."""

_NEIGHBOURS = range(-1, 3)
"""Codes tried for a part, relative to the code below the exact value."""


@dataclass(frozen=True)
class Transition:
    """Abar in integers.

    Attributes:
        codes: (C, N, 2).
        exponent: of each mode, (C, N); None if all modes have the format's scale.
        format: of the codes.
        values: the stored Abar, (C, N).
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
    """Store Abar (C, N), |Abar| < 1, in codes of ``width`` bits per part.

    Args:
        abar: the poles; 0 is stored exactly.
        width: bits.
        delta: store Abar - 1, with an exponent per mode. Otherwise store Abar, with both parts
            rounded towards zero, so that no mode decays more slowly than in training.
    """
    format = SQ(1, width - 1)
    if delta:
        return _store_delta(abar, format)
    codes = np.trunc(np.ldexp(real_pairs(abar), format.f_bits)).astype(np.int64)
    return Transition(codes, None, format, _complex(codes * format.lsb))


def _store_delta(abar: Complexes, format: Format) -> Transition:
    """Codes of Abar - 1: of the pairs near the exact value, the one inside the unit circle that
    changes log Abar least.

    The response of a mode is exp(t log Abar), so the logarithm matters: decay and phase.
    """
    delta = abar - 1
    largest = np.abs(real_pairs(delta)).max(-1)
    exponent = np.clip(
        np.floor(np.log2(1 / largest)), -1, min(MAX_F_BITS - format.f_bits, MAX_SPREAD - 1)
    ).astype(np.int64)
    # A part just below a power of two may round beyond the largest code.
    exponent = np.where(
        (largest * np.exp2(exponent) > format.max * format.lsb) & (abar != 0),
        exponent - 1,
        exponent,
    )
    lsb = np.exp2(-(exponent + format.f_bits))
    below = np.floor(real_pairs(delta) / lsb[..., np.newaxis]).astype(np.int64)
    wanted = np.log(np.where(abar == 0, 1, abar))
    # Nearest codes alone may leave the unit circle, so the neighbours are tried too.
    best, codes = np.full(abar.shape, np.inf), below
    for re in _NEIGHBOURS:
        for im in _NEIGHBOURS:
            tried = below + np.array([re, im])
            value = 1 + _complex(tried * lsb[..., np.newaxis])
            fits = (
                (tried.min(-1) >= format.min)
                & (tried.max(-1) <= format.max)
                & (np.abs(value) < 1)
                & (value != 0)
            )
            moved = np.abs(np.log(np.where(fits, value, 1)) - wanted)
            error = np.where(abar == 0, np.abs(value) - 1, np.where(fits, moved, np.inf))
            codes = np.where((error < best)[..., np.newaxis], tried, codes)
            best = np.minimum(error, best)
    # too few bits for a pole inside the circle nearby: the mode gets no memory
    lost = np.isinf(best)
    codes = np.where(lost[..., np.newaxis], [format.min, 0], codes)
    exponent = np.where(lost, 0, exponent)
    lsb = np.exp2(-(exponent + format.f_bits))
    return Transition(codes, exponent, format, 1 + _complex(codes * lsb[..., np.newaxis]))


def real_pairs(values: Complexes) -> Floats:
    """Complex values as real and imaginary parts on a last axis."""
    return np.stack([values.real, values.imag], axis=-1)


def _complex(parts: NDArray[np.floating]) -> Complexes:
    return np.asarray(parts[..., 0] + 1j * parts[..., 1], np.complex128)
