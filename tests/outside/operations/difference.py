"""Difference: what changed since the last time step."""

from typing import Literal

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import SQ, Format
from ssm_hdl.operations.base import Edge, Node, Tensors, Unary


class Difference(Unary):
    """y_t = x_t - x_(t-1), rounded and saturated; x is 0 before the sequence began."""

    op: Literal["difference"] = "difference"
    format: Format

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        (x,) = inputs
        self.refuse_complex(inputs)
        if x.per_sequence:
            raise SsmHdlError(
                f"{self.name}: its input {x.name} comes once per sequence; "
                "there is no time step before it"
            )
        exact = SQ(x.format.i_bits + 1 + (not x.format.signed), x.format.f_bits)
        return Node(self, inputs, Edge(self.name, x.size, self.format), exact)
