# amaranth: UnusedElaboratable=no
"""The work of a stage: one operation, or the operations of all layers that share it."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import stream

from ssm_hdl.families.base import Family
from ssm_hdl.families.generic import GENERIC
from ssm_hdl.fixed import Codes, Format
from ssm_hdl.gateware.arithmetic import delay, floor, requantize, saturated
from ssm_hdl.gateware.memories import (
    DEFAULT,
    Memories,
    Rom,
    Storage,
    pack,
    pad_edge,
    shape_for,
    split,
)
from ssm_hdl.gateware.queue import Queue
from ssm_hdl.gateware.spram import Spram
from ssm_hdl.gateware.stream import shape_of, signature
from ssm_hdl.operations import Edge, Node


class Table:
    """The constants of every layer in one table, the layer on top of the address;
    layers with the same constants share them.

    Args:
        tables: (words, numbers) for each layer, all of one shape.
        memories: how the pipeline makes its memories.

    Attributes:
        tables, memories: the same.
        codes: the table; every layer but the last is padded to a power of two of words.
        spram: the SPRAM that it is in, if it was moved to one.
    """

    def __init__(self, tables: Sequence[Codes], memories: Memories = DEFAULT) -> None:
        self.tables, self.memories = tables, memories
        self.spram: Spram | None = None
        distinct: list[Codes] = []
        self._which = [_place(table, distinct) for table in tables]
        self._distinct, self._bits = len(distinct), (len(tables[0]) - 1).bit_length()
        more = (1 << self._bits) - len(tables[0])
        self.codes = np.concatenate(
            [*(pad_edge(table, more, 0) for table in distinct[:-1]), distinct[-1]]
        )

    def storage(self, name: str) -> Storage:
        """The memory that it is."""
        return self.memories.rom(name, self.codes) if self.spram is None else self.in_spram(name)

    def in_spram(self, name: str) -> Storage:
        """The memory that it would be in SPRAM."""
        return Storage(
            name,
            len(self.codes),
            shape_for(self.codes).width * self.codes.shape[1],
            False,
            spram=True,
        )

    def to_spram(self) -> Spram:
        """Move it to an SPRAM, which has to be loaded before a stage reads it."""
        width = shape_for(self.codes).width
        self.spram = Spram(pack(self.codes, width), width * self.codes.shape[1])
        return self.spram

    def read(self, m: Module, name: str, place: Value, enable: ValueLike = 1) -> list[Value]:
        """The numbers at a place, a cycle later; the word is at its bottom, the layer on top."""
        word, layer = place[: self._bits], place[self._bits :]
        address = place
        if self._distinct < len(self.tables):
            address = Cat(word, choose(m, layer, self._which)) if self._distinct > 1 else word
        if self.spram is None:
            numbers: list[Value] = Rom(m, name, self.codes, address, enable, self.memories).numbers
            return numbers
        m.submodules[name] = self.spram
        m.d.comb += [self.spram.address.eq(address), self.spram.enable.eq(enable)]
        return split(self.spram.data, shape_for(self.codes))

    def read_late(self, m: Module, name: str, place: Value) -> list[Value]:
        """The numbers at a place, 2 cycles later: from a register,
        if a read comes too late in a cycle for logic."""
        if (self.storage(name).block and not self.memories.fast) or self.spram is not None:
            return [delay(m, number, 1) for number in self.read(m, name, place)]
        return self.read(m, name, delay(m, place, 1))


class Layers:
    """The operations that a stage serves. They agree in sizes, options, widths and signs;
    binary points and constants may differ.

    So that one shift by a constant rounds the sums of every layer,
    those of a layer are made 2**lift times as large.

    Args:
        nodes: the bound operations, a layer each.
        marked: somebody looks at the ``last`` of what they send.
        family: the FPGA family.
        luts_below: see `Memories`.

    Attributes:
        nodes, marked, family: the same.
        memories: how the pipeline makes its memories.
        node: the first.
        count: how many there are.
        lift: for each layer, how many bits fewer its sums lose when they are rounded than
            the sums of others.
        drop: bits that all sums lose then.
        width: bits that hold every sum.
        offset_width: bits that hold every sum with what rounds it, half a code or a dither,
            which may be wider than the sum.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        marked: bool = True,
        family: Family = GENERIC,
        luts_below: int = 0,
    ) -> None:
        self.nodes, self.node, self.count, self.marked = tuple(nodes), nodes[0], len(nodes), marked
        self.family, self.memories = family, Memories(family.fast_rams, luts_below)
        drops = [node.accumulator.f_bits - node.output.format.f_bits for node in nodes]
        self.drop = max(drops)
        self.lift = [self.drop - drop for drop in drops]
        self.width = max(
            node.accumulator.width + lift for node, lift in zip(nodes, self.lift, strict=True)
        )
        self.offset_width = max(self.width, self.drop + 1) + 1 if self.drop > 0 else self.width

    @classmethod
    def of(cls, nodes: "Nodes") -> "Layers":
        """The layers of a stage for one operation, if it is but one."""
        return cls([nodes]) if isinstance(nodes, Node) else nodes

    @property
    def format(self) -> Format:
        """Format of the results, down to the binary point, which is the first layer's."""
        return self.node.output.format

    def signature(self, edge: Edge, lanes: int = 1) -> stream.Signature:
        """The stream of an edge."""
        return signature(shape_of(edge), lanes, self.count)

    def queue(self, edge: Edge, lanes: int, depth: int) -> Queue:
        """A queue of an edge's beats."""
        return Queue(shape_of(edge), lanes, depth, self.count, self.marked, self.memories)

    def table(self, words: Callable[[Node, int], Codes]) -> Table:
        """The table of what ``words`` makes of each node and its lift."""
        return Table(
            [words(node, lift) for node, lift in zip(self.nodes, self.lift, strict=True)],
            self.memories,
        )

    def numbers(self, codes: Callable[[Node], Codes]) -> range:
        """From the least to the greatest of what ``codes`` makes of each node."""
        every = [codes(node) for node in self.nodes]
        return range(
            min(int(each.min()) for each in every), max(int(each.max()) for each in every) + 1
        )

    def requantize(self, m: Module, value: Value, offset: Value | None = None) -> Value:
        """A lifted sum, rounded and saturated,
        `ssm_hdl.gateware.arithmetic.REQUANTIZE_LATENCY` cycles later."""
        return requantize(m, value, self.format.f_bits + self.drop, self.format, offset)

    def rounded(self, m: Module, value: Value) -> Value:
        """As `requantize`, in the same cycle: for stages that idle."""
        return saturated(
            m, value + (1 << self.drop - 1 if self.drop > 0 else 0), self.drop, self.format
        )

    def floor(self, m: Module, value: Value) -> Value:
        """The same of a sum that has the offset of its rounding in it."""
        return floor(m, value, self.drop, self.format)


