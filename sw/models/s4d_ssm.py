"""The SSM of an S4D.

Each of the H channels has its own SSM of N complex modes: A = -exp(log_A_real) + i A_imag, B = 1,
zero-order hold with step dt:

    Abar = exp(dt A),  Bbar = (Abar - 1) / A
    x'   = Abar x + Bbar u
    y    = 2 Re(sum_n C_n x'_n) + D u

The factor 2 stands for the conjugate half that is not stored.
"""

import math

import torch
from torch import Tensor, nn

from ssm_hdl.sw.models.convolution import convolve
from ssm_hdl.sw.models.deep import Tap


class S4DKernel(nn.Module):
    """The coefficients of H SSMs of N modes, initialised as S4D-Lin (arXiv 2206.11893):
    A_n = -1/2 + i pi n.

    Args:
        width: H.
        modes: N, complex modes per channel; a mode represents itself and its conjugate.
        dt_range: smallest and largest initial dt, drawn log-uniformly.
    """

    def __init__(self, width: int, modes: int, dt_range: tuple[float, float]) -> None:
        super().__init__()
        low, high = math.log(dt_range[0]), math.log(dt_range[1])
        self.C = nn.Parameter(torch.randn(width, modes, 2) * math.sqrt(0.5))
        self.log_dt = nn.Parameter(torch.rand(width) * (high - low) + low)
        self.log_A_real = nn.Parameter(torch.full((width, modes), math.log(0.5)))
        self.A_imag = nn.Parameter(math.pi * torch.arange(modes).repeat(width, 1).to(self.C.dtype))

    def c(self) -> Tensor:
        """C (H, N), complex."""
        return torch.view_as_complex(self.C)

    def a(self) -> Tensor:
        """A (H, N), complex, in continuous time."""
        return torch.complex(-torch.exp(self.log_A_real), self.A_imag)

    def exponent(self) -> Tensor:
        """A dt (H, N), complex."""
        return self.a() * torch.exp(self.log_dt)[:, None]

    def discrete(self) -> tuple[Tensor, Tensor]:
        """(Abar, Bbar), each (H, N) complex, by zero-order hold."""
        a_bar = torch.exp(self.exponent())
        return a_bar, (a_bar - 1) / self.a()

    def forward(self, steps: int) -> Tensor:
        """The impulse response 2 Re(sum_n C_n Bbar_n Abar_n^l), shape (H, steps).

        The power l is split into l = i S + j, with S the root of ``steps``, rounded up:
        2 S exponentials per mode, not S^2.
        """
        # Rows of `high` are the powers i S, columns of the other factor the powers j:
        # their product is an (S, S) grid of l.
        a_dt = self.exponent()
        root = math.isqrt(steps - 1) + 1
        powers = torch.arange(root, device=a_dt.device) * a_dt[..., None]
        high = (self.c() * self.discrete()[1])[..., None] * torch.exp(powers * root)
        response = high.transpose(1, 2) @ torch.exp(powers)
        return 2 * response.real.reshape(len(a_dt), -1)[:, :steps]


class S4DSSM(nn.Module):
    """H SSMs side by side, with their skip."""

    def __init__(self, width: int, modes: int, dt_range: tuple[float, float]) -> None:
        super().__init__()
        self.kernel = S4DKernel(width, modes, dt_range)
        self.D = nn.Parameter(torch.randn(width))

    def dynamics(self) -> list[nn.Parameter]:
        """The parameters of A and dt."""
        return [self.kernel.log_dt, self.kernel.log_A_real, self.kernel.A_imag]

    def exponent(self) -> Tensor:
        """A dt (H, N), complex."""
        return self.kernel.exponent()

    def discrete(self) -> tuple[Tensor, Tensor]:
        """(Abar, Bbar), each (H, N) complex."""
        return self.kernel.discrete()

    def forward(self, u: Tensor, tap: Tap) -> Tensor:
        """The readout (B, L, H) of u (B, L, H)."""
        return self.convolve(u.mT).mT

    def convolve(self, u: Tensor) -> Tensor:
        """Y (B, H, L) of u (B, H, L): the SSM as one long convolution, by FFT."""
        return convolve(u, self.kernel(u.shape[-1])) + self.D[:, None] * u

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step of the SSM: u (B, H) and state (B, H, N) complex to y (B, H)
        and the new state."""
        a_bar, b_bar = self.kernel.discrete()
        state = a_bar * state + b_bar * u[..., None]
        return 2 * (self.kernel.c() * state).sum(-1).real + self.D * u, state

    @torch.no_grad()
    def states(self, u: Tensor) -> Tensor:
        """Of the states h' = Abar h + u for u (B, L, H): the largest |Re| or |Im|,
        and the sum of |h|^2; (2, H, N)."""
        a_bar = self.kernel.discrete()[0]
        state = a_bar.new_zeros(len(u), *a_bar.shape)
        peak, power = torch.zeros(a_bar.shape), torch.zeros(a_bar.shape, dtype=torch.float64)
        for step in u.unbind(1):
            state = a_bar * state + step[..., None]
            parts = torch.view_as_real(state)
            peak = torch.maximum(peak, parts.abs().amax((0, 3)))
            power += parts.square().sum((0, 3))
        return torch.stack([peak.double(), power])
