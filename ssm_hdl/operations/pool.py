"""Pool: the sum of a sequence over time."""

from typing import Annotated, Literal

from pydantic import Field

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import Format
from ssm_hdl.operations.base import Edge, Node, Tensors, Unary, bound


class Pool(Unary):
    """y = 2**-shift sum_t x[t], once a sequence, rounded to ``format``.

    A mean over T steps is this with 2**shift near T and the rest, 2**shift / T, in the weights that follow.

    Attributes:
        shift: the power of two that divides the sum.
    """

    op: Literal["pool"] = "pool"
    shift: Annotated[int, Field(ge=0, le=32)]
    format: Format

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """No arrays; the accumulator holds ``steps`` of the largest inputs."""
        (x,) = inputs
        self.refuse_complex(inputs)
        if x.per_sequence:
            raise SsmHdlError(f"{self.name}: its input {x.name} comes once a sequence, there is nothing to sum over time")
        accumulator = bound(min(steps * x.format.min, 0), steps * x.format.max, x.format.f_bits)
        return Node(self, inputs, Edge(self.name, x.size, self.format, per_sequence=True), accumulator)
