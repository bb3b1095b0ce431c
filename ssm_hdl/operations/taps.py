"""Taps: a delay line."""

from typing import Annotated, Literal

from pydantic import Field

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.operations.base import MAX_SIZE, Edge, Node, Tensors, Unary


class Taps(Unary):
    """y[c K + k] = x_(t - K + 1 + k)[c]: the last K values of every element, the oldest first;
    0 before the sequence began.

    Attributes:
        taps: K.
    """

    op: Literal["taps"] = "taps"
    taps: Annotated[int, Field(strict=True, ge=2, le=64)]

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """No arrays."""
        (x,) = inputs
        self.refuse_complex(inputs)
        if x.per_sequence:
            raise SsmHdlError(
                f"{self.name}: its input {x.name} comes once per sequence; "
                "there is no time step before it"
            )
        if x.size * self.taps > MAX_SIZE:
            raise SsmHdlError(
                f"{self.name}: {self.taps} values of the {x.size} elements of {x.name} are more "
                f"than the {MAX_SIZE} of a packet"
            )
        return Node(self, inputs, Edge(self.name, x.size * self.taps, x.format), x.format)
