"""Hadamard, differentiable."""

import torch
from torch import Tensor

from ssm_hdl.hadamard import matrix
from ssm_hdl.operations import Node
from ssm_hdl.sw.qat.store import store


def forward(node: Node, x: Tensor) -> Tensor:
    """y = 2**-shift H x; x (..., n), y (..., n)."""
    sums = x @ torch.from_numpy(matrix(x.shape[-1]).T).to(x.dtype)
    return store(sums, node.accumulator.f_bits, node.output.format)
