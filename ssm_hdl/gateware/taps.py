# amaranth: UnusedElaboratable=no
"""Gateware of taps."""

from typing import Self

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from ssm_hdl.gateware.arithmetic import delay
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.elementwise import Elementwise
from ssm_hdl.gateware.layers import Layers, Nodes
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.queue import Places
from ssm_hdl.gateware.stage import QueuedStage, StagePlan
from ssm_hdl.gateware.stream import shape_of, tag_of
from ssm_hdl.gateware.sums import Sums
from ssm_hdl.operations import Node


class Taps(QueuedStage):
    """y[c K + k] = x_(t - K + 1 + k)[c].

    A word of memory holds the last K - 1 values of an element. Nothing is cleared: the first step of a sequence ignores what it
    reads.

    Cycles per step: ``n``, or ``pace`` for each element. Latency: ``1 + queue`` cycles, ``2 + queue`` with the words in memory.
    """

    shareable = False
    reads_last = True
    streams = True

    @classmethod
    def build(cls, layers: Layers, plan: StagePlan) -> Self:
        """With the pace of a plan."""
        return cls(layers, plan.pace)

    @classmethod
    def most_lanes(cls, node: Node) -> int:
        """A number at a time."""
        return 1

    def __init__(self, nodes: Nodes, pace: int = 1) -> None:
        self.layers, self.pace = Layers.of(nodes), pace
        (x,), y = self.layers.node.inputs, self.layers.node.output
        self.size, self.taps = x.size, y.size // x.size
        super().__init__({"i": In(self.layers.signature(x)), "o": Out(self.layers.signature(y, self.taps))})
        self.line = Sums(self.size, shape_of(x).width * (self.taps - 1), fast=self.layers.fast)
        self.depth = max(1, self.line.latency)
        self.queue = self.layers.queue(y, self.taps, Places.needed(self.depth, pace))

    @property
    def work(self) -> int:
        """Cycles that a packet keeps it busy."""
        return self.size

    @property
    def cycles(self) -> int:
        """Cycles per packet, the initiation interval."""
        return self.size * self.pace

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        return [self.line.storage, self.queue.storage]

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m, queue = self.module(), self.queue
        go = Signal()
        places = Places(m, queue, go)
        m.d.comb += [self.i.ready.eq(places.free), go.eq(self.i.valid & places.free)]
        m.d.comb += Value.cast(queue.i.p.data).eq(self._line(m, go))
        m.d.comb += tag_of(queue.i.p).eq(delay(m, tag_of(self.i.p), self.depth))
        m.d.comb += queue.i.valid.eq(delay(m, go, self.depth, reset_less=False))
        return m

    def _line(self, m: Module, go: Value) -> Value:
        """The values of the element at hand, ``depth`` cycles after it came."""
        place, fresh = Counter(m, self.size, go), Signal(init=1)
        with m.If(place.wraps):
            m.d.sync += fresh.eq(self.i.p.last)
        new, x = Signal(self.line.width), Value.cast(delay(m, self.i.p.data[0], self.depth))
        begins, taken = delay(m, fresh, self.depth - self.line.ahead), delay(m, go, self.depth, reset_less=False)
        kept = self.line.keep(m, place.value, begins, Const(0, self.line.width), taken, new)
        values = Cat(kept.value, x)
        m.d.comb += new.eq(values[len(x) :])
        return values

    # A result for every beat that finds a place: beats move as in an element-wise stage.
    begin = Elementwise.begin
