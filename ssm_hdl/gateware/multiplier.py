"""Multipliers: the generic one, the DSP block of the iCE40, and one made of adders."""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Shape, Signal, Value

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.gateware.arithmetic import delay

KINDS = ("dsp", "ice40", "lut")
"""``dsp``: an inferred product, a DSP block on the devices whose tools infer well. ``ice40``: an SB_MAC16, instantiated, since
Yosys drops results that it infers in registered form. ``lut``: shift and add, for the small element-wise products."""

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
            # Two registers before the product and one behind it: the other way round, `synth_ice40 -dsp` absorbs both and
            # drives the result from two places, which reads as 0.
            a, b = delay(m, a, 2), delay(m, b, 2)
            return delay(m, a * b, 1)
        case "ice40":
            return _sb_mac16(m, a, b)
        case _:
            return _shift_and_add(m, a, b)


def _sb_mac16(m: Module, a: Value, b: Value) -> Value:
    """One SB_MAC16 as a fully registered 16x16 multiplier: nextpnr-ice40 has no timing for paths through the cell."""
    for operand in (a, b):
        if operand.shape().width + (not operand.shape().signed) > 16:
            raise SsmHdlError(
                f"an operand of {operand.shape().width} bits does not fit the 16 bits of an SB_MAC16; "
                "give the weight, the state or the activation at most 16 bits (15 if it is unsigned)"
            )
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
        i_A=_extend(a),
        i_B=_extend(b),
        o_O=product,
        **{f"i_{pin}": Const(0, 16) for pin in ("C", "D")},
        **{f"i_{pin}": Const(0, 1) for pin in _UNUSED_PINS},
    )
    width = (a * b).shape()
    return product[: width.width].as_signed() if width.signed else product[: width.width]


_UNUSED_PINS = (
    *("AHOLD", "BHOLD", "CHOLD", "DHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT", "OLOADTOP", "OLOADBOT"),
    *("ADDSUBTOP", "ADDSUBBOT", "OHOLDTOP", "OHOLDBOT", "CI", "ACCUMCI", "SIGNEXTIN"),
)


def _extend(value: Value) -> Value:
    """``value`` on 16 bits, signed."""
    return Cat(value, [value[-1] if value.shape().signed else Const(0, 1)] * (16 - len(value)))


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
