# amaranth: UnusedElaboratable=no
"""Gateware of pool."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY, delay, requantize
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.memories import BLOCK_RAM_FROM, Ram, Storage
from ssm_hdl.gateware.queue import Places, Queue
from ssm_hdl.gateware.stream import reals, shape_of, signature
from ssm_hdl.operations import Node
from ssm_hdl.operations import Pool as PoolOperation


class Pool(wiring.Component):
    """y = 2**-shift sum_t x[t], sent after the step marked ``last``.

    The sums live in a memory with one read and one write a cycle; few of them, or all if it is asked for, in a ring of registers
    that turns as each beat comes in. Nothing is cleared, the first step of a sequence ignores what it reads.

    Cycles per step: ``n / lanes``. Latency, of the last step: ``4 + queue`` cycles, one more if the sums are in a memory, since
    what a block RAM reads comes too late in a cycle to be added to.

    Args:
        node: the bound operation.
        lanes: numbers in a beat.
        pace: cycles between beats of the result that are enough.
        registers: keep the sums in registers.

    Members:
        i: beats in.
        o: beats out, once a sequence.
    """

    def __init__(self, node: Node, lanes: int = 1, pace: int = 1, registers: bool = False) -> None:
        assert isinstance(node.op, PoolOperation)
        self.node, self.lanes, self.shift = node, lanes, node.op.shift
        x, y = shape_of(node.inputs[0]), shape_of(node.output)
        super().__init__({"i": In(signature(x, lanes)), "o": Out(signature(y, lanes))})
        self._bits = node.accumulator.width * lanes
        self._registers = registers or self.cycles < 4 or self.cycles * self._bits < BLOCK_RAM_FROM
        self._read = 1 if self._registers else 2  # cycles to read a sum
        self.depth = self._read + 1 + REQUANTIZE_LATENCY
        self.queue = Queue(y, lanes, Places.needed(self.depth, pace))

    @property
    def latency(self) -> int:
        """Cycles from the last beat of a sequence in to its last beat out."""
        return self.depth + self.queue.latency

    @property
    def work(self) -> int:
        """Cycles that a packet keeps it busy."""
        return self.cycles

    @property
    def sinks(self) -> list[stream.Interface]:
        """The one stream in."""
        return [self.i]

    @property
    def cycles(self) -> int:
        """Cycles per packet, the initiation interval."""
        return reals(self.node.inputs[0]) // self.lanes

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        return [self.queue.storage, Storage("sums", self.cycles, self._bits, not self._registers)]

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        m.submodules.queue = queue = self.queue
        connect(m, queue.o, flipped(self.o))
        take, end = Signal(), Signal()
        places = Places(m, queue, end)
        m.d.comb += [
            self.i.ready.eq(~self.i.p.last | places.free),
            take.eq(self.i.valid & self.i.ready),
            end.eq(take & self.i.p.last),
        ]
        f_bits = self.node.accumulator.f_bits + self.shift
        for lane, total in enumerate(self._sums(m, take)):
            m.d.comb += queue.i.p.data[lane].eq(requantize(m, delay(m, total, 1), f_bits, self.node.output.format))
        m.d.comb += [queue.i.p.last.eq(1), queue.i.valid.eq(delay(m, end, self.depth, reset_less=False))]
        return m

    def _sums(self, m: Module, take: Value) -> list[Value]:
        """Those of a beat with what it brings, when what was kept has been read."""
        shape = Shape(self.node.accumulator.width, True)
        place, fresh = Counter(m, self.cycles, take), Signal(init=1)
        taken = delay(m, take, self._read, reset_less=False)
        with m.If(place.wraps):
            m.d.sync += fresh.eq(self.i.p.last)
        new = Signal(shape.width * self.lanes)
        kept = self._keep(m, place.value, taken, new)
        before = [kept.word_select(lane, shape.width).as_signed() for lane in range(self.lanes)]
        first = delay(m, fresh, self._read)
        totals = [Signal(shape, name=f"total_{lane}") for lane in range(self.lanes)]
        for lane, total in enumerate(totals):
            m.d.comb += total.eq(Mux(first, 0, before[lane]) + delay(m, self.i.p.data[lane], self._read))
        m.d.comb += new.eq(Cat(totals))
        return list(totals)

    def _keep(self, m: Module, place: Value, taken: Value, new: Value) -> Value:
        """What was kept at a place, when ``new`` takes its place."""
        if self._registers:
            ring = Signal(self._bits * self.cycles)
            with m.If(taken):
                m.d.sync += ring.eq(Cat(ring[self._bits :], new))
            return ring[: self._bits]
        sums = Ram(m, "sums", len(new), self.cycles)
        m.d.comb += [
            sums.read.addr.eq(place),
            sums.write.addr.eq(delay(m, place, self._read)),
            sums.write.data.eq(new),
            sums.write.en.eq(taken),
        ]
        return delay(m, sums.read.data, 1)
