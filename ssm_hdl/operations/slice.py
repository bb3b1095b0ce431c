"""Slice: part of every packet."""

from typing import Annotated, Literal

from pydantic import Field

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.operations.base import MAX_SIZE, Edge, Node, Size, Tensors, Unary


class Slice(Unary):
    """y = x[start : start + size], in the format of x.

    Attributes:
        start: first element kept.
        size: elements kept.
    """

    op: Literal["slice"] = "slice"
    start: Annotated[int, Field(strict=True, ge=0, le=MAX_SIZE)]
    size: Size

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """No arrays."""
        (x,) = inputs
        self.refuse_complex(inputs)
        if self.start + self.size > x.size:
            raise SsmHdlError(
                f"{self.name}: elements {self.start} to {self.start + self.size - 1} of {x.name}, "
                f"which has {x.size}"
            )
        return Node(
            self,
            inputs,
            Edge(self.name, self.size, x.format, per_sequence=x.per_sequence),
            x.format,
        )
