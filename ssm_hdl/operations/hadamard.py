"""Hadamard: the fast transform that spreads a few large elements over all."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.exact import bound, check_rounding
from ssm_hdl.fixed import Format
from ssm_hdl.hadamard import transform
from ssm_hdl.operations.base import Edge, Node, Tensors, Unary


class Hadamard(Unary):
    """y = 2**-shift H x, rounded once to ``format``; H is ``ssm_hdl.hadamard.matrix`` of
    the elements of x.

    Attributes:
        shift: the power of two that divides the sums.
        format: format of the result.
    """

    of_a_layer = Unary.of_a_layer | {"shift"}

    op: Literal["hadamard"] = "hadamard"
    shift: Annotated[int, Field(strict=True, ge=0, le=32)]
    format: Format

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """No arrays; the accumulator holds every sum, divided."""
        (x,) = inputs
        self.refuse_complex(inputs)
        try:
            sums = transform(np.ones(x.size, np.int64))
        except SsmHdlError as error:
            raise SsmHdlError(f"{self.name}: {x.name} has {x.size} elements; {error}") from error
        ones = [(x.size + int(total)) // 2 for total in (sums.min(), sums.max())]
        low = min(one * x.format.min - (x.size - one) * x.format.max for one in ones)
        high = max(one * x.format.max - (x.size - one) * x.format.min for one in ones)
        accumulator = bound(
            self.name, (x, f"{x.size} elements"), low, high, x.format.f_bits + self.shift
        )
        check_rounding(self.name, accumulator, accumulator.f_bits, self.format)
        return Node(
            self,
            inputs,
            Edge(self.name, x.size, self.format, per_sequence=x.per_sequence),
            accumulator,
        )
