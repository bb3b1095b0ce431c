"""Multipliers: products side by side, inferred, in the DSP blocks of the iCE40 and the ECP5, or made of adders.

A DSP block makes two products where they fit: an SB_MAC16 any two of 8 bits, a MULT18X18D two that have the second operand in
common, (a1 << k + a0) * b with k bits for a0 * b, if that fits its 18 bits. A negative a0 takes 1 from a1, in the table that
they come from (`lend`): an adder in front of the block would be on the longest way that there is.
"""

from collections.abc import Sequence
from typing import TypeAlias

from amaranth.hdl import Cat, Module, Shape, Signal, Value

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import Codes
from ssm_hdl.gateware import adders, dsp
from ssm_hdl.gateware.arithmetic import delay

KINDS = ("dsp", "ice40", "ecp5", "lut")
"""``dsp``: an inferred product, for any tool. ``ice40``, ``ecp5``: the DSP block of the family, instantiated, since Yosys moves
no registers into a MULT18X18D and drops results when it moves them into an SB_MAC16. ``lut``: adders, for the small
element-wise products."""

DSP_LATENCY = 3
"""Cycles of a product that has a DSP block alone."""

Numbers: TypeAlias = Shape | range
"""What an operand may be: all numbers of a shape, or fewer of them."""


def latency(kind: str, a: Numbers, b: Numbers, shared: int = 1, registers: int = adders.ALL) -> int:
    """Cycles of products of a and b, of which ``shared`` at a time have the same b; ``registers`` as in `adders`.

    3 in a DSP block; 2 in half an SB_MAC16, 4 in half a MULT18X18D, with one more for the correction of the upper product;
    of adders what `adders.latency` says.
    """
    if kind not in KINDS:
        raise SsmHdlError(f"multiplier kind {kind!r}; there are {', '.join(KINDS)}")
    if kind == "lut":
        return adders.latency(Shape.cast(a), Shape.cast(b), registers)
    return DSP_LATENCY + {"ice40": -1, "ecp5": 1}[kind] * pairs(kind, a, b, shared) if kind != "dsp" else DSP_LATENCY


