"""Add: the element-wise sum of two streams (residuals)."""

from typing import Literal

from ssm_hdl.exact import bound, check_rounding
from ssm_hdl.operations.base import Binary, Edge, Node, Tensors


class Add(Binary):
    """y = a + b, the exact sum at the finer of the two scales, rounded to ``format``."""

    op: Literal["add"] = "add"

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """No arrays; the accumulator is the exact sum."""
        output = self.check(inputs)
        a, b = (edge.format for edge in inputs)
        f_bits = max(a.f_bits, b.f_bits)
        low = (a.min << f_bits - a.f_bits) + (b.min << f_bits - b.f_bits)
        high = (a.max << f_bits - a.f_bits) + (b.max << f_bits - b.f_bits)
        accumulator = bound(self.name, inputs, low, high, f_bits)
        check_rounding(self.name, accumulator, f_bits, self.format)
        return Node(self, inputs, output, accumulator)
