"""The DSP blocks of the families as cells, every register in them used."""

from collections.abc import Sequence

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Shape, Signal, Value

from ssm_hdl.errors import SsmHdlError

SB_MAC16, MULT18X18D = 16, 18
"""Bits of an operand of a block, sign included."""

HALF = 8
"""Bits of an operand of each of the two multipliers that an SB_MAC16 can be."""

_UNUSED = (
    *("AHOLD", "BHOLD", "CHOLD", "DHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT", "OLOADTOP", "OLOADBOT"),
    *("ADDSUBTOP", "ADDSUBBOT", "OHOLDTOP", "OHOLDBOT", "CI", "ACCUMCI", "SIGNEXTIN"),
)


def sb_mac16(m: Module, a: Value, b: Value) -> Value:
    """a * b of 16 bits each, signed, in an SB_MAC16, after 3 cycles."""
    pipeline = ("PIPELINE_16x16_MULT_REG1", "PIPELINE_16x16_MULT_REG2")
    a, b = operand(a, SB_MAC16, "SB_MAC16"), operand(b, SB_MAC16, "SB_MAC16")
    return _sb_mac16(m, a, b, True, True, 3, pipeline).as_signed()


def sb_mac16_halves(m: Module, a: Sequence[Value], b: Sequence[Value], a_signed: bool, b_signed: bool) -> tuple[Value, Value]:
    """a[0] * b[0], and a[1] * b[1] if they are, of 8 bits each in an SB_MAC16, after 2 cycles; a sign is that of both numbers."""
    whole_a, whole_b = (extended(Cat(extended(number, HALF) for number in numbers), SB_MAC16) for numbers in (a, b))
    product = _sb_mac16(m, whole_a, whole_b, a_signed, b_signed, 2, ("MODE_8x8",))
    low, high = product[: 2 * HALF], product[2 * HALF :]
    return (low.as_signed(), high.as_signed()) if a_signed or b_signed else (low, high)


def _sb_mac16(m: Module, a: Value, b: Value, a_signed: bool, b_signed: bool, output: int, true: Sequence[str]) -> Value:
    """The cell, fully registered: nextpnr-ice40 has no timing for paths through it."""
    product = Signal(2 * SB_MAC16)
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
        **{f"i_{pin}": Const(0, 16) for pin in ("C", "D")},
        **{f"i_{pin}": Const(0, 1) for pin in _UNUSED},
    )
    return product


def mult18x18d(m: Module, a: Value, b: Value) -> Value:
    """a * b of 18 bits each, signed, in a MULT18X18D with its operand, pipeline and output registers, after 3 cycles."""
    pins_a, pins_b = Signal(MULT18X18D), Signal(MULT18X18D)  # not bit by bit of what is multiplied, made anew for each
    m.d.comb += [pins_a.eq(operand(a, MULT18X18D, "MULT18X18D")), pins_b.eq(operand(b, MULT18X18D, "MULT18X18D"))]
    product = Signal(Shape(2 * MULT18X18D, True))
    m.submodules += Instance(
        "MULT18X18D",
        **{f"p_REG_{name}_CLK": "CLK0" for name in ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT")},
        p_GSR="DISABLED",
        i_CLK0=ClockSignal(),
        i_CE0=Const(1, 1),
        i_RST0=Const(0, 1),
        **{f"i_{pin}": Const(1, 1) for pin in ("SIGNEDA", "SIGNEDB")},
        **{f"i_{pin}": Const(0, 1) for pin in ("SOURCEA", "SOURCEB")},
        **{f"i_A{bit}": pins_a[bit] for bit in range(MULT18X18D)},
        **{f"i_B{bit}": pins_b[bit] for bit in range(MULT18X18D)},
        **{f"o_P{bit}": product[bit] for bit in range(2 * MULT18X18D)},
    )
    return product


def operand(value: Value, width: int, cell: str) -> Value:
    """``value`` on the signed input of a DSP block.

    Raises:
        SsmHdlError: it is too wide for it.
    """
    needed = len(value) + (not value.shape().signed)
    if needed > width:
        raise SsmHdlError(
            f"an operand of {needed} bits, sign included, does not fit the {width} bits of a {cell}; give the weight, the "
            "transition, the state or the activation a narrower format"
        )
    return extended(value, width)


def extended(value: Value, width: int) -> Value:
    """``value`` in ``width`` bits."""
    sign = value[-1] if value.shape().signed else Const(0, 1)
    return Cat(value, sign.replicate(max(0, width - len(value))))[:width]


__all__ = ["HALF", "MULT18X18D", "SB_MAC16", "extended", "mult18x18d", "sb_mac16", "sb_mac16_halves"]
