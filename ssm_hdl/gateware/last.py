# amaranth: UnusedElaboratable=no
"""Gateware of last."""

from itertools import count
from typing import Self

from amaranth.hdl import Module
from amaranth.lib.wiring import In, Out

from ssm_hdl.gateware.layers import Layers, Nodes
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.stage import Stage, StagePlan
from ssm_hdl.gateware.stream import reals
from ssm_hdl.gateware.timing import Beats, Cycles, Process, known


class Last(Stage):
    """y = x[T]: beats of other steps are dropped.

    Cycles per step: ``n / lanes``. Latency: none, a beat goes through in the cycle it comes in.

    Args:
        nodes: the bound operation, or it as `Layers`.
        lanes: numbers in a beat.

    Members:
        i: beats in.
        o: beats out, once per sequence.
    """

    shareable = False
    reads_last = True
    streams = True
    latency = 0

    @classmethod
    def build(cls, layers: Layers, plan: StagePlan) -> Self:
        """With the lanes of a plan."""
        return cls(layers, plan.lanes)

    def __init__(self, nodes: Nodes, lanes: int = 1) -> None:
        self.layers = layers = Layers.of(nodes)
        self.lanes = lanes
        signature = layers.signature(layers.node.output, lanes)
        super().__init__({"i": In(signature), "o": Out(signature)})

    @property
    def cycles(self) -> int:
        """Cycles per packet, the initiation interval."""
        return reals(self.layers.node.output) // self.lanes

    @property
    def storage(self) -> list[Storage]:
        """It has no memory."""
        return []

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        m.d.comb += [
            self.o.payload.eq(self.i.payload),
            self.o.valid.eq(self.i.valid & self.i.p.last),
            self.i.ready.eq(self.o.ready | ~self.i.p.last),
        ]
        return m

    def timing(self, i: Beats, o: Beats) -> list[Process]:
        """When its beats move."""
        return [Process(self._pass, i, o)]

    def _pass(self, i: Beats, o: Beats) -> Cycles:
        results = count()
        for beat in count():
            cycle = yield from known(i.offered, beat)
            if i.ends(beat // self.cycles):
                o.offered.append(cycle)
                cycle = yield from known(o.taken, next(results))
            i.taken.append(cycle)
