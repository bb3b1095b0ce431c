"""Embedding: a row of a table for every token."""

from typing import Literal

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.operations.base import Edge, Node, Tensor, Tensors, Unary

MAX_TOKEN_BITS = 16
"""Widest token: the table is addressed by it."""


class Embedding(Unary):
    """y = W[x], for every element of x in turn, exact;
    a code past the end of the table selects its last row.

    Attributes:
        weight: (V, M): M numbers for each of V tokens, in the format of y.
    """

    op: Literal["embedding"] = "embedding"
    weight: Tensor

    @property
    def trained(self) -> tuple[Tensor, ...]:
        """The table."""
        return (self.weight,)

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """Arrays: ``code`` (V, M)."""
        (x,) = inputs
        self.refuse_complex(inputs)
        if x.format.signed or x.format.f_bits:
            raise SsmHdlError(
                f"{self.name}: {x.name} is {x.format}; tokens are counted in UQ(i, 0)"
            )
        if self.weight.exponent is not None:
            raise SsmHdlError(
                f"{self.name}: {self.weight.tensor!r} has exponents; "
                "the rows of an embedding have one scale"
            )
        if x.format.width > MAX_TOKEN_BITS:
            raise SsmHdlError(
                f"{self.name}: {x.name} is {x.format}; a token has at most {MAX_TOKEN_BITS} bits"
            )
        code = tensors.get(self.name, self.weight.tensor, self.weight.format, (2,))
        known = 1 << x.format.width
        if len(code) > known:
            raise SsmHdlError(
                f"{self.name}: {self.weight.tensor!r} has {len(code)} rows; "
                f"{x.name} in {x.format} tells {known} apart"
            )
        size = x.size * code.shape[1]
        output = Edge(self.name, size, self.weight.format, per_sequence=x.per_sequence)
        return Node(self, inputs, output, self.weight.format, {"code": code}, vocabulary=len(code))
