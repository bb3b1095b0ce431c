"""Registered arithmetic that the stages share: delay lines, adder trees, requantisation."""

from collections.abc import Sequence

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value, ValueLike

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import Format, round_shift

REQUANTIZE_LATENCY = 2
"""Cycles of `requantize`: one to round, one to saturate."""


def delay(m: Module, value: ValueLike, cycles: int, reset_less: bool = True) -> Value:
    """``value`` as it was ``cycles`` cycles ago."""
    value = Value.cast(value)
    for _ in range(cycles):
        stage = Signal(value.shape(), reset_less=reset_less)
        m.d.sync += stage.eq(value)
        value = stage
    return value


def plus_minus(a: Value, b: Value, minus: Value) -> Value:
    """``a - b`` or ``a + b``, by one adder: its carry in is an addend below all others;
    a is signed."""
    bits = Cat(b, Const(0, not b.shape().signed))
    total = Cat(minus, a).as_signed() + Cat(minus, bits ^ minus.replicate(len(bits))).as_signed()
    return total >> 1


def operand(value: Value, width: int, cell: str) -> Value:
    """``value`` on the signed input of a DSP block.

    Raises:
        SsmHdlError: it is too wide.
    """
    needed = len(value) + (not value.shape().signed)
    if needed > width:
        raise SsmHdlError(
            f"an operand of {needed} bits, sign included, does not fit the {width} bits of a "
            f"{cell}; give the weight, the transition, "
            "the state or the activation a narrower format"
        )
    return extended(value, width)


def extended(value: Value, width: int) -> Value:
    """``value`` in ``width`` bits."""
    sign = value[-1] if value.shape().signed else Const(0, 1)
    return Cat(value, sign.replicate(max(0, width - len(value))))[:width]


def tree_latency(terms: int) -> int:
    """Cycles of `tree`: one for each level of a binary tree."""
    return (terms - 1).bit_length()


def tree(m: Module, terms: Sequence[Value]) -> Value:
    """Sum of the terms, registered at every level."""
    terms = list(terms)
    while len(terms) > 1:
        sums = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)] + terms[
            len(terms) & ~1 :
        ]
        terms = [delay(m, value, 1) for value in sums]
    return terms[0]


def times_latency(constant: int) -> int:
    """Cycles of `times`: one for each level of a tree with a term for each one of the constant."""
    return tree_latency(constant.bit_count())


def times(m: Module, value: Value, constant: int) -> Value:
    """``value * constant``, by adders."""
    return tree(m, [value << bit for bit in range(constant.bit_length()) if constant >> bit & 1])


def requantize(
    m: Module, value: Value, f_bits: int, format: Format, offset: Value | None = None
) -> Value:
    """`ssm_hdl.fixed.requantize` in two registered steps;
    with an ``offset`` added in place of half a code."""
    drop = f_bits - format.f_bits
    rounded = delay(m, round_shift(value, drop) if offset is None else (value + offset) >> drop, 1)
    return _saturate(m, *_fitted(m, rounded, format), format)


def floor(m: Module, value: Value, drop: int, format: Format) -> Value:
    """``value`` less ``drop`` bits, rounded down and saturated, in the cycles of `requantize`.

    Where rounding takes no adder, the check for saturation takes place a cycle before the register.
    """
    fits, code, sign = (delay(m, part, 1) for part in _fitted(m, value >> drop, format))
    return _saturate(m, fits, code, sign, format)


def saturated(m: Module, value: Value, drop: int, format: Format) -> Value:
    """As `floor`, in the same cycle: for a path with no other logic."""
    return _nearest(*_fitted(m, value >> drop if drop > 0 else value << -drop, format), format)


def _fitted(m: Module, value: Value, format: Format) -> tuple[Value, Value, Value]:
    """Whether a value has a code, that code, and the value's sign.

    The bits above the code tell what `ssm_hdl.fixed.saturate` compares for, without carry chains:
    fewer LUTs, and faster.
    """
    whole = Signal(Shape(max(len(value) + (not value.shape().signed), format.width + 1), True))
    m.d.comb += whole.eq(value)
    above = whole[format.width - format.signed :]
    return ~above.any() | (above.all() if format.signed else 0), whole[: format.width], whole[-1]


def _saturate(m: Module, fits: Value, code: Value, sign: Value, format: Format) -> Value:
    """The code, or the one nearest to what has none, a cycle later."""
    stored = Signal(Shape(format.width, format.signed), reset_less=True)
    m.d.sync += stored.eq(_nearest(fits, code, sign, format))
    return stored


def _nearest(fits: Value, code: Value, sign: Value, format: Format) -> Value:
    """The code, or the one nearest to what has none."""
    return Mux(
        fits, code, Cat((~sign).replicate(format.width - format.signed), sign)[: format.width]
    )
