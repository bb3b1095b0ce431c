"""Norms over the channels, for sequences (B, L, H) and single steps (B, H) alike."""

import torch
from torch import Tensor, nn
from torch.nn import functional

MOMENTUM = 0.05
"""Weight of a batch in the running statistics."""


class BatchNorm(nn.Module):
    """Batch normalisation over all dimensions but the last. In evaluation it is an affine map,
    which folds into its neighbours.

    Args:
        width: H.
        epsilon: added to the variance.
    """

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """The normalised x (..., H)."""
        # torch's function wants the channels in the second dimension.
        flat = x.reshape(-1, x.shape[-1])
        statistics = self.get_buffer("running_mean"), self.get_buffer("running_var")
        result = functional.batch_norm(
            flat, *statistics, self.weight, self.bias, self.training, MOMENTUM, self.epsilon
        )
        return result.reshape(x.shape)


def make_norm(kind: str, width: int, epsilon: float) -> nn.Module:
    """A norm of ``width`` channels: ``layer`` or ``rms`` with a gain,
    ``layer_bias`` with a bias too, ``batch``, or ``none``."""
    if kind == "none":
        return nn.Identity()
    if kind == "batch":
        return BatchNorm(width, epsilon)
    if kind == "rms":
        return nn.RMSNorm(width, epsilon)
    return nn.LayerNorm(width, epsilon, bias=kind == "layer_bias")
