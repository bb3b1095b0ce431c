"""Gateware of add."""

from amaranth.hdl import Module, Value

from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY, delay
from ssm_hdl.gateware.elementwise import Elementwise
from ssm_hdl.gateware.layers import Nodes, choose


class Add(Elementwise):
    """y = a + b at the finer of the two scales, rounded once.

    Cycles per step: ``n / lanes``. Latency: ``4 + queue`` cycles,
    in the compact form ``1 + queue``.

    See `Elementwise` for arguments and members.
    """

    def __init__(self, nodes: Nodes, lanes: int = 1, pace: int = 1, compact: bool = False) -> None:
        self._ahead = int(not compact)  # registers of the operands
        self.depth = 1 + (1 + REQUANTIZE_LATENCY) * self._ahead
        super().__init__(nodes, lanes, pace, compact)

    def compute(self, m: Module, lane: int, operands: list[Value], layer: Value) -> Value:
        """The sum, requantised."""
        a, b = (
            choose(m, layer, self._shifts(k), delay(m, x, self._ahead).shift_left, self._ahead)
            for k, x in enumerate(operands)
        )
        return (self.layers.requantize if self._ahead else self.layers.rounded)(
            m, delay(m, a + b, 1)
        )

    def _shifts(self, index: int) -> list[int]:
        """By how much each layer shifts an operand to the scale of the sum."""
        nodes = zip(self.layers.nodes, self.layers.lift, strict=True)
        return [
            node.accumulator.f_bits - node.inputs[index].format.f_bits + lift
            for node, lift in nodes
        ]
