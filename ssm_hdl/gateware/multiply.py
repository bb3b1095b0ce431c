"""Gateware of multiply."""

from amaranth.hdl import Module, Value

from ssm_hdl.gateware import multiplier
from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY
from ssm_hdl.gateware.elementwise import Elementwise
from ssm_hdl.gateware.layers import Layers, Nodes, choose
from ssm_hdl.gateware.stream import shape_of
from ssm_hdl.operations import Node


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
        self.kind, layers = kind, Layers.of(nodes)
        a, b = (shape_of(edge) for edge in layers.node.inputs)
        self._product = multiplier.latency(kind, a, b, registers=layers.registers)
        self.depth = self._product + REQUANTIZE_LATENCY
        super().__init__(nodes, lanes, pace)

    @property
    def blocks(self) -> int:
        """DSP blocks."""
        return blocks(self.layers.node, self.lanes, self.kind)

    @property
    def products(self) -> int:
        """Products that its multipliers make for a packet."""
        return self.work * self.lanes

    def results(self, m: Module, operands: list[list[Value]], layer: Value) -> list[Value]:
        """The products, requantised."""
        products = multiplier.multiply_all(m, self.kind, [(a, b) for a, b in operands], registers=self.layers.registers)
        lifted = [choose(m, layer, self.layers.lift, product.shift_left, self._product) for product in products]
        return [self.layers.requantize(m, number) for number in lifted]


def blocks(node: Node, lanes: int, kind: str) -> int:
    """DSP blocks that the multipliers of so many lanes take."""
    a, b = (shape_of(edge) for edge in node.inputs)
    return multiplier.blocks(kind, a, b, lanes)
