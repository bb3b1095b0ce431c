"""Fixed-point formats, and the one rounding rule and the one saturation rule of
every integer program.

A number is an integer *code* and a format; its value is ``code * 2**-f_bits``. The names follow
Amaranth's RFC 41, with the sign bit counted among the integer bits: ``SQ(1, 7)`` is 8 bits wide
and covers [-1, 1).

Rounding is half up: ``floor(x + 1/2)``. In hardware it is an added constant and a shift; rounding
half to even would also need the dropped bits. When k bits are dropped its bias is ``2**-(k + 1)``
of a code, and k is large wherever a product is rounded. The rules below are generic in the type of
number: Python integers, NumPy arrays, torch tensors and Amaranth values share them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ssm_hdl.errors import SsmHdlError, brief

Codes = NDArray[np.int64]

MAX_WIDTH = 62
"""Bits of the widest format, and of the widest exact number of an operation:
two of these add up in a 64-bit integer."""

_FORMAT = r"\s*([SU])Q\(\s*(-?[0-9]{1,2})\s*,\s*(-?[0-9]{1,2})\s*\)\s*"
"""A format as a text; more than two digits are a binary point far from every other."""


@dataclass(frozen=True)
class Format:
    """A fixed-point format.

    Attributes:
        signed: two's complement if true, unsigned otherwise.
        i_bits: integer bits, the sign bit included; negative when the leading fraction
            bits are never used.
        f_bits: fraction bits; negative when the lowest integer bits are never used.

    Raises:
        SsmHdlError: fewer than 1 bit (2 if signed) or more than 62 in all.
    """

    signed: bool
    i_bits: int
    f_bits: int

    def __post_init__(self) -> None:
        least = 2 if self.signed else 1
        if not least <= self.width <= MAX_WIDTH:
            kind = "signed" if self.signed else "unsigned"
            raise SsmHdlError(
                f"{self} has {self.width} bits in all; {kind} formats have {least} to {MAX_WIDTH} "
                "bits, write for example SQ(1, 7) or UQ(0, 8)"
            )

    @property
    def width(self) -> int:
        """Bits in all."""
        return self.i_bits + self.f_bits

    @property
    def min(self) -> int:
        """Smallest code."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """Largest code."""
        return (1 << (self.width - self.signed)) - 1

    @property
    def lsb(self) -> float:
        """Value of one code."""
        return float(2.0**-self.f_bits)

    def codes(self) -> Codes:
        """Every code of the format in the order of its bit pattern read as unsigned,
        shape (2**width,)."""
        codes = np.arange(1 << self.width, dtype=np.int64)
        return np.where(codes > self.max, codes - (1 << self.width), codes)

    def __str__(self) -> str:
        return f"{'SQ' if self.signed else 'UQ'}({self.i_bits}, {self.f_bits})"

    @classmethod
    def parse(cls, text: object) -> "Format":
        """The format that a text such as ``"SQ(1, 7)"`` or ``"UQ(0, 8)"`` names.

        Raises:
            SsmHdlError: it is not such a text, or there is no such format.
        """
        match = re.fullmatch(_FORMAT, text) if isinstance(text, str) else None
        if match is None:
            shown = (
                brief(repr(text))
                if isinstance(text, str | int | None)
                else f"a {type(text).__name__}"
            )
            raise SsmHdlError(
                f"{shown} is not a format; write SQ(i, f) or UQ(i, f) with i and f within 99, "
                "for example SQ(1, 7)"
            )
        return cls(match[1] == "S", int(match[2]), int(match[3]))

    @classmethod
    def for_range(cls, low: int, high: int, f_bits: int) -> "Format":
        """The narrowest signed format with ``f_bits`` fraction bits that holds the codes
        ``low`` to ``high``."""
        return SQ(bits(low, high) - f_bits, f_bits)

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def validate(value: object) -> Format:
            if isinstance(value, Format):
                return value
            try:
                return cls.parse(value)
            except SsmHdlError as error:
                raise ValueError(str(error)) from error

        return core_schema.no_info_plain_validator_function(
            validate, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{_FORMAT}$"}


def bits(low: int, high: int) -> int:
    """Bits of the narrowest signed format, 2 at least,
    that holds the integers ``low`` to ``high``."""
    return (
        max((~low if low < 0 else low).bit_length(), (~high if high < 0 else high).bit_length(), 1)
        + 1
    )


def SQ(i_bits: int, f_bits: int) -> Format:
    """Signed format; ``i_bits`` includes the sign bit."""
    return Format(True, i_bits, f_bits)


def UQ(i_bits: int, f_bits: int) -> Format:
    """Unsigned format."""
    return Format(False, i_bits, f_bits)


def round_shift(x: Any, shift: int) -> Any:
    """``floor(x / 2**shift + 1/2)``, the rounding rule; exact for ``shift <= 0``."""
    if shift <= 0:
        return x << -shift
    return (x + (1 << (shift - 1))) >> shift


def round_divide(x: Any, divisor: Any) -> Any:
    """``floor(x / divisor + 1/2)``, the rounding rule for a divisor above 0 that
    is no power of two."""
    return (2 * x + divisor) // (2 * divisor)


def saturate(x: Any, format: Format, select: Callable[[Any, Any, Any], Any] = np.where) -> Any:
    """``x`` clamped to the codes of ``format``, the saturation rule.

    Args:
        x: codes of any type.
        format: the format to fit.
        select: ``select(condition, a, b)`` for the type of ``x``: ``np.where``, ``torch.where``,
            Amaranth's ``Mux``.
    """
    return select(x > format.max, format.max, select(x < format.min, format.min, x))


def requantize(
    x: Any, f_bits: int, format: Format, select: Callable[[Any, Any, Any], Any] = np.where
) -> Any:
    """Codes with ``f_bits`` fraction bits, rounded and saturated to ``format``."""
    return saturate(round_shift(x, f_bits - format.f_bits), format, select)


def quantize(values: ArrayLike, format: Format) -> Codes:
    """Real values to codes of ``format``, by the same two rules;
    floats meet the integer program only here.

    Raises:
        SsmHdlError: a value is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if not np.isfinite(values).all():
        raise SsmHdlError(
            f"cannot quantize to {format}: {np.count_nonzero(~np.isfinite(values))} values "
            "are not finite"
        )
    scaled = np.floor(np.ldexp(values, format.f_bits) + 0.5)
    codes: Codes = np.clip(scaled, format.min, format.max).astype(np.int64)
    return codes
