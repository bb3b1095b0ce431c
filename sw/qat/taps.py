"""Taps, differentiable."""

import torch
from torch import Tensor

from ssm_hdl.operations import Node, Taps


def forward(node: Node, x: Tensor) -> Tensor:
    """y[c K + k] = x_(t - K + 1 + k)[c]; x (batch, steps, C), y (batch, steps, C K)."""
    assert isinstance(node.op, Taps)
    padded = torch.nn.functional.pad(x, (0, 0, node.op.taps - 1, 0))
    return torch.stack([padded[:, k : k + x.shape[1]] for k in range(node.op.taps)], -1).flatten(-2)
