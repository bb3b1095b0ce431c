"""The frame of the element-wise stages: a short pipeline that moves when its output can."""

from amaranth.hdl import Cat, Module, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ssm_hdl.gateware.arithmetic import delay
from ssm_hdl.gateware.stream import reals, shape_of, signature
from ssm_hdl.operations import Node


class Elementwise(wiring.Component):
    """One result for every number, or pair of numbers, in order.

    Cycles per step: ``n / lanes`` for packets of n numbers. Latency: stated by the operation.

    Args:
        node: the bound operation.
        lanes: numbers in a beat.

    Members:
        i, and j with two operands: beats in.
        o: beats out.
    """

    latency: int

    def __init__(self, node: Node, lanes: int = 1) -> None:
        self.node, self.lanes = node, lanes
        members = {name: In(signature(shape_of(edge), lanes)) for name, edge in zip("ij", node.inputs, strict=False)}
        super().__init__({**members, "o": Out(signature(shape_of(node.output), lanes))})

    @property
    def sinks(self) -> list[stream.Interface]:
        """The streams in, in the order of the operation's inputs."""
        return [getattr(self, name) for name in "ij"[: len(self.node.inputs)]]

    @property
    def cycles(self) -> int:
        """Cycles per packet, the initiation interval."""
        return reals(self.node.output) // self.lanes

    def compute(self, m: Module, lane: int, operands: list[Value], enable: Value) -> Value:
        """The result of one lane, `latency` enabled cycles after its operands."""
        raise NotImplementedError

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        enable = ~self.o.valid | self.o.ready
        arrived = Cat(sink.valid for sink in self.sinks).all()
        m.d.comb += [sink.ready.eq(enable & arrived) for sink in self.sinks]
        for lane in range(self.lanes):
            operands = [sink.p.data[lane] for sink in self.sinks]
            m.d.comb += self.o.p.data[lane].eq(self.compute(m, lane, operands, enable))
        m.d.comb += [
            self.o.p.last.eq(delay(m, self.sinks[0].p.last, self.latency, enable)),
            self.o.valid.eq(delay(m, arrived, self.latency, enable, reset_less=False)),
        ]
        return m