Nodes: TypeAlias = Node | Layers
"""One operation, or one for each of several layers."""


def choose(
    m: Module,
    layer: Value,
    numbers: Sequence[int],
    make: Callable[[int], Value] = Const,
    cycles: int = 0,
) -> Value:
    """What ``make`` makes of the number of a layer.

    Args:
        m: the module it goes to.
        layer: the layer of the element at hand, ``cycles`` ago.
        numbers: one for each layer; where they are equal, there is nothing to choose.
        make: makes a value of a number.
        cycles: age of the element at hand.
    """
    distinct = sorted(set(numbers))
    value = make(distinct[-1])
    if len(distinct) > 1:
        layer = delay(m, layer, cycles)
    for number in distinct[:-1]:
        here = Cat(layer == k for k, other in enumerate(numbers) if other == number).any()
        value = Mux(here, make(number), value)
    return value


class Registers:
    """A register for each layer.

    Args:
        m: the module they are in.
        name: what they hold.
        width: bits of each.
        init: what they hold after reset.
        layers: how many there are.
        layer: the layer at hand.

    Attributes:
        value: the register of the layer at hand.
    """

    def __init__(
        self, m: Module, name: str, width: int, init: int, layers: int, layer: Value
    ) -> None:
        self._m, self._layer = m, layer
        self._registers = [
            Signal(width, init=init, name=f"{name}_{k}" if layers > 1 else name)
            for k in range(layers)
        ]
        self.value = choose(m, layer, range(layers), self._registers.__getitem__)

    def set(self, value: ValueLike) -> None:
        """The layer's register holds this from the next cycle on."""
        for k, register in enumerate(self._registers):
            with self._m.If(self._layer == k if len(self._registers) > 1 else 1):
                self._m.d.sync += register.eq(value)


def _place(table: Codes, tables: list[Codes]) -> int:
    """Index of a table among the different ones, which it joins if it is new."""
    for index, present in enumerate(tables):
        if np.array_equal(table, present):
            return index
    tables.append(table)
    return len(tables) - 1
