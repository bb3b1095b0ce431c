"""Pool: the sum of a sequence over time."""

from typing import Annotated, Literal

from pydantic import Field

from ssm_hdl.exact import check_rounding
from ssm_hdl.fixed import Format
from ssm_hdl.operations.base import Edge, Node, OverTime, Tensors


class Pool(OverTime):
    """y = 2**-shift sum_t x[t], once per sequence, rounded to ``format``.

    For an average over sequences of one length T, 2**shift is near T and the weights that follow
    hold 2**shift / T; see `Mean`.

    Attributes:
        shift: the power of two that divides the sum.
        format: format of the result.
    """

    op: Literal["pool"] = "pool"
    shift: Annotated[int, Field(strict=True, ge=0, le=32)]
    format: Format

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """No arrays; the accumulator holds the sum of ``steps`` inputs."""
        (x,) = inputs
        output, sums = self.once(x, self.format), self.sums(x, steps)
        check_rounding(self.name, sums, x.format.f_bits + self.shift, self.format)
        return Node(self, inputs, output, sums)
