"""Dense: y = W x + b, plain, grouped, the real part of a complex product,
or with a complex result."""

from typing import Literal

import numpy as np

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.exact import bound, check_rounding, extremes, rescale
from ssm_hdl.fixed import MAX_WIDTH, Codes, Format
from ssm_hdl.operations.base import Edge, Node, Tensor, Tensors, Unary


class Dense(Unary):
    """y[g, m] = sum_n W[g, m, n] x[g, n] + b[g, m], rounded once, after the sum.

    Attributes:
        weight: (M, N), or (G, M/G, N/G) when the elements fall into G groups that do not mix; with
            one more axis of 2 (real, imaginary) for a complex input, and then y is the real part,
            ``sum Re(W) Re(x) - Im(W) Im(x)``. Exponents are one for each row: (M,), or (G, M/G).
        bias: (M,), added to the accumulator; converted to the accumulator's fraction bits.
        result: ``complex`` if the rows are the real and imaginary parts of M / 2 complex
            elements in turn.
        format: format of y.
    """

    shaped = ("weight",)

    op: Literal["dense"] = "dense"
    weight: Tensor
    bias: Tensor | None = None
    result: Literal["complex"] | None = None
    format: Format

    @property
    def trained(self) -> tuple[Tensor, ...]:
        """Weight and bias."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """Arrays: ``weight`` (G, M/G, N/G) or (G, M/G, N/G, 2) and ``bias`` (M,)
        with the accumulator's fraction bits.

        As stored, the weights are ``code`` in the shape of ``weight``,
        each row to be shifted left by ``scale`` (G, M/G).
        """
        (x,) = inputs
        name, axes = self.weight.tensor, (3, 4) if x.is_complex else (2, 3)
        grouped = tensors.get(self.name, name, self.weight.format, axes).ndim == axes[1]
        stored = tensors.scaled(self.name, self.weight, axes, 2 if grouped else 1)
        code, scale, weight = (
            a if grouped else a[np.newaxis] for a in (stored.codes, stored.shift, stored.values)
        )
        groups, rows, columns = weight.shape[:3]
        if groups * columns != x.size or weight.shape[3:] != ((2,) if x.is_complex else ()):
            raise SsmHdlError(
                f"{self.name}: weight {self.weight.tensor!r} has shape {weight.shape} (groups, "
                f"rows, columns), but its input {x.name} has {x.size} "
                f"{'complex' if x.is_complex else 'real'} elements; "
                f"groups x columns must be {x.size}"
            )
        if self.result and groups * rows % 2:
            raise SsmHdlError(
                f"{self.name}: {groups * rows} rows of {name!r} are no pairs (real, imaginary) "
                "of a complex result"
            )
        f_bits = stored.f_bits + x.format.f_bits
        bias = np.zeros(groups * rows, dtype=np.int64)
        if self.bias is not None:
            codes = tensors.get(self.name, self.bias.tensor, self.bias.format, (1,))
            if codes.shape != bias.shape:
                raise SsmHdlError(
                    f"{self.name}: bias {self.bias.tensor!r} has shape {codes.shape}, "
                    f"not {bias.shape}"
                )
            bias = rescale(self.name, f"bias {self.bias}", codes, self.bias.format.f_bits - f_bits)
        low, high = self._sums(weight, x)
        operands = x, f"weight {self.weight}", *([] if self.bias is None else [f"bias {self.bias}"])
        accumulator = bound(
            self.name,
            operands,
            low.ravel() + np.minimum(bias, 0),
            high.ravel() + np.maximum(bias, 0),
            f_bits,
        )
        check_rounding(self.name, accumulator, f_bits, self.format)
        size = groups * rows // (2 if self.result else 1)
        return Node(
            self,
            inputs,
            Edge(
                self.name,
                size,
                self.format,
                is_complex=self.result is not None,
                per_sequence=x.per_sequence,
            ),
            accumulator,
            {"weight": weight, "bias": bias, "code": code, "scale": scale},
            multiplications=weight.size,
        )

    def _sums(self, weight: Codes, x: Edge) -> tuple[Codes, Codes]:
        """Least and greatest partial sum of each row, in any order of its terms, shape (G, M/G)."""
        if x.is_complex:
            weight = np.concatenate([weight[..., 0], -weight[..., 1]], axis=-1)
        low, high = extremes(self.name, f"{x} and weight {self.weight}", weight, x.format)
        widest = max(
            -low.sum(axis=-1, dtype=np.float64).min(), high.sum(axis=-1, dtype=np.float64).max()
        )
        if widest > 1 << MAX_WIDTH:  # summed in floats, which do not wrap; int64 holds twice that
            raise SsmHdlError(
                f"{self.name}: sums of {x} and weight {self.weight} pass {MAX_WIDTH} bits; "
                "give one a narrower format"
            )
        return low.sum(axis=-1), high.sum(axis=-1)
