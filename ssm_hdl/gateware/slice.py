# amaranth: UnusedElaboratable=no
"""Gateware of slice."""

import math
from itertools import count
from typing import Self

from amaranth.hdl import Module, Signal
from amaranth.lib.wiring import In, Out

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.layers import Layers, Nodes
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.stage import Stage, StagePlan
from ssm_hdl.gateware.stream import reals
from ssm_hdl.gateware.timing import Beats, Cycles, Process, known
from ssm_hdl.operations import Node
from ssm_hdl.operations import Slice as SliceOperation


class Slice(Stage):
    """y = x[start : start + size]: beats outside are dropped.

    Cycles per step: ``n / lanes`` for packets of n numbers in. Latency, last beat in to last beat
    out: ``(start + size - n) / lanes`` cycles, not positive: a beat goes through in the
    cycle it comes in.

    Args:
        nodes: the bound operation, or one for each of several layers.
        lanes: numbers in a beat; it divides ``start`` and ``size``.

    Members:
        i: beats in.
        o: beats out.
    """

    streams = True
    drops = True

    @classmethod
    def build(cls, layers: Layers, plan: StagePlan) -> Self:
        """With the lanes of a plan."""
        return cls(layers, plan.lanes)

    @classmethod
    def most_lanes(cls, node: Node) -> int:
        """Lanes divide the packet, the part and where it starts."""
        assert isinstance(node.op, SliceOperation)
        return math.gcd(super().most_lanes(node), node.op.start)

    def __init__(self, nodes: Nodes, lanes: int = 1) -> None:
        self.layers = layers = Layers.of(nodes)
        node = layers.node
        assert isinstance(node.op, SliceOperation)
        start, size = node.op.start, node.op.size
        if start % lanes or size % lanes:
            raise SsmHdlError(
                f"{node.name}: {lanes} numbers per beat do not divide start {start} and size {size}"
            )
        self.node, self.lanes = node, lanes
        self.start, self.stop = start // lanes, (start + size) // lanes
        super().__init__(
            {
                "i": In(layers.signature(node.output, lanes)),
                "o": Out(layers.signature(node.output, lanes)),
            }
        )

    @property
    def cycles(self) -> int:
        """Cycles per packet, the initiation interval."""
        return reals(self.node.inputs[0]) // self.lanes

    @property
    def storage(self) -> list[Storage]:
        """It has no memory."""
        return []

    @property
    def latency(self) -> int:
        """Cycles from the last beat of a packet in to its last beat out."""
        return self.stop - self.cycles

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        advance = self.i.valid & self.i.ready
        beat, inside = Counter(m, self.cycles, advance), Signal(init=self.start == 0, name="inside")
        # a register that is right for the next beat, not a comparison in the way of this one
        with m.If(advance):
            begins = beat.value == (self.start - 1) % self.cycles
            m.d.sync += inside.eq(begins | (inside & (beat.value != self.stop - 1)))
        m.d.comb += [
            self.o.payload.eq(self.i.payload),
            self.o.valid.eq(self.i.valid & inside),
            self.i.ready.eq(self.o.ready | ~inside),
        ]
        return m

    def timing(self, i: Beats, o: Beats) -> list[Process]:
        """When its beats move."""
        return [Process(self._pass, i, o)]

    def _pass(self, i: Beats, o: Beats) -> Cycles:
        for beat in count():
            cycle = yield from known(i.offered, beat)
            if self.start <= beat % self.cycles < self.stop:
                o.offered.append(cycle)
                cycle = yield from known(o.taken, len(o.offered) - 1)
            i.taken.append(cycle)
