# amaranth: UnusedElaboratable=no
"""Gateware of difference."""

from typing import Self

from amaranth.hdl import Const, Module, Shape, Signal, Value
from amaranth.lib.wiring import In, Out

from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY, delay
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.elementwise import Elementwise
from ssm_hdl.gateware.layers import Layers, Nodes
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.queue import Places
from ssm_hdl.gateware.stage import QueuedStage, StagePlan
from ssm_hdl.gateware.stream import shape_of, tag_of
from ssm_hdl.gateware.sums import Sums
from ssm_hdl.operations import Node


class Difference(QueuedStage):
    """y_t = x_t - x_(t-1).

    A word of memory holds the last value of an element. Nothing is cleared:
    the first step of a sequence ignores what it reads.

    Cycles per step: ``n``, or ``pace`` for each element. Latency: ``2 + queue`` cycles,
    ``4 + queue`` with the words in memory.
    """

    shareable = False
    reads_last = True
    streams = True

    @classmethod
    def build(cls, layers: Layers, plan: StagePlan) -> Self:
        return cls(layers, plan.pace)

    @classmethod
    def most_lanes(cls, node: Node) -> int:
        return 1

    def __init__(self, nodes: Nodes, pace: int = 1) -> None:
        self.layers, self.pace = Layers.of(nodes), pace
        (x,), y = self.layers.node.inputs, self.layers.node.output
        super().__init__({"i": In(self.layers.signature(x)), "o": Out(self.layers.signature(y))})
        self.size, self.shape = x.size, shape_of(x)
        self.line = Sums(self.size, self.shape.width, memories=self.layers.memories)
        self.depth = self.line.latency + REQUANTIZE_LATENCY
        self.queue = self.layers.queue(y, 1, Places.needed(self.depth, pace))

    @property
    def work(self) -> int:
        return self.size

    @property
    def cycles(self) -> int:
        return self.size * self.pace

    @property
    def storage(self) -> list[Storage]:
        return [self.line.storage, self.queue.storage]

    def elaborate(self, platform: object) -> Module:
        m, queue = self.module(), self.queue
        go = Signal()
        places = Places(m, queue, go)
        m.d.comb += [
            self.i.ready.eq(places.free),
            go.eq(self.i.valid & places.free),
            queue.i.p.data[0].eq(self.layers.requantize(m, self._change(m, go))),
            tag_of(queue.i.p).eq(delay(m, tag_of(self.i.p), self.depth)),
            queue.i.valid.eq(delay(m, go, self.depth, reset_less=False)),
        ]
        return m

    def _change(self, m: Module, go: Value) -> Value:
        """That of the element at hand, when its last value has been read."""
        place, fresh, read = Counter(m, self.size, go), Signal(init=1), self.line.latency
        with m.If(place.wraps):
            m.d.sync += fresh.eq(self.i.p.last)
        x = Signal(self.shape)
        m.d.comb += x.eq(delay(m, self.i.p.data[0], read))
        begins, taken = (
            delay(m, fresh, read - self.line.ahead),
            delay(m, go, read, reset_less=False),
        )
        kept = self.line.keep(
            m, place.value, begins, Const(0, self.shape.width), taken, x.as_unsigned()
        )
        before = Signal(Shape(self.shape.width, self.shape.signed))
        m.d.comb += before.eq(kept.value)
        return x - before

    # A result for every beat that finds a place: beats move as in an element-wise stage.
    begin = Elementwise.begin
