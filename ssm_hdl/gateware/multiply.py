"""Gateware of multiply."""

from amaranth.hdl import Module, Value

from ssm_hdl.gateware import multiplier
from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY, requantize
from ssm_hdl.gateware.elementwise import Elementwise
from ssm_hdl.gateware.stream import shape_of
from ssm_hdl.operations import Node


class Multiply(Elementwise):
    """y = a o b, rounded once, with a multiplier for every lane.

    Cycles per step: ``n / lanes``. Latency: ``2 + multiplier + queue`` cycles.

    Args:
        node: the bound operation.
        lanes: numbers in a beat, and multipliers.
        kind: kind of multiplier, one of `multiplier.KINDS`.
        pace: cycles between beats that are enough.

    See `Elementwise` for the members.
    """

    def __init__(self, node: Node, lanes: int = 1, kind: str = "dsp", pace: int = 1) -> None:
        self.kind = kind
        self.depth = multiplier.latency(kind, shape_of(node.inputs[1])) + REQUANTIZE_LATENCY
        super().__init__(node, lanes, pace)

    def compute(self, m: Module, lane: int, operands: list[Value]) -> Value:
        """The product, requantised."""
        product = multiplier.multiply(m, self.kind, *operands)
        return requantize(m, product, self.node.accumulator.f_bits, self.node.output.format)
