# amaranth: UnusedElaboratable=no
"""Gateware of pool."""

from itertools import count
from typing import Self

from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value
from amaranth.lib.wiring import In, Out

from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY, delay, requantize, saturated
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.layers import Layers, Nodes
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.queue import Places, Queue
from ssm_hdl.gateware.stage import Features, QueuedStage, StagePlan
from ssm_hdl.gateware.stream import reals, shape_of, signature
from ssm_hdl.gateware.sums import Sums
from ssm_hdl.gateware.timing import Beats, Cycles, known
from ssm_hdl.operations import Pool as PoolOperation


class Pool(QueuedStage):
    """y = 2**-shift sum_t x[t], sent after the step marked ``last``.

    Nothing is cleared, the first step of a sequence ignores the stored sums.

    Cycles per step: ``n / lanes``. Latency, of the last step: ``4 + queue`` cycles, one more if the
    sums are in a memory, since what a block RAM reads comes too late in a cycle to be added to,
    and two less in the compact form.

    Args:
        nodes: the bound operation, or it as `Layers`.
        lanes: numbers in a beat.
        pace: cycles between beats of the result that are enough.
        registers: keep the sums in registers.
        compact: fewer registers, where it idles: results are rounded in one cycle,
            and one may be the only one under way.
        even: its reader takes the results one by one, for longer than a time step takes:
            the queue holds them all.

    Members:
        i: beats in.
        o: beats out, once per sequence.
    """

    shareable = False
    reads_last = True
    streams = True
    sums_in_registers = True

    @classmethod
    def build(cls, layers: Layers, plan: StagePlan) -> Self:
        """With the lanes, the pace and the registers of a plan."""
        return cls(layers, plan.lanes, plan.pace, plan.registers, plan.compact, plan.even)

    @classmethod
    def compacts(cls, layers: Layers, plan: StagePlan) -> bool:
        """Always."""
        return True

    def __init__(
        self,
        nodes: Nodes,
        lanes: int = 1,
        pace: int = 1,
        registers: bool = False,
        compact: bool = False,
        even: bool = False,
    ) -> None:
        self.layers = layers = Layers.of(nodes)
        node = layers.node
        self.node, self.lanes, self._in_registers = node, lanes, registers
        self.shift = node.op.shift if isinstance(node.op, PoolOperation) else 0
        x, y = shape_of(node.inputs[0]), shape_of(node.output)
        super().__init__({"i": In(signature(x, lanes)), "o": Out(signature(y, lanes))})
        self.sums = Sums(self.cycles, node.accumulator.width * lanes, registers, layers.memories)
        self._read = max(1, self.sums.latency)
        self._compact = compact
        self.depth = self._read + 1 + REQUANTIZE_LATENCY * (not compact)
        places = Places.needed(self.depth, pace, least=2 - compact)
        self.queue = Queue(y, lanes, max(places, self.cycles * even), memories=layers.memories)

    @property
    def cycles(self) -> int:
        """Cycles per packet, the initiation interval."""
        return reals(self.node.inputs[0]) // self.lanes

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        return [self.queue.storage, self.sums.storage]

    @property
    def features(self) -> Features:
        """Running sums, and those in registers."""
        sums = self.lanes * self.layers.width
        return {"sums": sums, "registers": sums * self._in_registers}

    def start(self) -> int:
        """The initial value of a sum."""
        return 0

    def taken_in(self, kept: Value, number: Value) -> Value:
        """The next value of a sum."""
        return kept + number

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m, queue = self.module(), self.queue
        take, end = Signal(name="take"), Signal(name="end")
        places = Places(m, queue, end)
        m.d.comb += [
            self.i.ready.eq(~self.i.p.last | places.free),
            take.eq(self.i.valid & self.i.ready),
            end.eq(take & self.i.p.last),
        ]
        y, f_bits = self.node.output.format, self.node.accumulator.f_bits + self.shift
        for lane, total in enumerate(self._sums(m, take)):
            if self._compact:
                drop = f_bits - y.f_bits
                code = saturated(m, total + (1 << drop - 1 if drop > 0 else 0), drop, y)
            else:
                code = requantize(m, total, f_bits, y)
            m.d.comb += queue.i.p.data[lane].eq(code)
        m.d.comb += [
            queue.i.p.last.eq(1),
            queue.i.valid.eq(delay(m, end, self.depth, reset_less=False)),
        ]
        return m

    def _sums(self, m: Module, take: Value) -> list[Value]:
        """The sums of a beat, its numbers included, a cycle after the addition."""
        shape = Shape(self.node.accumulator.width, True)
        place, fresh = Counter(m, self.cycles, take), Signal(init=1, name="fresh")
        with m.If(place.wraps):
            m.d.sync += fresh.eq(self.i.p.last)
        first, taken = (
            delay(m, fresh, self._read - self.sums.ahead),
            delay(m, take, self._read, reset_less=False),
        )
        new = Signal(shape.width * self.lanes)
        start = Cat(Const(self.start(), shape).as_unsigned() for _ in range(self.lanes))
        kept = self.sums.keep(m, place.value, first, start, taken, new)
        before = [
            kept.value.word_select(lane, shape.width).as_signed() for lane in range(self.lanes)
        ]
        x = [delay(m, number, self._read) for number in self.i.p.data]
        totals = [
            self.taken_in(old, number)[: shape.width] for old, number in zip(before, x, strict=True)
        ]
        m.d.comb += new.eq(Cat(totals))
        return [
            kept.newest.word_select(lane, shape.width).as_signed() for lane in range(self.lanes)
        ]

    def begin(self, queued: Beats, o: Beats, i: Beats) -> Cycles:
        """The results of the last packet of a sequence need places."""
        cycle, results, beats = -1, count(), self.cycles
        for packet in count():
            for beat in range(packet * beats, (packet + 1) * beats):
                cycle = max(cycle + 1, (yield from known(i.offered, beat)))
                if i.ends(packet):
                    cycle = yield from self.queue.place(o, next(results), cycle)
                    queued.offered.append(cycle + self.depth)
                i.taken.append(cycle)
