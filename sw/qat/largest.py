"""Largest, differentiable."""

from torch import Tensor

from ssm_hdl.operations import Node


def forward(node: Node, x: Tensor) -> Tensor:
    """y = max_t x[t]; x (batch, steps, N), y (batch, N)."""
    return x.amax(1)
