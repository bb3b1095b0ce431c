# amaranth: UnusedElaboratable=no
"""Gateware of clip."""

from amaranth.hdl import Module, Value

from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY
from ssm_hdl.gateware.elementwise import Elementwise
from ssm_hdl.gateware.layers import choose


class Clip(Elementwise):
    """y = min(max(x, 0), limit). Cycles per step: ``n / lanes``. Latency: ``2 + queue`` cycles."""

    depth = REQUANTIZE_LATENCY

    def compute(self, m: Module, lane: int, operands: list[Value], layer: Value) -> Value:
        (x,) = operands
        return self.layers.requantize(m, choose(m, layer, self.layers.lift, x.shift_left))
