"""Gateware of pool."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY, delay, requantize
from ssm_hdl.gateware.stream import reals, shape_of, signature
from ssm_hdl.operations import Node


class Pool(wiring.Component):
    """y = 2**-shift sum_t x[t], sent after the step marked ``last``.

    The sums are a ring of registers that turns by one beat as each comes in: the one at the head is the one to add to.

    Cycles per step: ``n / lanes``. Latency, of the last step: 3 cycles.

    Args:
        node: the bound operation.
        lanes: numbers in a beat.

    Members:
        i: beats in.
        o: beats out, once a sequence.
    """

    latency = 1 + REQUANTIZE_LATENCY

    def __init__(self, node: Node, lanes: int = 1) -> None:
        self.node, self.lanes = node, lanes
        x, y = shape_of(node.inputs[0]), shape_of(node.output)
        super().__init__({"i": In(signature(x, lanes)), "o": Out(signature(y, lanes))})

    @property
    def sinks(self) -> list[stream.Interface]:
        """The one stream in."""
        return [self.i]

    @property
    def cycles(self) -> int:
        """Cycles per packet, the initiation interval."""
        return reals(self.node.inputs[0]) // self.lanes

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        accumulator, bits = self.node.accumulator, self.node.accumulator.width
        ring = Signal(bits * self.lanes * self.cycles)
        enable = ~self.o.valid | self.o.ready
        m.d.comb += self.i.ready.eq(~self.i.p.last | enable)
        sums = []
        for lane in range(self.lanes):
            total = Signal(Shape(bits, True), name=f"total_{lane}")
            m.d.comb += total.eq(ring.word_select(lane, bits).as_signed() + self.i.p.data[lane])
            sums.append(total)
            f_bits = accumulator.f_bits + self.node.op.shift
            m.d.comb += self.o.p.data[lane].eq(
                requantize(m, delay(m, total, 1, enable), f_bits, self.node.output.format, enable)
            )
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += ring.eq(Cat(ring[bits * self.lanes :], Mux(self.i.p.last, 0, Cat(sums))))
        ends = self.i.valid & self.i.p.last
        m.d.comb += [self.o.p.last.eq(1), self.o.valid.eq(delay(m, ends, self.latency, enable, reset_less=False))]
        return m
