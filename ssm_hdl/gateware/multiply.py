"""Gateware of multiply."""

from amaranth.hdl import Module, Value

from ssm_hdl.gateware import multiplier
from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY
from ssm_hdl.gateware.elementwise import Elementwise
from ssm_hdl.gateware.layers import Layers, Nodes, choose
from ssm_hdl.gateware.stream import shape_of


class Multiply(Elementwise):
    """y = a o b, rounded once, with a multiplier for every lane.

    Cycles per step: ``n / lanes``. Latency: ``2 + multiplier + queue`` cycles.

    Args:
        nodes: the bound operation, or those of several layers.
        lanes: numbers in a beat, and multipliers.
        kind: kind of multiplier, one of `multiplier.KINDS`.
        pace: cycles between beats that are enough.

    See `Elementwise` for the members.
    """

    def __init__(self, nodes: Nodes, lanes: int = 1, kind: str = "dsp", pace: int = 1) -> None:
        self.kind = kind
        self._product = multiplier.latency(kind, shape_of(Layers.of(nodes).node.inputs[1]))
        self.depth = self._product + REQUANTIZE_LATENCY
        super().__init__(nodes, lanes, pace)

    def compute(self, m: Module, lane: int, operands: list[Value], layer: Value) -> Value:
        """The product, requantised."""
        product = multiplier.multiply(m, self.kind, *operands)
        lifted = choose(m, layer, self.layers.lift, product.shift_left, self._product)
        return self.layers.requantize(m, lifted)
