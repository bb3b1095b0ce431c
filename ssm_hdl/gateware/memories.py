# amaranth: UnusedElaboratable=no
"""Memories: tables of constants, and RAMs that are written and read in the same cycle."""

from dataclasses import dataclass

import numpy as np
from amaranth.hdl import Const, Module, Shape, Value, ValueLike
from amaranth.lib import memory

from ssm_hdl.fixed import Codes, Format

BLOCK_ROM_FROM = 1024
"""Bits from which a table of constants goes to block RAM; smaller ones are LUTs."""

BLOCK_RAM_FROM = 256
"""Bits from which a memory that is written goes to block RAM; smaller ones are registers."""


def shape_for(codes: Codes) -> Shape:
    """The narrowest shape that holds every code; unsigned if none is negative,
    which saves a bit of every word."""
    low, high = int(codes.min(initial=0)), int(codes.max(initial=0))
    return (
        Shape(max(high.bit_length(), 1))
        if low >= 0
        else Shape(Format.for_range(low, high, 0).width, True)
    )


def pack(codes: Codes, width: int) -> list[int]:
    """Memory words, one for each row of ``codes`` (words, numbers),
    the first number in the lowest bits."""
    mask = (1 << width) - 1
    return [sum((int(code) & mask) << (width * i) for i, code in enumerate(row)) for row in codes]


def pad_edge(codes: Codes, *more: int) -> Codes:
    """Codes with so many more along each axis, which repeat the last."""
    # the planner asks for thousands of tables that are full, for which np.pad takes long
    return np.pad(codes, [(0, count) for count in more], mode="edge") if any(more) else codes


def split(word: Value, shape: Shape) -> list[Value]:
    """The numbers of a word that `pack` has made."""
    numbers = [word[low : low + shape.width] for low in range(0, len(word), shape.width)]
    return [number.as_signed() for number in numbers] if shape.signed else numbers


@dataclass(frozen=True)
class Storage:
    """A memory of a stage.

    Attributes:
        name: what it holds.
        depth: words.
        width: bits of a word.
        block: synthesis puts it into block RAM, or wherever it finds it cheaper;
            to registers and LUTs, or to SPRAM, otherwise.
        spram: it goes to SPRAM.
        unused: bits of a word that synthesis leaves out: the same in all words, or never read.
        written: the pipeline writes it; otherwise it is a table of constants.
        style: what synthesis is told of a written memory: "block",
            "distributed" (RAMs made of LUTs), or "", to choose.
    """

    name: str
    depth: int
    width: int
    block: bool
    spram: bool = False
    unused: int = 0
    written: bool = False
    style: str = ""

    @classmethod
    def rom(cls, name: str, codes: Codes, luts_below: int = 0) -> "Storage":
        """The table of constants that `Rom` makes of ``codes`` (words, numbers)."""
        shape = shape_for(codes)
        changing = np.bitwise_or.reduce(codes ^ codes[0], axis=0) & ((1 << shape.width) - 1)
        width = shape.width * codes.shape[1]
        unused = width - sum(int(bits).bit_count() for bits in changing)
        block = len(codes) * width >= max(BLOCK_ROM_FROM, luts_below)
        return cls(name, len(codes), width, block, unused=unused)

    @property
    def bits(self) -> int:
        """Bits in all."""
        return self.depth * self.width


@dataclass(frozen=True)
class Memories:
    """How a pipeline makes its memories.

    Attributes:
        fast: logic may follow what a block RAM reads, see `Family.fast_rams`.
        luts_below: bits below which a memory is of LUTs, for a device whose block RAMs are short.
    """

    fast: bool = False
    luts_below: int = 0

    def rom(self, name: str, codes: Codes) -> Storage:
        """A table of constants, ``codes`` (words, numbers)."""
        return Storage.rom(name, codes, self.luts_below)

    def ram(
        self, name: str, depth: int, width: int, block: bool = True, told: bool = False
    ) -> Storage:
        """A memory that the pipeline writes.

        Args:
            name: what it holds.
            depth: words.
            width: bits of a word.
            block: it is a memory, not registers.
            told: synthesis is told to put it into block RAM,
                though RAMs made of LUTs seem cheaper to it.
        """
        style = "distributed" if block and depth * width < self.luts_below else "block" * told
        return Storage(name, depth, width, block, written=True, style=style)


DEFAULT = Memories()
"""Slow block RAM wherever synthesis prefers it."""


class Rom:
    """A table of constants with a registered read, 1 cycle.

    Args:
        m: the module it goes to, as submodule ``name``.
        name: name of the submodule.
        codes: (words, numbers): the numbers read at each address.
        address: the address, in range.
        enable: read when true, hold the output otherwise.
        memories: how the pipeline makes its memories.

    Attributes:
        numbers: the numbers of the word read.
    """

    def __init__(
        self,
        m: Module,
        name: str,
        codes: Codes,
        address: ValueLike,
        enable: ValueLike = 1,
        memories: Memories = DEFAULT,
    ) -> None:
        shape, (words, count) = shape_for(codes), codes.shape
        width = shape.width
        if words == 1:
            self.numbers = [Const(int(code), shape) for code in codes[0]]
            return
        attrs = {"rom_style": "block" if memories.rom(name, codes).block else "logic"}
        rom = memory.Memory(shape=width * count, depth=words, init=pack(codes, width), attrs=attrs)
        m.submodules[name] = rom
        port = rom.read_port()
        m.d.comb += [port.addr.eq(address), port.en.eq(enable)]
        self.numbers = split(port.data, shape)


class Ram:
    """A memory with one write and one read per cycle; the word read comes a cycle later.

    No word is read in the cycle in which it is written, or its data are not used then. Synthesis is
    told so: it would otherwise put a row of registers around every block RAM of an iCE40.

    Args:
        m: the module it goes to, as submodule ``name``.
        name: name of the submodule.
        storage: its words, and what synthesis is told of it.

    Attributes:
        write: the port that writes.
        read: the port that reads, or holds what it has read.
    """

    def __init__(self, m: Module, name: str, storage: Storage) -> None:
        attrs = {"no_rw_check": 1} | ({"ram_style": storage.style} if storage.style else {})
        words = memory.Memory(shape=storage.width, depth=storage.depth, init=[], attrs=attrs)
        m.submodules[name] = words
        self.write = words.write_port()
        self.read = words.read_port()
