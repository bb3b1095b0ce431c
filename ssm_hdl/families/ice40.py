"""The iCE40 UltraPlus: SB_MAC16, EBR of 4 kbit, SPRAM, logic cells of a LUT4 and a flip-flop."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Shape, Signal, Value

from ssm_hdl.families.base import Device, Family
from ssm_hdl.families.rams import BlockRams
from ssm_hdl.gateware import adders
from ssm_hdl.gateware.arithmetic import extended, operand
from ssm_hdl.gateware.multiplier import (
    LutMultiplier,
    Multiplier,
    Numbers,
    Products,
    narrowed,
    product_shape,
)

WIDTH = 16
"""Bits of an operand of an SB_MAC16, sign included."""

HALF = 8
"""Bits of an operand of each of the two multipliers that an SB_MAC16 can be."""

_UNUSED = (
    *(
        "AHOLD",
        "BHOLD",
        "CHOLD",
        "DHOLD",
        "IRSTTOP",
        "IRSTBOT",
        "ORSTTOP",
        "ORSTBOT",
        "OLOADTOP",
        "OLOADBOT",
    ),
    *("ADDSUBTOP", "ADDSUBBOT", "OHOLDTOP", "OHOLDBOT", "CI", "ACCUMCI", "SIGNEXTIN"),
)


class SbMac16(Multiplier):
    """One product of 16 bits in an SB_MAC16, or any two of 8 bits.

    Its adders have 16 bits in the 8x8 mode, too few for the sum of two products,
    so sums are made in logic cells.
    """

    def latency(self, a: Numbers, b: Numbers, shared: int = 1) -> int:
        """3 cycles, 2 in the 8x8 mode."""
        return 2 if _pairs(a, b) else 3

    def blocks(self, a: Numbers, b: Numbers, count: int, shared: int = 1) -> int:
        """A block for two products of 8 bits, or for one product."""
        return -(-count // 2) if _pairs(a, b) else count

    def spare(self, numbers: Numbers) -> int:
        """Bits of an operand that the numbers leave free; below 0 if they do not fit."""
        shape = Shape.cast(numbers)
        return int(WIDTH - shape.width - (not shape.signed))

    def products(
        self, m: Module, products: Products, a: Numbers, b: Numbers, shared: int
    ) -> list[Value]:
        """The products, two in a block where they fit."""
        shape = product_shape(a, b)
        if not _pairs(a, b):
            return [narrowed(_whole(m, x, y), shape) for x, y in products]
        signs = Shape.cast(a).signed, Shape.cast(b).signed
        results: list[Value] = []
        for first in range(0, len(products), 2):
            pair = products[first : first + 2]
            halves = _halves(m, [x for x, _ in pair], [y for _, y in pair], *signs)
            results += [narrowed(half, shape) for half in halves[: len(pair)]]
        return results

    def accumulates(self, a: Numbers, b: Numbers, width: int) -> bool:
        """The adder has the bits of a product."""
        return width <= 2 * WIDTH and all(
            numbers.width + (not numbers.signed) <= WIDTH for numbers in map(Shape.cast, (a, b))
        )

    def sum_latency(self, a: Numbers, b: Numbers) -> int:
        """That of a product of 16 bits, and its sum."""
        return 4

    def accumulate(
        self, m: Module, a: Value, b: Value, start: Value, load: Value, hold: Value, width: int
    ) -> Value:
        """The sum is in the block."""
        both = {
            f"{name}{half}": pin
            for name, pin in (("OLOAD", load), ("OHOLD", hold))
            for half in ("TOP", "BOT")
        }
        return _sum(m, a, b, start, 0, both)[:width].as_signed()


def _pairs(a: Numbers, b: Numbers) -> bool:
    """Two products take one block."""
    return bool(max(Shape.cast(a).width, Shape.cast(b).width) <= HALF)


def _whole(m: Module, a: Value, b: Value) -> Value:
    """a * b of 16 bits each, signed, after 3 cycles."""
    registers = ("PIPELINE_16x16_MULT_REG1", "PIPELINE_16x16_MULT_REG2")
    a, b = operand(a, WIDTH, "SB_MAC16"), operand(b, WIDTH, "SB_MAC16")
    return _cell(m, a, b, True, True, 3, registers).as_signed()


def _halves(
    m: Module, a: Sequence[Value], b: Sequence[Value], a_signed: bool, b_signed: bool
) -> tuple[Value, Value]:
    """a[0] * b[0] and, if there are two, a[1] * b[1], of 8 bits each, after 2 cycles;
    both have the same signedness."""
    whole_a, whole_b = (
        extended(Cat(extended(number, HALF) for number in numbers), WIDTH) for numbers in (a, b)
    )
    product = _cell(m, whole_a, whole_b, a_signed, b_signed, 2, ("MODE_8x8",))
    low, high = product[: 2 * HALF], product[2 * HALF :]
    return (low.as_signed(), high.as_signed()) if a_signed or b_signed else (low, high)


def _sum(
    m: Module, a: Value, b: Value, addend: Value, upper: int, pins: Mapping[str, Value]
) -> Value:
    """a * b of 16 bits each, signed, added to the sum of before (``upper`` is 0)
    or to the addend (1), after 4 cycles."""
    a, b, addend = (
        operand(a, WIDTH, "SB_MAC16"),
        operand(b, WIDTH, "SB_MAC16"),
        extended(addend, 2 * WIDTH),
    )
    true = ("PIPELINE_16x16_MULT_REG1", "PIPELINE_16x16_MULT_REG2", "C_REG", "D_REG")
    halves = {
        f"p_{half}ADDSUB_{name}": Const(value, bits)
        for half, carry in (("TOP", 2), ("BOT", 0))
        for name, value, bits in (
            ("LOWERINPUT", 2, 2),
            ("UPPERINPUT", upper, 1),
            ("CARRYSELECT", carry, 2),
        )
    }
    return _cell(
        m, a, b, True, True, 1, true, {"C": addend[WIDTH:], "D": addend[:WIDTH], **pins}, halves
    )


def _cell(
    m: Module,
    a: Value,
    b: Value,
    a_signed: bool,
    b_signed: bool,
    output: int,
    true: Sequence[str],
    pins: Mapping[str, Value] = MappingProxyType({}),
    parameters: Mapping[str, Value] = MappingProxyType({}),
) -> Value:
    """The cell, fully registered: nextpnr-ice40 has no timing for paths through it."""
    product = Signal(2 * WIDTH)
    registers = ("A_REG", "B_REG", "TOP_8x8_MULT_REG", "BOT_8x8_MULT_REG")
    m.submodules += Instance(
        "SB_MAC16",
        **{f"p_{name}": Const(1, 1) for name in (*registers, *true)},
        p_TOPOUTPUT_SELECT=Const(output, 2),
        p_BOTOUTPUT_SELECT=Const(output, 2),
        p_A_SIGNED=Const(a_signed, 1),
        p_B_SIGNED=Const(b_signed, 1),
        i_CLK=ClockSignal(),
        i_CE=Const(1, 1),
        i_A=a,
        i_B=b,
        o_O=product,
        **{f"i_{pin}": pins.get(pin, Const(0, 16)) for pin in ("C", "D")},
        **{f"i_{pin}": pins.get(pin, Const(0, 1)) for pin in _UNUSED},
        **parameters,
    )
    return product


class Ice40(Family):
    """See the module.

    Place and route does not finish, or not at a good clock, with more than 85 % of the logic cells.
    nextpnr takes hours to place the last of 30 block RAMs, if it can at all. An EBR reads in 1.2 ns
    of a cycle of 20, so logic may follow it.
    """

    name = "ice40"
    title = "iCE40"
    dsp: ClassVar[Multiplier] = SbMac16()
    lut: ClassVar[Multiplier] = LutMultiplier(registers=adders.ALL)
    rams = BlockRams(((256, 16), (512, 8), (1024, 4), (2048, 2)), cost=64)
    fast_rams = True
    packs_flip_flops = True
    has_sprams = True
    fill = 0.85
    reserved_rams = 1
    slow_adapters = True
    costs = "ice40"
    # The pipeline instantiates SB_MAC16 itself, so no -dsp: with it Yosys drops results.
    # ABC9 knows delays.
    synthesis = ("synth_ice40", "-abc9", "-device", "u")
    cell_models = ("ice40/cells_sim.v",)


ICE40 = Ice40()

UP5K = Device("up5k", "iCE40UP5K", ICE40, 5280, 8, 30, 4096, 4, 48e6, 80e6, 2)

DEVICES = (UP5K,)
