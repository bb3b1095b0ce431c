"""Add, differentiable."""

from torch import Tensor

from ssm_hdl.operations import Node
from ssm_hdl.sw.qat.store import store


def forward(node: Node, a: Tensor, b: Tensor) -> Tensor:
    """y = a + b at the finer of the two scales."""
    f_bits = node.accumulator.f_bits
    a, b = (
        x * 2.0 ** (f_bits - edge.format.f_bits)
        for x, edge in zip((a, b), node.inputs, strict=True)
    )
    return store(a + b, f_bits, node.output.format)
