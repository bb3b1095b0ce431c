"""Exact integer arithmetic in bounds: what a manifest computes fits `MAX_WIDTH` bits,
or is refused when it is loaded.

NumPy computes in int64 and wraps without a word; the RTL is as wide as it has to be.
Both agree on numbers that fit.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import MAX_WIDTH, SQ, Codes, Format, bits, round_shift


def width_of(codes: Codes) -> int:
    """Bits of the narrowest signed format that holds the codes."""
    return bits(int(codes.min(initial=0)), int(codes.max(initial=0)))


def rescale(owner: str, what: str, codes: Codes, drop: int) -> Codes:
    """``round_shift(codes, drop)``.

    Args:
        owner: the operation, for messages.
        what: the codes and their format, for messages.
        codes: integers of at most `MAX_WIDTH` bits.
        drop: bits to drop; below 0 the codes are shifted left.

    Raises:
        SsmHdlError: the shift, or a shifted code, passes `MAX_WIDTH` bits.
    """
    if drop > MAX_WIDTH or width_of(codes) - min(drop, 0) > MAX_WIDTH:
        change = f"drops {drop} bits" if drop > 0 else f"is shifted left by {-drop} bits"
        raise SsmHdlError(
            f"{owner}: {what} {change}, and {MAX_WIDTH} bits are exact; "
            "give it a binary point closer to the result's"
        )
    shifted: Codes = round_shift(codes, drop)
    return shifted


def bound(owner: str, of: Iterable[object], low: ArrayLike, high: ArrayLike, f_bits: int) -> Format:
    """The accumulator of an operation: the narrowest signed format for all sums.

    Args:
        owner: the operation, for messages.
        of: operands with their formats, for messages.
        low: least sums.
        high: greatest sums.
        f_bits: their fraction bits.

    Raises:
        SsmHdlError: it is wider than `MAX_WIDTH` bits.
    """
    least, greatest = int(np.min(low)), int(np.max(high))
    if (width := bits(least, greatest)) > MAX_WIDTH:
        raise SsmHdlError(
            f"{owner}: the exact result of {', '.join(map(str, of))} has {width} bits, and "
            f"{MAX_WIDTH} fit; give them narrower formats, or binary points closer to each other"
        )
    return Format.for_range(least, greatest, f_bits)


def check_rounding(owner: str, sums: Format, f_bits: int, output: Format) -> None:
    """An error unless sums with ``f_bits`` fraction bits, shifted to the output's,
    keep within `MAX_WIDTH` bits."""
    drop = f_bits - output.f_bits
    if drop > MAX_WIDTH or sums.width - drop > MAX_WIDTH:
        change = f"drops {drop} bits" if drop > 0 else f"shifts left by {-drop} bits"
        raise SsmHdlError(
            f"{owner}: rounding its exact result {SQ(sums.width - f_bits, f_bits)} to {output} "
            f"{change}, and {MAX_WIDTH} bits are exact; give the output or the operands a binary "
            "point closer to each other's"
        )


def extremes(owner: str, what: str, coefficients: Codes, format: Format) -> tuple[Codes, Codes]:
    """Least and greatest product of each coefficient with any code of ``format``;
    zero is always between them.

    Args:
        owner: the operation, for messages.
        what: the coefficients and the other operand, for messages.
        coefficients: integers.
        format: format of the other operand.

    Raises:
        SsmHdlError: a product passes `MAX_WIDTH` bits.
    """
    if width_of(coefficients) + format.width > MAX_WIDTH:
        raise SsmHdlError(
            f"{owner}: the products of {what} pass {MAX_WIDTH} bits; "
            "give one of them a narrower format"
        )
    low, high = coefficients * format.min, coefficients * format.max
    return np.minimum(np.minimum(low, high), 0), np.maximum(np.maximum(low, high), 0)
