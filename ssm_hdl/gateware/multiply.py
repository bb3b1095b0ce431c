# amaranth: UnusedElaboratable=no
"""Gateware of multiply."""

from typing import Self

from amaranth.hdl import Module, Value

from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY
from ssm_hdl.gateware.elementwise import Elementwise
from ssm_hdl.gateware.layers import Layers, Nodes, choose
from ssm_hdl.gateware.multiplier import DSP
from ssm_hdl.gateware.stage import StagePlan
from ssm_hdl.gateware.stream import shape_of


class Multiply(Elementwise):
    """y = a o b, rounded once, with a multiplier for every lane.

    Cycles per step: ``n / lanes``. Latency: ``2 + multiplier + queue`` cycles,
    2 less in the compact form.

    Args:
        nodes: the bound operation, or one for each of several layers.
        lanes: numbers in a beat, and multipliers.
        kind: kind of multiplier, `DSP` or `LUT`.
        pace: cycles between beats that are enough.
        compact: see `Elementwise`; 2 cycles less.

    See `Elementwise` for the members.
    """

    def __init__(
        self, nodes: Nodes, lanes: int = 1, kind: str = DSP, pace: int = 1, compact: bool = False
    ) -> None:
        self.kind, self._compact, layers = kind, compact, Layers.of(nodes)
        shapes = [shape_of(edge) for edge in layers.node.inputs]
        self._multiplier = layers.family.multiplier(kind, *shapes)
        self._product = self._multiplier.latency(*shapes)
        self.depth = self._product + REQUANTIZE_LATENCY * (not compact)
        super().__init__(nodes, lanes, pace, compact)

    @classmethod
    def build(cls, layers: Layers, plan: StagePlan) -> Self:
        """With the lanes, the multipliers and the pace of a plan."""
        return cls(layers, plan.lanes, plan.kind, plan.pace, plan.compact)

    @classmethod
    def dsp_blocks(cls, layers: Layers, lanes: int, kind: str) -> int:
        """DSP blocks of the multipliers of the lanes."""
        a, b = (shape_of(edge) for edge in layers.node.inputs)
        return layers.family.multiplier(kind, a, b).blocks(a, b, lanes)

    @property
    def blocks(self) -> int:
        """DSP blocks."""
        return self.dsp_blocks(self.layers, self.lanes, self.kind)

    @property
    def products(self) -> int:
        """Products that its multipliers make for a packet."""
        return self.work * self.lanes

    @property
    def operands(self) -> tuple[int, int]:
        """Bits of the two operands of a product."""
        a, b = (edge.format.width for edge in self.layers.node.inputs)
        return a, b

    def results(self, m: Module, operands: list[list[Value]], layer: Value) -> list[Value]:
        """The products, requantised."""
        products = self._multiplier.multiply_all(m, [(a, b) for a, b in operands])
        lifted = [
            choose(m, layer, self.layers.lift, product.shift_left, self._product)
            for product in products
        ]
        return [
            (self.layers.rounded if self._compact else self.layers.requantize)(m, number)
            for number in lifted
        ]
