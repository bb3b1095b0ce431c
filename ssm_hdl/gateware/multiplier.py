"""Multipliers: the generic one, the DSP blocks of the iCE40 and the ECP5, and one made of adders."""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Shape, Signal, Value

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.gateware.arithmetic import delay

KINDS = ("dsp", "ice40", "ecp5", "lut")
"""``dsp``: an inferred product, for any tool. ``ice40``, ``ecp5``: the DSP block of the family, instantiated, since Yosys moves
no registers into a MULT18X18D and drops results when it moves them into an SB_MAC16. ``lut``: shift and add, for the small
element-wise products."""

DSP_LATENCY = 3
"""Cycles of a product in a DSP block, of either kind: the cycles of a pipeline do not depend on the device."""

_BITS_A_STAGE = 2


def latency(kind: str, b: Shape) -> int:
    """Cycles of a product whose second operand has shape ``b``."""
    if kind not in KINDS:
        raise SsmHdlError(f"multiplier kind {kind!r}; there are {', '.join(KINDS)}")
    return 1 + -(-b.width // _BITS_A_STAGE) if kind == "lut" else DSP_LATENCY


def multiply(m: Module, kind: str, a: Value, b: Value) -> Value:
    """a * b, exact, after `latency` cycles, a product every cycle.

    Raises:
        SsmHdlError: an operand is too wide for the kind.
    """
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
            return _sb_mac16(m, a, b)
        case "ecp5":
            return _mult18x18d(m, a, b)
        case _:
            return _shift_and_add(m, a, b)


def _sb_mac16(m: Module, a: Value, b: Value) -> Value:
    """One SB_MAC16 as a fully registered 16x16 multiplier: nextpnr-ice40 has no timing for paths through the cell."""
    a, b = _operand(a, 16, "SB_MAC16"), _operand(b, 16, "SB_MAC16")
    product = Signal(Shape(32, True))
    registers = ("A_REG", "B_REG", "TOP_8x8_MULT_REG", "BOT_8x8_MULT_REG")
    pipeline = ("PIPELINE_16x16_MULT_REG1", "PIPELINE_16x16_MULT_REG2")
    m.submodules += Instance(
        "SB_MAC16",
        **{f"p_{name}": Const(1, 1) for name in (*registers, *pipeline)},
        p_TOPOUTPUT_SELECT=Const(3, 2),
        p_BOTOUTPUT_SELECT=Const(3, 2),
        p_A_SIGNED=Const(1, 1),
        p_B_SIGNED=Const(1, 1),
        i_CLK=ClockSignal(),
        i_CE=Const(1, 1),
        i_A=a,
        i_B=b,
        o_O=product,
        **{f"i_{pin}": Const(0, 16) for pin in ("C", "D")},
        **{f"i_{pin}": Const(0, 1) for pin in _UNUSED_PINS},
    )
    return product


_UNUSED_PINS = (
    *("AHOLD", "BHOLD", "CHOLD", "DHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT", "OLOADTOP", "OLOADBOT"),
    *("ADDSUBTOP", "ADDSUBBOT", "OHOLDTOP", "OHOLDBOT", "CI", "ACCUMCI", "SIGNEXTIN"),
)


def _mult18x18d(m: Module, a: Value, b: Value) -> Value:
    """One MULT18X18D with its operand, pipeline and output registers."""
    a, b = _operand(a, 18, "MULT18X18D"), _operand(b, 18, "MULT18X18D")
    product = Signal(Shape(36, True))
    m.submodules += Instance(
        "MULT18X18D",
        **{f"p_REG_{name}_CLK": "CLK0" for name in ("INPUTA", "INPUTB", "PIPELINE", "OUTPUT")},
        p_GSR="DISABLED",
        i_CLK0=ClockSignal(),
        i_CE0=Const(1, 1),
        i_RST0=Const(0, 1),
        **{f"i_{pin}": Const(1, 1) for pin in ("SIGNEDA", "SIGNEDB")},
        **{f"i_{pin}": Const(0, 1) for pin in ("SOURCEA", "SOURCEB")},
        **{f"i_A{bit}": a[bit] for bit in range(18)},
        **{f"i_B{bit}": b[bit] for bit in range(18)},
        **{f"o_P{bit}": product[bit] for bit in range(36)},
    )
    return product


def _operand(value: Value, width: int, cell: str) -> Value:
    """``value`` on the signed input of a DSP block."""
    needed = len(value) + (not value.shape().signed)
    if needed > width:
        raise SsmHdlError(
            f"an operand of {needed} bits, sign included, does not fit the {width} bits of a {cell}; give the weight, the "
            "transition, the state or the activation a narrower format"
        )
    sign = value[-1] if value.shape().signed else Const(0, 1)
    return Cat(value, sign.replicate(width - len(value)))


def _shift_and_add(m: Module, a: Value, b: Value) -> Value:
    """Two bits of b a stage, the top one weighted negatively if b is signed."""
    shape = (a * b).shape()
    total: Value = Const(0, shape)
    a, b = delay(m, a, 1), delay(m, b, 1)
    width = len(b)
    for low in range(0, width, _BITS_A_STAGE):
        for bit in range(low, min(low + _BITS_A_STAGE, width)):
            term = Mux(b[bit], a, 0) << bit
            total = total - term if bit == width - 1 and b.shape().signed else total + term
        stage = Signal(shape, reset_less=True)
        m.d.sync += stage.eq(total)
        total, a, b = stage, delay(m, a, 1), delay(m, b, 1)
    return total
