"""Taps: a delay line."""

from typing import Annotated, Literal

from pydantic import Field

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.operations.base import Edge, Node, Tensors, Unary


class Taps(Unary):
    """y[c K + k] = x_(t - K + 1 + k)[c]: the last K values of every element, the oldest first; 0 before the sequence began."""

    op: Literal["taps"] = "taps"
    taps: Annotated[int, Field(ge=2, le=64)]

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        (x,) = inputs
        self.refuse_complex(inputs)
        if x.per_sequence:
            raise SsmHdlError(f"{self.name}: its input {x.name} comes once a sequence, there is no time step before it")
        return Node(self, inputs, Edge(self.name, x.size * self.taps, x.format), x.format)
