"""Last, differentiable."""

from torch import Tensor

from ssm_hdl.operations import Node


def forward(node: Node, x: Tensor) -> Tensor:
    """y = x[T]; x (batch, steps, N), y (batch, N)."""
    return x[:, -1]
