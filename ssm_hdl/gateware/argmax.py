# amaranth: UnusedElaboratable=no
"""Gateware of argmax."""

from itertools import count
from typing import Self

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.layers import Layers, Nodes
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.stage import Stage, StagePlan
from ssm_hdl.gateware.stream import shape_of, tag_of
from ssm_hdl.gateware.timing import Beats, Cycles, Process, known


class Argmax(Stage):
    """y = the place of the largest element, the first of equals: one comparison with the largest so
    far for each element.

    Cycles per packet: ``max(n, 2)`` for n elements, since a packet ends once the result of the one
    before has left. Latency: 1 cycle.

    Args:
        nodes: the bound operation, or one for each of several layers.

    Members:
        i: x, an element per beat.
        o: y.
    """

    latency = 1
    keeps = True

    @classmethod
    def build(cls, layers: Layers, plan: StagePlan) -> Self:
        """There is but one plan."""
        return cls(layers)

    def __init__(self, nodes: Nodes) -> None:
        self.layers = layers = Layers.of(nodes)
        (x,), y = layers.node.inputs, layers.node.output
        self.size, self._shape = x.size, shape_of(x)
        super().__init__({"i": In(layers.signature(x)), "o": Out(layers.signature(y))})

    @property
    def work(self) -> int:
        """Cycles that a packet keeps it busy."""
        return self.size

    @property
    def cycles(self) -> int:
        """Cycles per packet, the initiation interval."""
        return max(self.size, 2)

    @property
    def storage(self) -> list[Storage]:
        """It has no memory."""
        return []

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        take, greater = Signal(name="take"), Signal(name="greater")
        place = Counter(m, self.size, take)
        largest, first = (
            Signal(self._shape, reset_less=True, name="largest"),
            Signal(range(self.size), reset_less=True, name="first"),
        )
        (x,) = self.i.p.data
        m.d.comb += [
            self.i.ready.eq(~(place.last & self.o.valid)),
            take.eq(self.i.valid & self.i.ready),
            greater.eq(place.first | (x > largest)),
        ]
        with m.If(take & greater):
            m.d.sync += [largest.eq(x), first.eq(place.value)]
        with m.If(place.wraps):
            m.d.sync += [
                self.o.valid.eq(1),
                self.o.p.data[0].eq(Mux(greater, place.value, first)),
                tag_of(self.o.p).eq(tag_of(self.i.p)),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        return m

    def timing(self, i: Beats, o: Beats) -> list[Process]:
        """When its beats move."""
        return [Process(self._compare, i, o)]

    def _compare(self, i: Beats, o: Beats) -> Cycles:
        cycle = -1
        for packet in count():
            for beat in range(packet * self.size, (packet + 1) * self.size):
                cycle = max(cycle + 1, (yield from known(i.offered, beat)))
                if packet and beat % self.size == self.size - 1:
                    cycle = max(cycle, (yield from known(o.taken, packet - 1)) + 1)
                i.taken.append(cycle)
            o.offered.append(cycle + 1)