def blocks(kind: str, a: Numbers, b: Numbers, count: int, shared: int = 1) -> int:
    """DSP blocks of ``count`` products of a and b, of which ``shared`` at a time have the same b."""
    if kind == "lut":
        return 0
    if not pairs(kind, a, b, shared):
        return count
    return -(-count // 2) if kind == "ice40" else count // shared * -(-shared // 2)


def multiply_all(
    m: Module,
    kind: str,
    products: Sequence[tuple[Value, Value]],
    a: Numbers | None = None,
    b: Numbers | None = None,
    shared: int = 1,
    registers: int = adders.ALL,
) -> list[Value]:
    """The products, exact, all after `latency` cycles, every cycle.

    Args:
        m: the module they go to.
        kind: one of `KINDS`.
        products: their operands.
        a: what the first operands may be, if that is less than their shapes say.
        b: what the second ones may be.
        shared: as many at a time have the same Value as b; the first operands of those come from `lend` then.
        registers: those in front of adders, see `adders`.

    Raises:
        SsmHdlError: an operand is too wide for the kind.
    """
    a, b = (_common(side) if given is None else given for given, side in zip((a, b), zip(*products, strict=True), strict=True))
    shape = _product(a, b)
    if not pairs(kind, a, b, shared):
        cycles = latency(kind, a, b, shared, registers)
        made = [_alone(m, kind, *product, cycles, registers) for product in products]
        return [_read(product, shape) for product in made] if kind in ("ice40", "ecp5") else made  # of a cell all bits come
    groups: dict[int, list[int]] = {}  # of products that share b
    for index, (_, factor) in enumerate(products):
        groups.setdefault(id(factor), []).append(index)
    results: dict[int, Value] = {}
    signs = Shape.cast(a).signed, Shape.cast(b).signed
    for group in [list(range(len(products)))] if kind == "ice40" else groups.values():
        for pair in (group[k : k + 2] for k in range(0, len(group), 2)):
            numbers = [products[index] for index in pair]
            made = _halves(m, numbers, shape, *signs) if kind == "ice40" else _shared(m, numbers, shape)
            results |= zip(pair, made, strict=True)
    return [results[index] for index in range(len(products))]


def multiply(m: Module, kind: str, a: Value, b: Value, registers: int = adders.ALL) -> Value:
    """a * b, exact, after `latency` cycles, a product every cycle."""
    (product,) = multiply_all(m, kind, [(a, b)], registers=registers)
    return product


def lend(kind: str, codes: Codes, axis: int, a: Numbers, b: Numbers) -> Codes:
    """Constant operands a as they are multiplied by b, which those along an axis share.

    Of two in a MULT18X18D, the upper one has 1 less where the lower one is negative.
    """
    if kind != "ecp5" or not pairs(kind, a, b, codes.shape[axis]):
        return codes
    lent = codes.swapaxes(0, axis).copy()
    upper = lent[1::2]
    upper -= lent[: 2 * len(upper) : 2] < 0
    return lent.swapaxes(0, axis)


def pairs(kind: str, a: Numbers, b: Numbers, shared: int) -> bool:
    """Two products take one DSP block."""
    if kind == "ice40":
        return max(Shape.cast(a).width, Shape.cast(b).width) <= dsp.HALF
    return kind == "ecp5" and shared > 1 and fits(_packed(a, b)) and fits(b)


def spare(numbers: Numbers) -> int:
    """Bits that they leave of an operand of a MULT18X18D; below 0 if they do not fit."""
    shape = Shape.cast(numbers)
    return dsp.MULT18X18D - shape.width - (not shape.signed)


def fits(numbers: Numbers) -> bool:
    """They go into a MULT18X18D."""
    return spare(numbers) >= 0


def _bounds(numbers: Numbers) -> tuple[int, int]:
    """The least and the greatest."""
    if isinstance(numbers, range):
        return numbers[0], numbers[-1]
    top = 1 << numbers.width - numbers.signed
    return -top if numbers.signed else 0, top - 1


def _product(a: Numbers, b: Numbers) -> Shape:
    """The shape of a * b."""
    corners = [x * y for x in _bounds(a) for y in _bounds(b)]
    return Shape.cast(range(min(corners), max(corners) + 1))


def _packed(a: Numbers, b: Numbers) -> range:
    """The operand that stands for two: (a1 << k) + a0."""
    low, high = _bounds(a)
    k = _product(a, b).width
    return range((low << k) + low, (high << k) + high + 1)


def _common(values: Sequence[Value]) -> Shape:
    """The narrowest shape that holds all values."""
    shapes = [value.shape() for value in values]
    signed = any(shape.signed for shape in shapes)
    return Shape(max(shape.width + (signed and not shape.signed) for shape in shapes), signed)


def _alone(m: Module, kind: str, a: Value, b: Value, cycles: int, registers: int) -> Value:
    """One product with a multiplier of its own."""
    match kind:
        case "dsp":
            # Two registers before the product and one behind it, which has to be kept as it is: `synth_ice40 -dsp` of Yosys 0.70
            # reads 0 where it moves two of them behind the product into the DSP block, and loses one of two products that
            # it moves their sum into.
            a, b = delay(m, a, 2), delay(m, b, 2)
            product = Signal((a * b).shape(), reset_less=True, attrs={"keep": 1})
            m.d.sync += product.eq(a * b)
            return product
        case "ice40":
            return dsp.sb_mac16(m, a, b)
        case "ecp5":
            return dsp.mult18x18d(m, a, b)
        case _:
            spare = cycles - adders.latency(a.shape(), b.shape(), registers)
            assert spare >= 0, "an operand is wider than it was said to be"
            return delay(m, adders.multiply(m, a, b, registers), spare)


def _halves(m: Module, pair: Sequence[tuple[Value, Value]], shape: Shape, a_signed: bool, b_signed: bool) -> list[Value]:
    """One or two products in an SB_MAC16."""
    made = dsp.sb_mac16_halves(m, [a for a, _ in pair], [b for _, b in pair], a_signed, b_signed)
    return [_read(product, shape) for product in made[: len(pair)]]


def _shared(m: Module, pair: Sequence[tuple[Value, Value]], shape: Shape) -> list[Value]:
    """One or two products with the same second operand in a MULT18X18D.

    The upper operand has lent 1 to a negative lower one. What a negative lower product takes from the upper one is given back
    behind the block.
    """
    k = shape.width
    (low, b), *upper = pair
    if not upper:
        return [delay(m, _read(dsp.mult18x18d(m, low, b), shape), 1)]
    ((high, _),) = upper
    both = Cat(dsp.extended(low, k), high)
    product = dsp.mult18x18d(m, both.as_signed() if high.shape().signed else both, b)
    total = product[k : 2 * k] + (product[k - 1] if shape.signed else 0)
    return [delay(m, _read(value, shape), 1) for value in (product, total)]


def _read(product: Value, shape: Shape) -> Value:
    """The bits of a product that count."""
    number = product[: shape.width]
    return number.as_signed() if shape.signed else number
