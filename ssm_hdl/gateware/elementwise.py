# amaranth: UnusedElaboratable=no
"""The frame of the element-wise stages: a short pipeline into a queue."""

from itertools import count
from typing import Self

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from ssm_hdl.gateware.arithmetic import delay
from ssm_hdl.gateware.layers import Layers, Nodes
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.queue import Places
from ssm_hdl.gateware.stage import SINKS, QueuedStage, StagePlan
from ssm_hdl.gateware.stream import layer_of, reals, tag_of
from ssm_hdl.gateware.timing import Beats, Cycles, known


class Elementwise(QueuedStage):
    """One result for every number, or pair of numbers, in order; or several, one after the other.

    Cycles per step: ``n / lanes`` for packets of n numbers, ``pace`` times that at most if a pace
    is given. Latency: stated by the operation, plus the queue at its end.

    Args:
        nodes: the bound operation, or one for each of several layers.
        lanes: numbers in a beat that comes.
        pace: cycles between beats that are enough;
            the queue at the end is only as deep as they need.
        compact: fewer registers: results are rounded in one cycle,
            and one may be the only one under way.

    Members:
        i, and j with two operands: beats in.
        o: beats out.
    """

    streams = True

    @classmethod
    def build(cls, layers: Layers, plan: StagePlan) -> Self:
        """With the lanes and the pace of a plan."""
        return cls(layers, plan.lanes, plan.pace, plan.compact)

    @classmethod
    def compacts(cls, layers: Layers, plan: StagePlan) -> bool:
        """Its reader takes a result as soon as it is there."""
        return not plan.even

    def __init__(self, nodes: Nodes, lanes: int = 1, pace: int = 1, compact: bool = False) -> None:
        self.layers, self.lanes, self.pace = Layers.of(nodes), lanes, pace
        self.node = node = self.layers.node
        members = {
            name: In(self.layers.signature(edge, lanes))
            for name, edge in zip(SINKS, node.inputs, strict=False)
        }
        o_lanes = self.o_lanes(node, lanes)
        super().__init__({**members, "o": Out(self.layers.signature(node.output, o_lanes))})
        self.queue = self.layers.queue(
            node.output, o_lanes, Places.needed(self.depth, pace, least=2 - compact)
        )

    @property
    def work(self) -> int:
        """Cycles that a packet keeps it busy."""
        return reals(self.node.inputs[0]) // self.lanes

    @property
    def cycles(self) -> int:
        """Cycles per packet, the initiation interval."""
        return self.work * self.pace

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        return [self.queue.storage]

    def compute(self, m: Module, lane: int, operands: list[Value], layer: Value) -> Value:
        """The result of one lane, `depth` cycles after its operands and their layer."""
        raise NotImplementedError

    def results(self, m: Module, operands: list[list[Value]], layer: Value) -> list[Value]:
        """The results of all lanes."""
        return [self.compute(m, lane, each, layer) for lane, each in enumerate(operands)]

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m, queue = self.module(), self.queue
        go = Signal()
        places = Places(m, queue, go)
        m.d.comb += go.eq(Cat(places.free, *(sink.valid for sink in self.sinks)).all())
        for sink in self.sinks:
            others = [other.valid for other in self.sinks if other is not sink]
            m.d.comb += sink.ready.eq(Cat(places.free, *others).all())
        operands = [[sink.p.data[lane] for sink in self.sinks] for lane in range(self.lanes)]
        for lane, result in enumerate(self.results(m, operands, layer_of(self.i.p))):
            m.d.comb += queue.i.p.data[lane].eq(result)
        m.d.comb += [
            tag_of(queue.i.p).eq(delay(m, tag_of(self.i.p), self.depth)),
            queue.i.valid.eq(delay(m, go, self.depth, reset_less=False)),
        ]
        return m

    def begin(self, queued: Beats, o: Beats, *sinks: Beats) -> Cycles:
        """A result is begun when all operands and a place in the queue are there."""
        begun = -1
        for beat in count():
            begun += 1
            for sink in sinks:
                begun = max(begun, (yield from known(sink.offered, beat)))
            begun = yield from self.queue.place(o, beat, begun)
            for sink in sinks:
                sink.taken.append(begun)
            queued.offered.append(begun + self.depth)
