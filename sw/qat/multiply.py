"""Multiply, differentiable."""

from torch import Tensor

from ssm_hdl.operations import Node
from ssm_hdl.sw.qat.store import store


def forward(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """y = a o b."""
    return store(a * b, node.accumulator.f_bits, node.output.format)
