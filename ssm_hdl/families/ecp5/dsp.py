"""The MULT18X18D: one product of 18 bits, or two products with the same second operand.

Two products are (a1 2^k + a0) b, with k bits for a0 b, where a1 2^k + a0 fits 18 bits. A negative
a0 borrows 1 from a1, in the table of constants (`Mult18x18d.borrow`): an adder before the block
would be on the longest path across the device.
"""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Shape, Signal, Value

from ssm_hdl.fixed import Codes
from ssm_hdl.gateware.arithmetic import delay, extended, operand
from ssm_hdl.gateware.multiplier import (
    Multiplier,
    Numbers,
    Products,
    bounds,
    narrowed,
    product_shape,
)

WIDTH = 18
"""Bits of an operand, sign included."""


class Mult18x18d(Multiplier):
    """See the module. The cell is instantiated, since Yosys moves no registers into it."""

    shifts = True

    def latency(self, a: Numbers, b: Numbers, shared: int = 1) -> int:
        """3 cycles; 4 for two products, since the upper one is corrected after the block."""
        return 4 if self._pairs(a, b, shared) else 3

    def blocks(self, a: Numbers, b: Numbers, count: int, shared: int = 1) -> int:
        """A block for two products that share b, or for one; the last of an odd number of products
        has a block alone."""
        return count // shared * -(-shared // 2) if self._pairs(a, b, shared) else count

    def products(
        self, m: Module, products: Products, a: Numbers, b: Numbers, shared: int
    ) -> list[Value]:
        """The products, two in a block where they fit."""
        shape = product_shape(a, b)
        if not self._pairs(a, b, shared):
            return [narrowed(_cell(m, x, y), shape) for x, y in products]
        groups: dict[int, list[int]] = {}  # of products with the same b
        for index, (_, factor) in enumerate(products):
            groups.setdefault(id(factor), []).append(index)
        results: dict[int, Value] = {}
        for group in groups.values():
            for first in range(0, len(group), 2):
                pair = group[first : first + 2]
                results |= zip(
                    pair, _shared(m, [products[index] for index in pair], shape), strict=True
                )
        return [results[index] for index in range(len(products))]

    def takes_sums(self, a: Numbers, b: Numbers) -> bool:
        """Operands of up to `WIDTH` bits."""
        return self.spare(a) >= 0 and self.spare(b) >= 0

    def spare(self, numbers: Numbers) -> int:
        """Bits of an operand that the numbers leave free; below 0 if they do not fit."""
        shape = Shape.cast(numbers)
        return int(WIDTH - shape.width - (not shape.signed))

    def borrow(self, codes: Codes, axis: int, a: Numbers, b: Numbers) -> Codes:
        """Of two products in a block, the upper operand has 1 less where the
        lower one is negative."""
        if not self._pairs(a, b, codes.shape[axis]):
            return codes
        borrowed = codes.swapaxes(0, axis).copy()
        upper = borrowed[1::2]
        upper -= borrowed[: 2 * len(upper) : 2] < 0
        return borrowed.swapaxes(0, axis)

    def _pairs(self, a: Numbers, b: Numbers, shared: int) -> bool:
        """Two products take one block."""
        return shared > 1 and self.spare(_packed(a, b)) >= 0 and self.spare(b) >= 0


def _packed(a: Numbers, b: Numbers) -> range:
    """The values of (a1 << k) + a0, the operand of two products."""
    low, high = bounds(a)
    k = product_shape(a, b).width
    return range((low << k) + low, (high << k) + high + 1)


def _shared(m: Module, pair: Products, shape: Shape) -> list[Value]:
    """One or two products with the same second operand, after 4 cycles.

    The upper operand has borrowed 1 for a negative lower one. A negative lower product takes 1 from
    the upper product, which is added again after the block.
    """
    k = shape.width
    (low, b), *upper = pair
    if not upper:
        return [delay(m, narrowed(_cell(m, low, b), shape), 1)]
    ((high, _),) = upper
    both = Cat(extended(low, k), high)
    product = _cell(m, both.as_signed() if high.shape().signed else both, b)
    total = product[k : 2 * k] + (product[k - 1] if shape.signed else 0)
    return [delay(m, narrowed(value, shape), 1) for value in (product, total)]


def _cell(m: Module, a: Value, b: Value) -> Value:
    """a * b of 18 bits each, signed, with operand, pipeline and output registers,
    after 3 cycles."""
    pins_a, pins_b = (
        Signal(WIDTH, name="pins_a"),
        Signal(WIDTH, name="pins_b"),
    )  # otherwise Amaranth makes the operand anew for each of its bits
    m.d.comb += [
        pins_a.eq(operand(a, WIDTH, "MULT18X18D")),
        pins_b.eq(operand(b, WIDTH, "MULT18X18D")),
    ]
    product = Signal(Shape(2 * WIDTH, True))
    m.submodules += Instance(
        "MULT18X18D",
        **{f"p_REG_{name}_CLK": "CLK0" for name in ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT")},
        p_GSR="DISABLED",
        i_CLK0=ClockSignal(),
        i_CE0=Const(1, 1),
        i_RST0=Const(0, 1),
        **{f"i_{pin}": Const(1, 1) for pin in ("SIGNEDA", "SIGNEDB")},
        **{f"i_{pin}": Const(0, 1) for pin in ("SOURCEA", "SOURCEB")},
        **{f"i_A{bit}": pins_a[bit] for bit in range(WIDTH)},
        **{f"i_B{bit}": pins_b[bit] for bit in range(WIDTH)},
        **{f"o_P{bit}": product[bit] for bit in range(2 * WIDTH)},
    )
    return product
