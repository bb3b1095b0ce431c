"""Registered arithmetic that the stages share: delay lines, adder trees, requantisation, ROMs."""

from collections.abc import Sequence

from amaranth.hdl import Const, Module, Mux, Shape, Signal, Value, ValueLike
from amaranth.lib import memory

from ssm_hdl.fixed import Codes, Format, round_shift, saturate

REQUANTIZE_LATENCY = 2
"""Cycles of `requantize`: one to round, one to saturate."""

BLOCK_ROM_FROM = 1024
"""Bits from which a table of constants goes to block RAM; smaller ones are LUTs."""


def delay(m: Module, value: ValueLike, cycles: int, enable: ValueLike = 1, reset_less: bool = True) -> Value:
    """``value`` as it was ``cycles`` enabled cycles ago."""
    value = Value.cast(value)
    for _ in range(cycles):
        stage = Signal(value.shape(), reset_less=reset_less)
        with m.If(enable):
            m.d.sync += stage.eq(value)
        value = stage
    return value


def tree_latency(terms: int) -> int:
    """Cycles of `tree`: one for each level of a binary tree."""
    return (terms - 1).bit_length()


def tree(m: Module, terms: Sequence[Value]) -> Value:
    """Sum of the terms, registered at every level."""
    terms = list(terms)
    while len(terms) > 1:
        sums = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)] + terms[len(terms) & ~1 :]
        terms = [delay(m, value, 1) for value in sums]
    return terms[0]


def requantize(m: Module, value: Value, f_bits: int, format: Format, enable: ValueLike = 1) -> Value:
    """`ssm_hdl.fixed.requantize` in two registered steps."""
    rounded = delay(m, round_shift(value, f_bits - format.f_bits), 1, enable)
    stored = Signal(Shape(format.width, format.signed), reset_less=True)
    with m.If(enable):
        m.d.sync += stored.eq(saturate(rounded, format, Mux))
    return stored


def width_for(codes: Codes) -> int:
    """Bits of a signed number that holds every code."""
    return Format.for_range(int(codes.min(initial=0)), int(codes.max(initial=0)), 0).width


def pack(codes: Codes, width: int) -> list[int]:
    """Memory words, one for each row of ``codes`` (words, numbers), the first number in the lowest bits."""
    mask = (1 << width) - 1
    return [sum((int(code) & mask) << (width * i) for i, code in enumerate(row)) for row in codes]


class Rom:
    """A table of constants with a registered read, 1 cycle.

    Args:
        m: the module it goes to, as submodule ``name``.
        name: name of the submodule.
        codes: (words, numbers): the numbers read at each address.
        address: the address, in range.
        enable: read when true, hold the output otherwise.

    Attributes:
        numbers: the numbers of the word read, signed.
    """

    def __init__(self, m: Module, name: str, codes: Codes, address: ValueLike, enable: ValueLike = 1) -> None:
        width = width_for(codes)
        words, count = codes.shape
        if words == 1:
            self.numbers = [Const(int(code), Shape(width, True)) for code in codes[0]]
            return
        attrs = {} if codes.size * width >= BLOCK_ROM_FROM else {"rom_style": "logic"}
        rom = memory.Memory(shape=width * count, depth=words, init=pack(codes, width), attrs=attrs)
        m.submodules[name] = rom
        port = rom.read_port()
        m.d.comb += [port.addr.eq(address), port.en.eq(enable)]
        self.numbers = [port.data[i * width : (i + 1) * width].as_signed() for i in range(count)]


__all__ = ["REQUANTIZE_LATENCY", "Rom", "delay", "pack", "requantize", "tree", "tree_latency", "width_for"]
