# amaranth: UnusedElaboratable=no
"""Gateware of pool."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY, Storage, delay, requantize
from ssm_hdl.gateware.stream import Places, Queue, reals, shape_of, signature
from ssm_hdl.operations import Node
from ssm_hdl.operations import Pool as PoolOperation


class Pool(wiring.Component):
    """y = 2**-shift sum_t x[t], sent after the step marked ``last``.

    The sums are a ring of registers that turns by one beat as each comes in: the one at the head is the one to add to.

    Cycles per step: ``n / lanes``. Latency, of the last step: ``3 + queue`` cycles.

    Args:
        node: the bound operation.
        lanes: numbers in a beat.
        pace: cycles between beats of the result that are enough.

    Members:
        i: beats in.
        o: beats out, once a sequence.
    """

    depth = 1 + REQUANTIZE_LATENCY

    def __init__(self, node: Node, lanes: int = 1, pace: int = 1) -> None:
        assert isinstance(node.op, PoolOperation)
        self.node, self.lanes, self.shift = node, lanes, node.op.shift
        x, y = shape_of(node.inputs[0]), shape_of(node.output)
        super().__init__({"i": In(signature(x, lanes)), "o": Out(signature(y, lanes))})
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
        """Its memories: the ring is of registers."""
        return [self.queue.storage, Storage("sums", self.cycles, self.node.accumulator.width * self.lanes, False)]

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        accumulator, bits = self.node.accumulator, self.node.accumulator.width
        ring = Signal(bits * self.lanes * self.cycles)
        m.submodules.queue = queue = self.queue
        connect(m, queue.o, flipped(self.o))
        end = Signal()
        places = Places(m, queue, end)
        m.d.comb += [
            self.i.ready.eq(~self.i.p.last | places.free),
            end.eq(self.i.valid & self.i.p.last & places.free),
        ]
        sums = []
        for lane in range(self.lanes):
            total = Signal(Shape(bits, True), name=f"total_{lane}")
            m.d.comb += total.eq(ring.word_select(lane, bits).as_signed() + self.i.p.data[lane])
            sums.append(total)
            f_bits = accumulator.f_bits + self.shift
            m.d.comb += queue.i.p.data[lane].eq(requantize(m, delay(m, total, 1), f_bits, self.node.output.format))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += ring.eq(Cat(ring[bits * self.lanes :], Mux(self.i.p.last, 0, Cat(sums))))
        m.d.comb += [queue.i.p.last.eq(1), queue.i.valid.eq(delay(m, end, self.depth, reset_less=False))]
        return m
