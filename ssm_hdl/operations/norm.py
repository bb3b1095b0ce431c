"""Norm: the elements of a packet over their standard deviation or their root mean square."""

from dataclasses import dataclass
from math import isqrt
from typing import Annotated, Literal

from pydantic import Field

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.exact import bound, check_rounding
from ssm_hdl.fixed import MAX_WIDTH, Format
from ssm_hdl.functions import inverse_root
from ssm_hdl.operations.base import Edge, Node, Tensors, Unary

GUARD = 5
"""Extra fraction bits of the factors of the last product,
so their error stays below 0.05 of an output code."""

MAX_RESULT = 16
"""Widest output: its table has 512 words."""


class Norm(Unary):
    """y = (x - mean) / sqrt(variance + epsilon / n**2), without gain and bias,
    which belong into the dense downstream.

    No division is needed: with S = sum x, d = n x - S and V = n sum x**2 - S**2 + epsilon are exact
    integers, y = d / sqrt(V). The inverse root is a straight line in each cell of a table, `Root`.
    Equal elements give 0.

    Attributes:
        center: subtract the mean (LayerNorm); otherwise S is 0,
            and y = x over its root mean square (RMSNorm).
        epsilon: term of V in squared codes of x, an integer: eps of the float model times n**2
            4**f_bits, rounded.
        format: format of y, at most 16 bits; |y| stays below sqrt(n).
    """

    of_a_layer = Unary.of_a_layer | {"epsilon"}

    op: Literal["norm"] = "norm"
    center: bool = True
    epsilon: Annotated[int, Field(strict=True, ge=0, lt=1 << MAX_WIDTH)] = 0
    format: Format

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """Arrays: the table of the inverse root, ``level`` and ``slope``;
        the accumulator holds V."""
        (x,) = inputs
        self.refuse_complex(inputs)
        if x.size == 1 and self.center:
            raise SsmHdlError(
                f"{self.name}: {x.name} has one element, which is its own mean; "
                "a norm needs two or center: false"
            )
        if self.format.width > MAX_RESULT:
            raise SsmHdlError(
                f"{self.name}: {self.format} is wider than the {MAX_RESULT} bits that a "
                "norm is made for"
            )
        greatest = self._greatest(x)
        squares = (x.size * max(-x.format.min, x.format.max)) ** 2 + self.epsilon
        if squares.bit_length() >= MAX_WIDTH:
            raise SsmHdlError(
                f"{self.name}: the squares of {x.size} elements of {x.format} and epsilon "
                f"{self.epsilon} pass {MAX_WIDTH} bits; give {x.name} a narrower format or the "
                "norm a smaller epsilon"
            )
        root = Root.of(greatest, self.format)
        if root.drop > MAX_WIDTH:
            raise SsmHdlError(
                f"{self.name}: no result of a norm reaches a code of {self.format}; "
                "give it more fraction bits"
            )
        result = (
            (root.deviation(x.size, self.center) >> root.drop) + 1
        ) << root.cells + root.inside
        check_rounding(
            self.name,
            bound(self.name, (x, self.format), -result, result, root.f_bits),
            root.f_bits,
            self.format,
        )
        level, slope = inverse_root(root.cells, root.inside)
        return Node(
            self,
            inputs,
            Edge(self.name, x.size, self.format, per_sequence=x.per_sequence),
            bound(self.name, inputs, 0, greatest, 2 * x.format.f_bits),
            {"level": level, "slope": slope},
            multiplications=2 * x.size,
        )

    def _greatest(self, x: Edge) -> int:
        """The greatest V: half of the elements at each end of the format or, without centering,
        all at the larger end."""
        if self.center:
            return (
                x.size // 2 * (x.size - x.size // 2) * (x.format.max - x.format.min) ** 2
                + self.epsilon
            )
        return (x.size * max(-x.format.min, x.format.max)) ** 2 + self.epsilon


@dataclass(frozen=True)
class Root:
    """How y = d / sqrt(V) is computed, in integers.

    V is shifted left by ``s`` pairs of bits, until one of the first two of its ``width`` bits is
    set. d is shifted left by s bits and loses its ``drop`` lowest bits. V then is m, or 2 m if the
    first bit is set, times a constant power of two, with m in [1, 2). The ``cells`` bits of m below
    its leading one select the cell, and the ``inside`` bits below these the place in it: r = (level
    2**(inside - 2) - slope place) >> inside, with ``cells + inside`` fraction bits. y is d r, with
    ``f_bits`` fraction bits, rounded once.

    Attributes:
        width: bits of V, even.
        cells: bits that select a cell of the table, without the bit that tells m from 2 m.
        inside: bits of the place in a cell.
        drop: low bits that d loses.
    """

    width: int
    cells: int
    inside: int
    drop: int

    @classmethod
    def of(cls, greatest: int, format: Format) -> "Root":
        """The root of a norm whose V is at most ``greatest``, for results of ``format``."""
        cells = -(-format.width // 2)  # a line misses by 2**-(2 cells + 4.4) at most
        inside = format.width + GUARD - cells
        width = max(greatest.bit_length(), cells + inside + 1)
        width += width % 2
        return cls(width, cells, inside, max(0, width // 2 - 1 - format.f_bits - GUARD))

    @classmethod
    def at(cls, node: Node) -> "Root":
        """The root of a bound norm."""
        return cls.of(node.accumulator.max, node.output.format)

    @property
    def f_bits(self) -> int:
        """Fraction bits of the last product."""
        return self.width // 2 - 1 - self.drop + self.cells + self.inside

    def deviation(self, size: int, center: bool) -> int:
        """Greatest magnitude of d after the shift by s, before bits are dropped:
        d**2 <= (n - 1) V, or n V."""
        return isqrt((size - center) * ((1 << self.width) - 1))
