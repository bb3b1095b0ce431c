"""Registered arithmetic that the stages share: delay lines, adder trees, requantisation, ROMs."""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth.hdl import Const, Module, Mux, Shape, Signal, Value, ValueLike
from amaranth.lib import memory

from ssm_hdl.fixed import Codes, Format, round_shift, saturate

REQUANTIZE_LATENCY = 2
"""Cycles of `requantize`: one to round, one to saturate."""

BLOCK_ROM_FROM = 1024
"""Bits from which a table of constants goes to block RAM; smaller ones are LUTs."""


def delay(m: Module, value: ValueLike, cycles: int, reset_less: bool = True) -> Value:
    """``value`` as it was ``cycles`` cycles ago."""
    value = Value.cast(value)
    for _ in range(cycles):
        stage = Signal(value.shape(), reset_less=reset_less)
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


def times_latency(constant: int) -> int:
    """Cycles of `times`: one for each level of a tree of as many terms as the constant has ones."""
    return tree_latency(constant.bit_count())


def times(m: Module, value: Value, constant: int) -> Value:
    """``value * constant``, by adders."""
    return tree(m, [value << bit for bit in range(constant.bit_length()) if constant >> bit & 1])


def requantize(m: Module, value: Value, f_bits: int, format: Format, offset: Value | None = None) -> Value:
    """`ssm_hdl.fixed.requantize` in two registered steps; with an ``offset`` added in place of half a code."""
    drop = f_bits - format.f_bits
    rounded = delay(m, round_shift(value, drop) if offset is None else (value + offset) >> drop, 1)
    stored = Signal(Shape(format.width, format.signed), reset_less=True)
    m.d.sync += stored.eq(saturate(rounded, format, Mux))
    return stored


def shape_for(codes: Codes) -> Shape:
    """The narrowest shape that holds every code; unsigned if none is negative, which saves a bit of every word."""
    low, high = int(codes.min(initial=0)), int(codes.max(initial=0))
    return Shape(max(high.bit_length(), 1)) if low >= 0 else Shape(Format.for_range(low, high, 0).width, True)


def pack(codes: Codes, width: int) -> list[int]:
    """Memory words, one for each row of ``codes`` (words, numbers), the first number in the lowest bits."""
    mask = (1 << width) - 1
    return [sum((int(code) & mask) << (width * i) for i, code in enumerate(row)) for row in codes]


@dataclass(frozen=True)
class Storage:
    """A memory of a stage.

    Attributes:
        name: what it holds.
        depth: words.
        width: bits of a word.
        block: it goes to block RAM; to registers and LUTs otherwise.
    """

    name: str
    depth: int
    width: int
    block: bool

    @classmethod
    def rom(cls, name: str, codes: Codes) -> "Storage":
        """The table of constants that `Rom` makes of ``codes`` (words, numbers)."""
        width = shape_for(codes).width * codes.shape[1]
        return cls(name, len(codes), width, len(codes) * width >= BLOCK_ROM_FROM)

    @property
    def bits(self) -> int:
        """Bits in all."""
        return self.depth * self.width


class Rom:
    """A table of constants with a registered read, 1 cycle.

    Args:
        m: the module it goes to, as submodule ``name``.
        name: name of the submodule.
        codes: (words, numbers): the numbers read at each address.
        address: the address, in range.
        enable: read when true, hold the output otherwise.

    Attributes:
        numbers: the numbers of the word read.
    """

    def __init__(self, m: Module, name: str, codes: Codes, address: ValueLike, enable: ValueLike = 1) -> None:
        shape, (words, count) = shape_for(codes), codes.shape
        width = shape.width
        if words == 1:
            self.numbers = [Const(int(code), shape) for code in codes[0]]
            return
        attrs = {"rom_style": "block" if Storage.rom(name, codes).block else "logic"}
        rom = memory.Memory(shape=width * count, depth=words, init=pack(codes, width), attrs=attrs)
        m.submodules[name] = rom
        port = rom.read_port()
        m.d.comb += [port.addr.eq(address), port.en.eq(enable)]
        numbers = [port.data[i * width : (i + 1) * width] for i in range(count)]
        self.numbers = [number.as_signed() for number in numbers] if shape.signed else numbers


__all__ = [
    *("REQUANTIZE_LATENCY", "Rom", "Storage", "delay", "pack", "requantize", "shape_for"),
    *("times", "times_latency", "tree", "tree_latency"),
]
