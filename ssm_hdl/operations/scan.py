"""Diagonal scan: the recurrence of a diagonal state-space model."""

from typing import Any, Literal

import numpy as np

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.exact import bound, check_rounding, extremes
from ssm_hdl.fixed import MAX_WIDTH, Format
from ssm_hdl.operations.base import Edge, Node, Tensor, Tensors, Unary


class Scan(Unary):
    """h'[c, n] = Abar[c, n] h[c, n] + 2**e[c, n] u[c], complex;
    the state starts at 0 with every sequence.

    The sum is exact and rounded once, to the state's format. u is real or complex. Bbar is not
    here: a diagonal single-input system needs only the product of B and C. A power of two per mode
    scales the state to fill its format, and the read-out absorbs the rest. A mode with Abar = 0 and
    e = 0 passes u through, so the skip term D u is one more mode of the bank. A system of many
    inputs and one state has a complex dense, Bbar, upstream, and C channels of one mode.

    A pole near 1 decays by less than half a code per step, so a state of few bits gets stuck if it
    is rounded half up. With ``dither`` the rounding adds a fixed sequence of mean one half instead,
    `dither` below.

    Attributes:
        transition: Abar, (C, N, 2): channels, modes, (real, imaginary); |Abar| < 1.
            It may have an exponent per mode, (C, N).
        delta: the transition holds Abar - 1, which takes few bits where Abar is close to 1 (the
            delta form of digital filters, h' = h + (Abar - 1) h).
        exponent: e, (C, N), plain integers.
        dither: round by the fixed sequence instead of half up.
        format: format of the state, per part.
    """

    of_a_layer = Unary.of_a_layer | {"transition", "exponent"}
    shaped = ("transition",)

    op: Literal["scan"] = "scan"
    transition: Tensor
    delta: bool = False
    exponent: str
    dither: bool = False
    format: Format

    def bind(self, inputs: tuple[Edge, ...], tensors: Tensors, steps: int) -> Node:
        """Arrays, as in the equation and as stored.

        ``transition`` (C, N, 2), Abar as integers at the scale of the accumulator over that of the
        state; ``shift`` (C, N), the left shift of u into the accumulator; ``code`` (C, N, 2)
        and ``scale`` (C, N), so that ``code << scale`` is the transition, less one if ``delta``.
        """
        (u,) = inputs
        if u.per_sequence:
            raise SsmHdlError(
                f"{self.name}: its input {u.name} comes once per sequence, after a pool; "
                "a scan needs an input every time step"
            )
        stored = tensors.scaled(self.name, self.transition, (3,), 2)
        exponent = tensors.get(self.name, self.exponent, None, (2,))
        channels, modes = exponent.shape
        if stored.codes.shape != (channels, modes, 2) or channels != u.size:
            raise SsmHdlError(
                f"{self.name}: transition {stored.codes.shape} and exponent {exponent.shape} do "
                f"not fit the {u.size} elements of {u.name}; they must be ({u.size}, modes, 2) "
                f"and ({u.size}, modes)"
            )
        if not 0 <= stored.f_bits <= MAX_WIDTH:
            raise SsmHdlError(
                f"{self.name}: {self.transition} has {stored.f_bits} fraction bits, "
                f"its exponents included; poles inside the unit circle need 0 to {MAX_WIDTH}"
            )
        one = 1 << stored.f_bits
        transition = stored.values + (np.array([one, 0]) if self.delta else 0)
        unstable = (transition.astype(object) ** 2).sum(axis=-1) >= one * one
        if unstable.any():
            c, n = np.argwhere(unstable)[0]
            raise SsmHdlError(
                f"{self.name}: |Abar| >= 1 in {int(unstable.sum())} modes of "
                f"{self.transition.tensor!r} in {self.transition.format}, the first at channel "
                f"{c}, mode {n}: the state would not decay; quantize towards zero"
            )
        f_bits = stored.f_bits + self.format.f_bits
        shift = exponent + f_bits - u.format.f_bits
        if shift.min() < 0:
            raise SsmHdlError(
                f"{self.name}: exponent {exponent.min()} drops {-shift.min()} bits of {u} before "
                "the state is rounded; give the state or the transition that many more fraction "
                "bits, or a larger exponent"
            )
        if int(shift.max()) + u.format.width > MAX_WIDTH:
            raise SsmHdlError(
                f"{self.name}: exponent {exponent.max()} shifts {u} beyond {MAX_WIDTH} bits; "
                "give the state or the transition fewer fraction bits, or a smaller exponent"
            )
        if self.dither and stored.f_bits > MAX_WIDTH - DITHER_BITS - 1:
            raise SsmHdlError(
                f"{self.name}: dither takes at most {MAX_WIDTH - DITHER_BITS - 1} fraction bits of "
                f"the transition, and {self.transition} has {stored.f_bits}, its exponents included"
            )
        accumulator = self._bound(transition, shift, u, f_bits)
        check_rounding(self.name, accumulator, f_bits, self.format)
        size = channels * modes
        return Node(
            self,
            inputs,
            Edge(self.name, size, self.format, is_complex=True),
            accumulator,
            {"transition": transition, "shift": shift, "code": stored.codes, "scale": stored.shift},
            multiplications=4 * int(np.count_nonzero(transition.any(axis=-1))),
        )

    def _bound(self, transition: np.ndarray, shift: np.ndarray, u: Edge, f_bits: int) -> Format:
        """Format of the sum before it is rounded."""
        products = f"{self.transition} and the state in {self.format}"
        low_re, high_re = extremes(self.name, products, transition[..., 0], self.format)
        real, imaginary = (
            extremes(self.name, products, sign * transition[..., 1], self.format)
            for sign in (-1, 1)
        )
        drive = u.format.min << shift, u.format.max << shift
        crossed = drive if u.is_complex else (0, 0)
        low = low_re + np.minimum(real[0] + drive[0], imaginary[0] + crossed[0])
        high = high_re + np.maximum(real[1] + drive[1], imaginary[1] + crossed[1])
        return bound(
            self.name,
            (u, f"transition {self.transition}", f"state in {self.format}"),
            low,
            high,
            f_bits,
        )


DITHER_BITS = 8
"""Bits of the dither; it repeats every 256 steps."""

DITHER_STEP, DITHER_MODE, DITHER_PART = 159, 193, 64
"""Increments of the dither per time step, mode and part, in 256ths of a code. The multiples of 256
over the golden ratio spread most evenly (a Weyl sequence), so the error has little power at the low
frequencies of slow modes. The other two only decorrelate modes and parts."""


def dither(step: Any, mode: Any, part: Any) -> Any:
    """The dither of a mode (c N + n) at a time step, for its real (0) or imaginary (1) part:
    an integer of 8 bits.

    A sum is rounded as ``floor(x + (dither + 1/2) / 256)``. Takes integers,
    arrays and gateware values.
    """
    return (step * DITHER_STEP + mode * DITHER_MODE + part * DITHER_PART) & ((1 << DITHER_BITS) - 1)


def dither_offset(dither: Any, drop: int) -> Any:
    """Offset that rounds by `dither` when ``drop`` bits are dropped after it is added;
    its mean is half a code."""
    return ((2 * dither + 1) << drop) >> (DITHER_BITS + 1)
