"""Argmax: the place of the largest element."""

from typing import Literal

from ssm_hdl.fixed import UQ
from ssm_hdl.operations.base import Edge, Node, Tensors, Unary


class Argmax(Unary):
    """y = the least c with x[c] = max x: one element, an unsigned integer of ceil(log2 C)
    bits, 1 at least."""

    op: Literal["argmax"] = "argmax"

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """No arrays; the accumulator holds x."""
        (x,) = inputs
        self.refuse_complex(inputs)
        index = UQ(max(1, (x.size - 1).bit_length()), 0)
        return Node(
            self,
            inputs,
            Edge(self.name, 1, index, per_sequence=x.per_sequence),
            x.format,
            choices=x.size,
        )
