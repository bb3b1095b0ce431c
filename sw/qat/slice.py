"""Slice, differentiable."""

from torch import Tensor

from ssm_hdl.operations import Node, Slice


def forward(node: Node, x: Tensor) -> Tensor:
    """y = x[start : start + size]."""
    assert isinstance(node.op, Slice)
    return x[..., node.op.start : node.op.start + node.op.size]
