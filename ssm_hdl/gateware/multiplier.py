"""Kinds of multipliers: products side by side, in the DSP blocks of a family or made of LUTs.

Every family has two kinds, `DSP` and `LUT` (`ssm_hdl.families`). A kind says how many cycles a
product takes and how many DSP blocks several products take, since some blocks make two products
where the operands are narrow.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeAlias

from amaranth.hdl import Module, Mux, Shape, Signal, Value

from ssm_hdl.fixed import Codes
from ssm_hdl.gateware import adders
from ssm_hdl.gateware.arithmetic import delay

DSP, LUT = "dsp", "lut"
"""The kinds of multipliers by name, as plans and reports give them."""

Numbers: TypeAlias = Shape | range
"""The values of an operand: all numbers of a shape, or fewer."""

Products: TypeAlias = Sequence[tuple[Value, Value]]
"""Operands of products side by side."""


class Multiplier(ABC):
    """A kind of multiplier.

    Attributes:
        shifts: its operands have bits to spare,
            so it can shift as well (see `ssm_hdl.gateware.scales`).
    """

    shifts = False

    @abstractmethod
    def latency(self, a: Numbers, b: Numbers, shared: int = 1) -> int:
        """Cycles of products of a and b; ``shared`` products at a time have the same b."""

    @abstractmethod
    def blocks(self, a: Numbers, b: Numbers, count: int, shared: int = 1) -> int:
        """DSP blocks of ``count`` products of a and b;
        ``shared`` products at a time have the same b."""

    @abstractmethod
    def products(
        self, m: Module, products: Products, a: Numbers, b: Numbers, shared: int
    ) -> list[Value]:
        """As `multiply_all`, for operands whose values are known."""

    def takes_sums(self, a: Numbers, b: Numbers) -> bool:
        """The sums of operands fit that make a complex product of three real ones;
        a sum has one more bit."""
        return False

    def spare(self, numbers: Numbers) -> int:
        """Bits of an operand that the numbers leave free; below 0 if they do not fit."""
        return 0

    def borrow(self, codes: Codes, axis: int, a: Numbers, b: Numbers) -> Codes:
        """Constant operands a as the table holds them; those along an axis share b."""
        return codes

    def accumulates(self, a: Numbers, b: Numbers, width: int) -> bool:
        """`accumulate` takes no logic for sums of this width."""
        return False

    def sum_latency(self, a: Numbers, b: Numbers) -> int:
        """Cycles from the operands of a product to the sum that it is in, of `accumulate`."""
        return self.latency(a, b) + 1

    def accumulate(
        self, m: Module, a: Value, b: Value, start: Value, load: Value, hold: Value, width: int
    ) -> Value:
        """A running sum of products, signed, modulo 2**width.

        Args:
            m: the module that gets it.
            a: the first operand.
            b: the second operand.
            start: what the sum begins with, a cycle before ``load``.
            load: the sum begins, in the place of the product of `sum_latency` - 1 cycles ago.
            hold: that product does not count; only where ``load`` is false.
            width: bits of the sum.
        """
        total, first = Signal(Shape(width, True), reset_less=True, name="total"), delay(m, start, 1)
        product = self.multiply(m, a, b)
        with m.If(~hold):
            m.d.sync += total.eq(Mux(load, first, total + product))
        return total

    def multiply_all(
        self,
        m: Module,
        products: Products,
        a: Numbers | None = None,
        b: Numbers | None = None,
        shared: int = 1,
    ) -> list[Value]:
        """The products, exact, all after `latency` cycles, every cycle.

        Args:
            m: the module that gets them.
            products: their operands.
            a: the values of the first operands, if these are fewer than their shapes allow.
            b: the values of the second operands.
            shared: this many products at a time have the same Value as b;
                their first operands come from `borrow`.

        Raises:
            SsmHdlError: an operand is too wide for the kind.
        """
        first, second = (_common(operands) for operands in zip(*products, strict=True))
        return self.products(
            m, products, first if a is None else a, second if b is None else b, shared
        )

    def multiply(self, m: Module, a: Value, b: Value) -> Value:
        """a * b, exact, after `latency` cycles, a product every cycle."""
        (product,) = self.multiply_all(m, [(a, b)])
        return product


class LutMultiplier(Multiplier):
    """Partial products and an adder tree, see `ssm_hdl.gateware.adders`.

    Args:
        registers: registers before the adder tree.
    """

    def __init__(self, registers: int) -> None:
        self.registers = registers

    def latency(self, a: Numbers, b: Numbers, shared: int = 1) -> int:
        """As `adders.latency`."""
        return adders.latency(Shape.cast(a), Shape.cast(b), self.registers)

    def blocks(self, a: Numbers, b: Numbers, count: int, shared: int = 1) -> int:
        """None."""
        return 0

    def products(
        self, m: Module, products: Products, a: Numbers, b: Numbers, shared: int
    ) -> list[Value]:
        """Adders for each product; a constant or narrow operand takes fewer cycles,
        and is delayed."""
        cycles = self.latency(a, b)
        multiplied = []
        for x, y in products:
            early = cycles - self.latency(x.shape(), y.shape())
            assert early >= 0, "an operand is wider than its stated values"
            multiplied.append(delay(m, adders.multiply(m, x, y, self.registers), early))
        return multiplied


def bounds(numbers: Numbers) -> tuple[int, int]:
    """The least and the greatest value."""
    if isinstance(numbers, range):
        return numbers[0], numbers[-1]
    top = 1 << numbers.width - numbers.signed
    return -top if numbers.signed else 0, top - 1


def product_shape(a: Numbers, b: Numbers) -> Shape:
    """The shape of a * b."""
    corners = [x * y for x in bounds(a) for y in bounds(b)]
    return Shape.cast(range(min(corners), max(corners) + 1))


def narrowed(product: Value, shape: Shape) -> Value:
    """The low bits of a DSP block's output that hold a product of a shape."""
    number = product[: shape.width]
    return number.as_signed() if shape.signed else number


def _common(values: Sequence[Value]) -> Shape:
    """The narrowest shape that holds all values."""
    shapes = [value.shape() for value in values]
    signed = any(shape.signed for shape in shapes)
    return Shape(max(shape.width + (signed and not shape.signed) for shape in shapes), signed)
