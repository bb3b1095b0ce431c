"""The SSM of an S5 block.

One complex state of P modes is shared by all H channels:

    h' = Lbar o h + Bbar u
    y  = 2 Re(C h') + D o u

The factor 2 stands for the conjugate half that is not stored. Zero-order hold: Lbar = exp(L dt),
Bbar = ((Lbar - 1) / L) B; bilinear: Lbar = (1 + L dt/2) / (1 - L dt/2), Bbar = (dt / (1 - L dt/2))
B (arXiv 2208.04933, section 3 and its code). None: Lbar = exp(L dt), Bbar = B.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn

from ssm_hdl.sw.models.deep import Tap
from ssm_hdl.sw.models.hippo import diagonal_hippo
from ssm_hdl.sw.models.recurrence import recur

Discretization = Literal["zoh", "bilinear", "none"]

STABLE = -1e-4
"""Largest real part of a clipped eigenvalue."""


class S5SSM(nn.Module):
    """The SSM of one block. B and C are initialised as in the paper: random,
    in the basis of HiPPO-N's eigenvectors.

    Args:
        width: H, channels.
        modes: P, complex modes.
        blocks: J of HiPPO-N; divides P.
        dt_range: smallest and largest initial dt.
        discretization: ``zoh``, ``bilinear`` or ``none``.
        clip: limit the real parts of eigenvalues to -1e-4.
    """

    def __init__(
        self,
        width: int,
        modes: int,
        blocks: int,
        dt_range: tuple[float, float],
        discretization: Discretization,
        clip: bool,
    ) -> None:
        super().__init__()
        self.discretization, self.clip = discretization, clip
        eigenvalues, vectors = diagonal_hippo(modes, blocks)
        low, high = math.log(dt_range[0]), math.log(dt_range[1])
        b = _lecun(2 * modes, 2 * modes, width).to(vectors.dtype)
        c = torch.view_as_complex(_lecun(2 * modes, width, 2 * modes, 2))
        real = torch.get_default_dtype()
        self.Lambda_re = nn.Parameter(eigenvalues.real.to(real))
        self.Lambda_im = nn.Parameter(eigenvalues.imag.to(real))
        self.B = nn.Parameter(torch.view_as_real(vectors.mH @ b).to(real))
        self.C = nn.Parameter(torch.view_as_real(c @ vectors).to(real))
        self.D = nn.Parameter(torch.randn(width))
        self.log_step = nn.Parameter(torch.rand(modes) * (high - low) + low)

    def eigenvalues(self) -> Tensor:
        """Lambda (P,), complex."""
        return torch.complex(
            self.Lambda_re.clamp(max=STABLE) if self.clip else self.Lambda_re, self.Lambda_im
        )

    def exponent(self) -> Tensor:
        """Lambda dt (P,), complex."""
        return self.eigenvalues() * torch.exp(self.log_step)

    def discrete(self) -> tuple[Tensor, Tensor]:
        """Lbar (P,) and Bbar (P, H), complex."""
        eigenvalues, step = self.eigenvalues(), torch.exp(self.log_step)
        if self.discretization == "bilinear":
            half = eigenvalues * step / 2
            poles, gain = (1 + half) / (1 - half), step / (1 - half)
        else:
            poles = torch.exp(eigenvalues * step)
            gain = (
                (poles - 1) / eigenvalues
                if self.discretization == "zoh"
                else torch.ones_like(poles)
            )
        return poles, gain[:, None] * torch.view_as_complex(self.B)

    def dynamics(self) -> list[nn.Parameter]:
        """Lambda, B and dt, the same group as in the paper's optimiser."""
        return [self.Lambda_re, self.Lambda_im, self.B, self.log_step]

    def forward(self, u: Tensor, tap: Tap) -> Tensor:
        """The readout (B, L, H) of u (B, L, H); complex matrices are real ones,
        real parts before imaginary ones."""
        poles, b = self.discrete()
        drive = tap("drive", u @ torch.cat([b.real, b.imag]).mT)
        states = tap("state", recur(poles, drive))
        # Re(C h) = Re C Re h - Im C Im h, as one real product.
        c = 2 * torch.cat([self.C[..., 0], -self.C[..., 1]], -1)
        return states @ c.mT + self.D * u

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step: u (B, H) and state (B, P) complex to the readout (B, H) and the new state."""
        poles, b = self.discrete()
        state = poles * state + u.to(b.dtype) @ b.mT
        return 2 * (state @ torch.view_as_complex(self.C).mT).real + self.D * u, state


def _lecun(fan_in: int, *shape: int) -> Tensor:
    """Random numbers of variance 1 / ``fan_in``, float64: normal, truncated at two deviations,
    as in JAX."""
    # The constant is the deviation of a standard normal truncated at 2, from jax.nn.initializers.
    deviation = fan_in**-0.5 / 0.87962566103423978
    return nn.init.trunc_normal_(
        torch.empty(shape, dtype=torch.float64), std=deviation, a=-2 * deviation, b=2 * deviation
    )
