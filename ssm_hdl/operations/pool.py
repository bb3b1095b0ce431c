"""Pool: the sum of a sequence over time."""

from typing import Annotated, Literal

from pydantic import Field

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.exact import bound, check_rounding
from ssm_hdl.fixed import Format
from ssm_hdl.operations.base import Edge, Node, Tensors, Unary


class Pool(Unary):
    """y = 2**-shift sum_t x[t], once per sequence, rounded to ``format``.

    A mean over T steps takes a shift with 2**shift near T, and 2**shift / T in the weights that follow.

    Attributes:
        shift: the power of two that divides the sum.
    """

    op: Literal["pool"] = "pool"
    shift: Annotated[int, Field(strict=True, ge=0, le=32)]
    format: Format

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """No arrays; the accumulator holds the sum of ``steps`` inputs."""
        (x,) = inputs
        self.refuse_complex(inputs)
        if x.per_sequence:
            raise SsmHdlError(f"{self.name}: its input {x.name} comes once per sequence; there is nothing to sum over time")
        accumulator = bound(self.name, (x, f"{steps} steps"), steps * x.format.min, steps * x.format.max, x.format.f_bits)
        check_rounding(self.name, accumulator, x.format.f_bits + self.shift, self.format)
        return Node(self, inputs, Edge(self.name, x.size, self.format, per_sequence=True), accumulator)
