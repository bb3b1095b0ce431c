"""The multipliers of the Gowin DSP blocks: one MULT18X18, or two MULT9X9 in its place."""

from amaranth.hdl import ClockSignal, Const, Instance, Module, Shape, Signal, Value

from ssm_hdl.gateware.arithmetic import operand
from ssm_hdl.gateware.multiplier import Multiplier, Numbers, Products, narrowed, product_shape

WIDTH = 18
"""Bits of an operand of a MULT18X18, sign included."""

HALF = 9
"""Bits of an operand of each of the two multipliers that can be in its place."""


class GowinMultiplier(Multiplier):
    """See the module. The cells are instantiated, since Yosys moves no registers into them."""

    def latency(self, a: Numbers, b: Numbers, shared: int = 1) -> int:
        """Registers at the operands, inside, and at the result."""
        return 3

    def blocks(self, a: Numbers, b: Numbers, count: int, shared: int = 1) -> int:
        """A block for two products of 9 bits, or for one product."""
        return -(-count // 2) if self._pairs(a, b) else count

    def products(
        self, m: Module, products: Products, a: Numbers, b: Numbers, shared: int
    ) -> list[Value]:
        """The products, two in a block where they fit;
        the last of an odd number has a block alone."""
        paired = len(products) & ~1 if self._pairs(a, b) else 0
        shape = product_shape(a, b)
        return [
            narrowed(_cell(m, x, y, HALF if k < paired else WIDTH), shape)
            for k, (x, y) in enumerate(products)
        ]

    def takes_sums(self, a: Numbers, b: Numbers) -> bool:
        """Operands of up to `WIDTH` bits."""
        return self.spare(a) >= 0 and self.spare(b) >= 0

    def spare(self, numbers: Numbers) -> int:
        """Bits of an operand that the numbers leave free; below 0 if they do not fit."""
        shape = Shape.cast(numbers)
        return int(WIDTH - shape.width - (not shape.signed))

    def _pairs(self, a: Numbers, b: Numbers) -> bool:
        """Two products take one block."""
        return min(self.spare(a), self.spare(b)) >= WIDTH - HALF


def _cell(m: Module, a: Value, b: Value, width: int) -> Value:
    """a * b of 9 or 18 bits each, signed, after 3 cycles; nextpnr has no timing for paths through a
    cell without registers."""
    kind, product = f"MULT{width}X{width}", Signal(Shape(2 * width, True))
    m.submodules += Instance(
        kind,
        **{f"p_{name}": Const(1, 1) for name in ("AREG", "BREG", "PIPE_REG", "OUT_REG")},
        **{f"p_{name}": Const(0, 1) for name in ("ASIGN_REG", "BSIGN_REG", "SOA_REG")},
        p_MULT_RESET_MODE="SYNC",
        i_CLK=ClockSignal(),
        **{f"i_{pin}": Const(1, 1) for pin in ("ASIGN", "BSIGN", "CE")},
        **{f"i_{pin}": Const(0, 1) for pin in ("ASEL", "BSEL", "RESET")},
        i_SIA=Const(0, width),
        i_SIB=Const(0, width),
        i_A=operand(a, width, kind),
        i_B=operand(b, width, kind),
        o_DOUT=product,
    )
    return product
