"""Multiply: the element-wise product of two streams (gates)."""

from typing import Literal

from ssm_hdl.exact import bound, check_rounding
from ssm_hdl.operations.base import Binary, Edge, Node, Tensors


class Multiply(Binary):
    """y = a o b, the exact product rounded to ``format``."""

    op: Literal["multiply"] = "multiply"

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """No arrays; the accumulator is the exact product."""
        output = self.check(inputs)
        a, b = (edge.format for edge in inputs)
        corners = [x * y for x in (a.min, a.max) for y in (b.min, b.max)]
        product = bound(self.name, inputs, min(corners), max(corners), a.f_bits + b.f_bits)
        check_rounding(self.name, product, product.f_bits, self.format)
        return Node(self, inputs, output, product, multiplications=output.size)
