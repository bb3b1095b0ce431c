"""Pool, differentiable."""

from torch import Tensor

from ssm_hdl.operations import Node, Pool
from ssm_hdl.sw.qat.store import store


def forward(node: Node, x: Tensor) -> Tensor:
    """y = 2**-shift sum_t x[t]; x (batch, steps, N), y (batch, N)."""
    assert isinstance(node.op, Pool)
    return store(x.sum(1), node.accumulator.f_bits + node.op.shift, node.output.format)
