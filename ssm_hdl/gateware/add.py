"""Gateware of add."""

from amaranth.hdl import Module, Value

from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY, delay
from ssm_hdl.gateware.elementwise import Elementwise
from ssm_hdl.gateware.layers import choose


class Add(Elementwise):
    """y = a + b at the finer of the two scales, rounded once.

    Cycles per step: ``n / lanes``. Latency: ``4 + queue`` cycles.

    See `Elementwise` for arguments and members.
    """

    depth = 2 + REQUANTIZE_LATENCY

    def compute(self, m: Module, lane: int, operands: list[Value], layer: Value) -> Value:
        """The sum, requantised."""
        a, b = (choose(m, layer, self._shifts(k), delay(m, x, 1).shift_left, 1) for k, x in enumerate(operands))
        return self.layers.requantize(m, delay(m, a + b, 1))

    def _shifts(self, index: int) -> list[int]:
        """By how much each layer shifts an operand to the scale of the sum."""
        nodes = zip(self.layers.nodes, self.layers.lift, strict=True)
        return [node.accumulator.f_bits - node.inputs[index].format.f_bits + lift for node, lift in nodes]
