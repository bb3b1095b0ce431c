"""Long causal convolutions by FFT, with their gradients."""

from typing import Any, cast

import torch
from torch import Tensor


def fft_length(least: int) -> int:
    """The smallest number not below ``least`` whose prime factors are 2 and 5: 1567 becomes 1600,
    a fast length."""
    length = least
    while True:
        rest = length
        for factor in (2, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return length
        length += 1


class Convolution(torch.autograd.Function):
    """The causal convolution of u (B, H, L) with k (H, L): (B, H, L), by FFT.

    The gradients are written out, as correlations over the same spectra. Autograd would
    differentiate a real FFT by a complex one of the full length, which takes 40 % of
    the training time.
    """

    @staticmethod
    def forward(ctx: Any, u: Tensor, k: Tensor) -> Tensor:
        """The convolution, the spectra kept for the gradients."""
        ctx.length = fft_length(2 * u.shape[-1] - 1)  # zero-padded, so that nothing wraps around
        spectra = torch.fft.rfft(u, n=ctx.length), torch.fft.rfft(k, n=ctx.length)
        ctx.save_for_backward(*spectra)
        result: Tensor = torch.fft.irfft(spectra[0] * spectra[1], n=ctx.length)
        return result[..., : u.shape[-1]]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        """The gradients of u and k."""
        u_spectrum, k_spectrum = ctx.saved_tensors
        steps = gradients[0].shape[-1]
        spectrum = torch.fft.rfft(gradients[0], n=ctx.length)
        u_gradient = torch.fft.irfft(spectrum * k_spectrum.conj(), n=ctx.length)[..., :steps]
        k_gradient = torch.fft.irfft((spectrum * u_spectrum.conj()).sum(0), n=ctx.length)[
            ..., :steps
        ]
        return u_gradient, k_gradient


def convolve(u: Tensor, k: Tensor) -> Tensor:
    """The causal convolution over the last dimension of u (B, H, L) with k (H, L): (B, H, L),
    differentiable."""
    return cast(Tensor, Convolution.apply(u, k))  # type: ignore[no-untyped-call]
