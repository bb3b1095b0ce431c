"""Mean: the average of a sequence over time, whatever its length."""

from typing import Literal

import numpy as np

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import MAX_WIDTH, Format
from ssm_hdl.operations.base import Edge, Node, OverTime, Tensors


class Mean(OverTime):
    """y = (sum_t x[t]) / T, once per sequence of T steps, rounded once to ``format``.

    In integers, y is ``round_divide(sum << up, T << down)``: ``up`` or ``down`` is the difference
    of the fraction bits of y and x, the other is 0.

    Attributes:
        format: format of the result.
    """

    op: Literal["mean"] = "mean"
    format: Format

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """``steps`` as the only array; the accumulator holds the sum of this number of inputs."""
        (x,) = inputs
        output, sums = self.once(x, self.format), self.sums(x, steps)
        more = self.format.f_bits - x.format.f_bits
        if max(sums.width + max(more, 0), steps.bit_length() + max(-more, 0)) + 2 > MAX_WIDTH:
            raise SsmHdlError(
                f"{self.name}: the quotient of its sum in {sums} and {steps} steps in "
                f"{self.format} passes {MAX_WIDTH} bits; "
                "give its output a binary point closer to its input's"
            )
        return Node(self, inputs, output, sums, {"steps": np.array([steps])})
