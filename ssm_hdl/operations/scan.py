"""Diagonal scan: the recurrence of a diagonal state-space model."""

from typing import Literal

import numpy as np

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import MAX_WIDTH, Format
from ssm_hdl.operations.base import Edge, Node, Tensor, Tensors, Unary, bound, extremes


class Scan(Unary):
    """h'[c, n] = Abar[c, n] h[c, n] + 2**e[c, n] u[c], complex; the state starts at 0 with every sequence.

    The sum is exact and rounded once, to the state's format. Bbar is not here: a diagonal single-input system needs only the
    product of B and C, so a power of two per mode balances the state to fill its format, and the read-out absorbs the rest.
    A mode with Abar = 0 and e = 0 passes u through: the skip term D u is one more mode of the bank.

    Attributes:
        transition: Abar, (C, N, 2): channels, modes, (real, imaginary); |Abar| < 1.
        exponent: e, (C, N), plain integers.
        format: format of the state, per part.
    """

    op: Literal["scan"] = "scan"
    transition: Tensor
    exponent: str
    format: Format

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """Arrays: ``transition`` (C, N, 2) and ``shift`` (C, N), the left shift of u into the accumulator."""
        (u,) = inputs
        self.refuse_complex(inputs)
        transition = tensors.get(self.name, self.transition.tensor, self.transition.format, (3,))
        exponent = tensors.get(self.name, self.exponent, None, (2,))
        channels, modes = exponent.shape
        if transition.shape != (channels, modes, 2) or channels != u.size:
            raise SsmHdlError(
                f"{self.name}: transition {transition.shape} and exponent {exponent.shape} do not fit the {u.size} elements "
                f"of {u.name}; they must be ({u.size}, modes, 2) and ({u.size}, modes)"
            )
        one = 1 << self.transition.format.f_bits if self.transition.format.f_bits >= 0 else 1
        unstable = (transition.astype(object) ** 2).sum(axis=-1) >= one * one
        if unstable.any():
            c, n = np.argwhere(unstable)[0]
            raise SsmHdlError(
                f"{self.name}: |Abar| >= 1 in {int(unstable.sum())} modes of {self.transition.tensor!r} in "
                f"{self.transition.format}, the first at channel {c}, mode {n}: the state would not decay; quantize towards zero"
            )
        f_bits = self.transition.format.f_bits + self.format.f_bits
        shift = exponent + f_bits - u.format.f_bits
        if shift.min() < 0:
            raise SsmHdlError(
                f"{self.name}: exponent {exponent.min()} drops {-shift.min()} bits of {u.name} ({u.format}) before the state is "
                f"rounded; give the state or the transition that many more fraction bits, or a larger exponent"
            )
        if int(shift.max()) + u.format.width > MAX_WIDTH:
            raise SsmHdlError(f"{self.name}: exponent {exponent.max()} shifts {u.name} beyond {MAX_WIDTH} bits")
        accumulator = self._bound(transition, shift, u, f_bits)
        size = channels * modes
        return Node(
            self,
            inputs,
            Edge(self.name, size, self.format, is_complex=True),
            accumulator,
            {"transition": transition, "shift": shift},
            multiplications=4 * int(np.count_nonzero(transition.any(axis=-1))),
        )

    def _bound(self, transition: np.ndarray, shift: np.ndarray, u: Edge, f_bits: int) -> Format:
        """Format of the sum before it is rounded."""
        low_re, high_re = extremes(transition[..., 0], self.format)
        low_im, high_im = extremes(-transition[..., 1], self.format)
        high_jm = extremes(transition[..., 1], self.format)
        drive_low, drive_high = u.format.min << shift, u.format.max << shift
        low = np.minimum(low_re + low_im + drive_low, low_re + high_jm[0])
        high = np.maximum(high_re + high_im + drive_high, high_re + high_jm[1])
        return bound(low, high, f_bits)
