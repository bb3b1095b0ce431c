"""Gateware of add."""

from amaranth.hdl import Module, Value

from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY, delay, requantize
from ssm_hdl.gateware.elementwise import Elementwise


class Add(Elementwise):
    """y = a + b at the finer of the two scales, rounded once.

    Cycles per step: ``n / lanes``. Latency: ``4 + queue`` cycles.

    See `Elementwise` for arguments and members.
    """

    depth = 2 + REQUANTIZE_LATENCY

    def compute(self, m: Module, lane: int, operands: list[Value]) -> Value:
        """The sum, requantised."""
        f_bits = self.node.accumulator.f_bits
        a, b = (delay(m, x, 1) << f_bits - edge.format.f_bits for x, edge in zip(operands, self.node.inputs, strict=True))
        return requantize(m, delay(m, a + b, 1), f_bits, self.node.output.format)
