"""Storing an exact sum in an output format, with its saturations counted."""

from typing import NamedTuple

import numpy as np

from ssm_hdl.fixed import Codes, Format, round_shift, saturate


class Stored(NamedTuple):
    """Codes of an edge.

    Attributes:
        codes: the codes.
        saturations: how many numbers saturated.
        states: numbers that were stored beside the codes, as states.
    """

    codes: Codes
    saturations: int
    states: int = 0


def store(x: Codes, f_bits: int, format: Format) -> Stored:
    """Sums with ``f_bits`` fraction bits, rounded and saturated to ``format``."""
    rounded = round_shift(x, f_bits - format.f_bits)
    codes = saturate(rounded, format)
    return Stored(codes, int(np.count_nonzero(codes != rounded)))
