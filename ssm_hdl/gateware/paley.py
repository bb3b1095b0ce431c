# amaranth: UnusedElaboratable=no
"""The factor of 12 or 20 rows of a Hadamard transform."""

from itertools import count

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ssm_hdl.gateware.arithmetic import delay, plus_minus
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.memories import Ram, Rom, Storage
from ssm_hdl.gateware.stream import shape_of, signature, tag_of
from ssm_hdl.gateware.timing import Beats, Cycles, known
from ssm_hdl.hadamard import paley


class Paley(wiring.Component):
    """(P ⊗ 1) x, for a matrix P of signs: a packet is stored, and its elements are added up once
    for each result, one per cycle.

    Cycles per packet: ``n * (m + 1)`` for n elements and m rows of P. Latency:
    ``n * m + 3`` cycles, until the last result.

    Args:
        layers: the bound transforms.
        rows: m.

    Members:
        i: x, an element per beat.
        o: exact sums, one per beat.
    """

    latency = 3
    """Cycles from reading the last element of a sum to the sum."""

    def __init__(self, layers: Layers, rows: int) -> None:
        (x,) = layers.node.inputs
        self.rows, self.size, self.shape = rows, x.size, shape_of(x)
        self.sums = Shape(
            self.shape.width + (not self.shape.signed) + (rows - 1).bit_length(), True
        )
        super().__init__(
            {"i": In(layers.signature(x)), "o": Out(signature(self.sums, 1, layers.count))}
        )
        signs = paley(rows) < 0  # a row in a power of two of words
        self._packet = layers.memories.ram("packet", self.size, self.shape.width)
        self._signs = (
            np.pad(signs, ((0, 0), (0, -rows % (1 << (rows - 1).bit_length()))))
            .reshape(-1, 1)
            .astype(np.int64)
        )

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        return [self._packet, Storage.rom("signs", self._signs)]

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        adding, waits, take, add = (
            Signal(name="adding"),
            Signal(name="waits"),
            Signal(name="take"),
            Signal(name="add"),
        )
        place = Counter(m, self.size, take)
        column = Counter(m, self.rows, add)
        within = Counter(m, self.size // self.rows, column.wraps)
        row = Counter(m, self.rows, within.wraps)
        m.d.comb += [
            self.i.ready.eq(~adding),
            take.eq(self.i.valid & ~adding),
            add.eq(adding & ~(column.last & waits)),
        ]
        m.d.sync += [
            adding.eq((adding | place.wraps) & ~row.wraps),
            waits.eq(column.wraps | (waits & ~(self.o.valid & self.o.ready))),
        ]
        packet = Ram(m, "packet", self._packet)
        m.d.comb += [
            packet.write.addr.eq(place.value),
            packet.write.data.eq(self.i.p.data[0]),
            packet.write.en.eq(take),
            packet.read.addr.eq(Cat(within.value, column.value)),
        ]
        (minus,) = Rom(m, "signs", self._signs, Cat(column.value, row.value)).numbers
        x, tag = (
            Signal(self.shape, reset_less=True, name="x"),
            Signal.like(tag_of(self.i.p), name="tag"),
        )
        total, kept = (Signal.like(self.o.p.data[0], name=name) for name in ("total", "kept"))
        m.d.sync += x.eq(packet.read.data)
        m.d.comb += total.eq(
            plus_minus(Mux(delay(m, column.first, 2), 0, kept), x, delay(m, minus, 1))
        )
        marked = delay(m, tag, 2)
        with m.If(take):
            m.d.sync += tag.eq(tag_of(self.i.p))
        with m.If(delay(m, add, 2, reset_less=False)):
            m.d.sync += kept.eq(total)
        with m.If(delay(m, column.wraps, 2, reset_less=False)):
            m.d.sync += [
                self.o.p.data[0].eq(total),
                tag_of(self.o.p).eq(marked),
                self.o.valid.eq(1),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m

    def run(self, i: Beats, o: Beats) -> Cycles:
        """When its beats move."""
        at = -1
        for packet in count():
            for beat in range(packet * self.size, (packet + 1) * self.size):
                at = max(at + 1, (yield from known(i.offered, beat)))
                i.taken.append(at)
            for result in range(packet * self.size, (packet + 1) * self.size):
                at += self.rows
                if result:
                    at = max(at, (yield from known(o.taken, result - 1)) + 1)
                o.offered.append(at + self.latency)
