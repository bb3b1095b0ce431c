"""Rounding with a gradient: the rules of `ssm_hdl.fixed` forward, straight through backward."""

from typing import Any, cast

import torch
from torch import Tensor

from ssm_hdl.fixed import Format, saturate


class _Store(torch.autograd.Function):
    """Sums to codes; saturated sums have no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, f_bits: int, format: Format) -> Tensor:
        """Codes of exact sums with ``f_bits`` fraction bits: `ssm_hdl.fixed.requantize`,
        in floats that hold every bit."""
        ctx.scale = 2.0 ** (format.f_bits - f_bits)
        # In place after the first product, to save memory.
        rounded = x.mul(ctx.scale).add_(0.5).floor_()
        codes = rounded.clamp(format.min, format.max)
        ctx.save_for_backward(codes == rounded)
        return codes

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of the sum: scaled, and 0 where the code saturated."""
        (inside,) = ctx.saved_tensors
        return gradients[0].mul(ctx.scale).mul_(inside), None, None


class _Latent(torch.autograd.Function):
    """Latent codes to codes; a latent outside the format can only move back."""

    @staticmethod
    def forward(ctx: Any, latent: Tensor, format: Format) -> Tensor:
        """Rounded half up and saturated."""
        ctx.save_for_backward(latent)
        ctx.format = format
        return cast(Tensor, saturate(torch.floor(latent + 0.5), format, torch.where))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Straight through, but 0 where a step would move a latent further out."""
        (latent,) = ctx.saved_tensors
        gradient = gradients[0]
        outward = ((latent > ctx.format.max) & (gradient < 0)) | (
            (latent < ctx.format.min) & (gradient > 0)
        )
        return gradient.masked_fill(outward, 0.0), None


def store(x: Tensor, f_bits: int, format: Format) -> Tensor:
    """Exact sums (float64) with ``f_bits`` fraction bits to codes (float64) of ``format``."""
    return cast(Tensor, _Store.apply(x, f_bits, format))  # type: ignore[no-untyped-call]


def codes_of(latent: Tensor, format: Format) -> Tensor:
    """Codes (float64) of latent codes (float64), rounded and saturated."""
    return cast(Tensor, _Latent.apply(latent, format))  # type: ignore[no-untyped-call]
