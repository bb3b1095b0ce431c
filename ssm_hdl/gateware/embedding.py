# amaranth: UnusedElaboratable=no
"""Gateware of embedding."""

from dataclasses import replace
from itertools import count
from typing import Self

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from ssm_hdl.fixed import Codes
from ssm_hdl.gateware.arithmetic import delay, times, times_latency
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.layers import Layers, Nodes
from ssm_hdl.gateware.memories import Rom, Storage
from ssm_hdl.gateware.queue import Places, Queue
from ssm_hdl.gateware.stage import QueuedStage, StagePlan
from ssm_hdl.gateware.stream import shape_of, signature
from ssm_hdl.gateware.timing import Beats, Cycles, known
from ssm_hdl.operations import Node


class Embedding(QueuedStage):
    """y = W[x]: for every token its row, a number per beat, read from a table.

    Cycles per step: ``n M`` for n tokens, ``pace`` times that at most if a pace is given. Latency,
    last beat in to last beat out: ``3 + times + queue`` cycles, ``times`` being the levels of an
    adder tree for the bits that are 1 in M. A token leaves the input with the last
    number of its row.

    Args:
        nodes: the bound operation, or it as `Layers`.
        pace: cycles between beats that are enough;
            the queue at the end is only as deep as they need.

    Members:
        i: x, a token per beat.
        o: y, a number per beat.
    """

    shareable = False

    @classmethod
    def build(cls, layers: Layers, plan: StagePlan) -> Self:
        """With the pace of a plan."""
        return cls(layers, plan.pace)

    @classmethod
    def most_lanes(cls, node: Node) -> int:
        """A token, and a number of its row, at a time."""
        return 1

    def __init__(self, nodes: Nodes, pace: int = 1) -> None:
        self.layers = Layers.of(nodes)
        self.node = node = self.layers.node
        self.pace = pace
        x, y = shape_of(node.inputs[0]), shape_of(node.output)
        super().__init__({"i": In(signature(x)), "o": Out(signature(y))})
        self.rows, self.columns = node.arrays["code"].shape
        self.depth = 3 + times_latency(self.columns)
        memories = replace(self.layers.memories, fast=False)
        self.queue = Queue(y, 1, Places.needed(self.depth, pace), memories=memories)

    @property
    def work(self) -> int:
        """Cycles that a packet keeps it busy."""
        return self.node.output.size

    @property
    def cycles(self) -> int:
        """Cycles per packet, the initiation interval."""
        return self.work * self.pace

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        return [Storage.rom("table", self.table()), self.queue.storage]

    def table(self) -> Codes:
        """The table, a number per word, row by row."""
        return self.node.arrays["code"].reshape(-1, 1)

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m, queue = self.module(), self.queue
        go = Signal()
        column = Counter(m, self.columns, go)
        places = Places(m, queue, go)
        m.d.comb += [go.eq(self.i.valid & places.free), self.i.ready.eq(places.free & column.last)]
        token = self.i.p.data[0]
        row = times(m, Mux(token < self.rows, token, self.rows - 1), self.columns)
        address = Signal(range(self.rows * self.columns), reset_less=True)
        m.d.sync += address.eq(row + delay(m, column.value, times_latency(self.columns)))
        (number,) = Rom(m, "table", self.table(), address).numbers
        m.d.comb += [
            queue.i.p.data[0].eq(delay(m, number, 1)),
            queue.i.p.last.eq(delay(m, self.i.p.last, self.depth)),
            queue.i.valid.eq(delay(m, go, self.depth, reset_less=False)),
        ]
        return m

    def begin(self, queued: Beats, o: Beats, i: Beats) -> Cycles:
        """A number of the row of a token in each cycle."""
        begun = -1
        for beat in count():
            begun = max(begun, (yield from known(i.offered, beat)) - 1)
            for number in range(beat * self.columns, (beat + 1) * self.columns):
                begun = yield from self.queue.place(o, number, begun + 1)
                queued.offered.append(begun + self.depth)
            i.taken.append(begun)
