"""Argmax, which has no gradient."""

from torch import Tensor

from ssm_hdl.operations import Node


def forward(node: Node, x: Tensor) -> Tensor:
    """y = argmax x, the first of equals; x (..., C), y (..., 1)."""
    return x.argmax(-1, keepdim=True).to(x.dtype)
