"""Largest: the largest of every element over time."""

from typing import Literal

from ssm_hdl.fixed import Format
from ssm_hdl.operations.base import Edge, Node, OverTime, Tensors


class Largest(OverTime):
    """y = max_t x[t], once per sequence of T steps, in the format of x."""

    op: Literal["largest"] = "largest"

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """No arrays."""
        (x,) = inputs
        return Node(
            self,
            inputs,
            self.once(x, x.format),
            Format.for_range(x.format.min, x.format.max, x.format.f_bits),
        )
