# amaranth: UnusedElaboratable=no
"""Gateware of mean."""

from dataclasses import replace
from itertools import count
from typing import Self

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.divider import Divider
from ssm_hdl.gateware.layers import Layers, Nodes
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.pool import Pool
from ssm_hdl.gateware.stage import Features, Stage, StagePlan
from ssm_hdl.gateware.stream import shape_of, signature
from ssm_hdl.gateware.timing import Beats, Cycles, Process, known
from ssm_hdl.operations import Node
from ssm_hdl.operations import Pool as PoolOperation


class Mean(Stage):
    """y = (sum_t x[t]) / T, sent after the step marked ``last``, the T-th of its sequence.

    A pool sums up. Its exact sums wait in a queue for a whole packet, and a serial divider for each
    lane takes one after the other. So a sequence may begin while the one before is divided,
    but not end.

    Cycles per step: ``max(n / lanes, ceil(n / lanes * divide / T))``, for sequences of T steps.
    Latency, of the last step: ``max(1, 3 + read + queue - n / lanes) + n / lanes * divide - 1``
    cycles. ``divide`` is the bits of a result and 3 cycles, ``read`` is 1 if the sums are in a
    memory that has a register, and ``queue`` the latency of the queue of sums.

    Args:
        nodes: the bound operation, or it as `Layers`.
        lanes: numbers in a beat.
        registers: keep the sums in registers.

    Members:
        i: beats in.
        o: beats out, once per sequence.
    """

    shareable = False
    reads_last = True
    sums_in_registers = True
    keeps = True

    @classmethod
    def build(cls, layers: Layers, plan: StagePlan) -> Self:
        """With the lanes and the registers of a plan."""
        return cls(layers, plan.lanes, plan.registers)

    def __init__(self, nodes: Nodes, lanes: int = 1, registers: bool = False) -> None:
        self.layers = layers = Layers.of(nodes)
        node, self.lanes = layers.node, lanes
        (x,) = node.inputs
        self._beats, (self.steps,) = x.size // lanes, node.arrays["steps"].tolist()
        sums = Layers([_summed(node)], family=layers.family, luts_below=layers.memories.luts_below)
        self.sums = Pool(sums, lanes, registers=registers, compact=True, even=True)
        self.divider = Divider(node.accumulator, self.steps, node.output.format)
        self.divide = self.divider.cycles + 1
        self.queue = self.sums.queue
        super().__init__(
            {
                "i": In(signature(shape_of(x), lanes)),
                "o": Out(signature(shape_of(node.output), lanes)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from the last beat of a sequence in to its last beat out."""
        return max(1, self.sums.latency + 1 - self._beats) + self._beats * self.divide - 1

    @property
    def work(self) -> int:
        """Cycles that a packet keeps it busy."""
        return self._beats

    @property
    def cycles(self) -> int:
        """Cycles per packet, the initiation interval, where sequences have all the steps."""
        return max(self._beats, -(-self._beats * self.divide // self.steps))

    @property
    def burst(self) -> int:
        """Cycles from the first result of a sequence to the last."""
        return (self._beats - 1) * self.divide

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        return self.sums.storage

    @property
    def features(self) -> Features:
        """The features of a pool, and the bits that the dividers shift."""
        shifted = self.divider.width + self.divider.count.width
        return {**self.sums.features, "divided": self.lanes * shifted}

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        m.submodules.sums = sums = self.sums
        taken, given = self.i.valid & self.i.ready, self.o.valid & self.o.ready
        came, left = Counter(m, self._beats, taken), Counter(m, self._beats, given)
        steps, length, dividing = (
            Signal(self.divider.count, init=1, name="steps"),
            Signal(self.divider.count, reset_less=True, name="length"),
            Signal(name="dividing"),
        )
        free = ~(self.i.p.last & dividing)  # ``length`` belongs to the results that have not left
        m.d.comb += [
            sums.i.p.eq(self.i.p),
            sums.i.valid.eq(self.i.valid & free),
            self.i.ready.eq(sums.i.ready & free),
        ]
        with m.If(came.wraps):
            m.d.sync += steps.eq(Mux(self.i.p.last, 1, steps + 1))
        with m.If(came.wraps & self.i.p.last):
            m.d.sync += [length.eq(steps), dividing.eq(1)]
        with m.Elif(left.wraps):
            m.d.sync += dividing.eq(0)
        self._divide(m, dividing, length, given)
        return m

    def _divide(self, m: Module, dividing: Value, length: Value, given: Value) -> None:
        """Divide the sums of a beat, and offer the results until they are taken."""
        phase, busy, load = (
            Signal(range(self.divider.cycles), name="phase"),
            Signal(name="busy"),
            Signal(name="load"),
        )
        m.d.comb += [
            load.eq(self.sums.o.valid & dividing & ~busy),
            self.sums.o.ready.eq(load),
            self.o.valid.eq(busy & (phase == 0)),
            self.o.p.last.eq(1),
        ]
        m.d.sync += busy.eq(load | (busy & ~given))
        with m.If(load):
            m.d.sync += phase.eq(self.divider.cycles - 1)
        with m.Elif(phase != 0):
            m.d.sync += phase.eq(phase - 1)
        begins = phase == self.divider.cycles - 1
        for total, result in zip(self.sums.o.p.data, self.o.p.data, strict=True):
            m.d.comb += result.eq(self.divider.quotient(m, total, length, load, begins, phase != 0))

    def timing(self, i: Beats, o: Beats) -> list[Process]:
        """When its beats move: the end of a sequence comes in once the results of the one
        before have left."""
        gated, sums = Beats(ends=i.ends), Beats()
        return [
            Process(self._gate, i, gated, o),
            *self.sums.timing(sums, i=gated),
            Process(self._results, gated, sums, o),
        ]

    def _gate(self, i: Beats, gated: Beats, o: Beats) -> Cycles:
        ended = 0
        for packet in count():
            for beat in range(packet * self._beats, (packet + 1) * self._beats):
                offered = yield from known(i.offered, beat)
                if i.ends(packet) and ended:
                    offered = max(offered, (yield from known(o.taken, ended * self._beats - 1)) + 1)
                gated.offered.append(offered)
                i.taken.append((yield from known(gated.taken, beat)))
            ended += i.ends(packet)

    def _results(self, gated: Beats, sums: Beats, o: Beats) -> Cycles:
        free, results = 0, count()
        for packet in count():
            came = yield from known(gated.taken, (packet + 1) * self._beats - 1)
            for _ in range(self._beats * gated.ends(packet)):
                result = next(results)
                loaded = max(free, came + 1, (yield from known(sums.offered, result)))
                sums.taken.append(loaded)
                o.offered.append(loaded + self.divider.cycles)
                free = (yield from known(o.taken, result)) + 1


def _summed(node: Node) -> Node:
    """The pool that gives exact sums."""
    op = PoolOperation(name=node.name, input=node.inputs[0].name, shift=0, format=node.accumulator)
    return replace(node, op=op, output=replace(node.output, format=node.accumulator))
