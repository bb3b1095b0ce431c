"""Gumbel, differentiable."""

import math

import torch
from torch import Tensor

from ssm_hdl.operations import Node
from ssm_hdl.operations.gumbel import Gumbel
from ssm_hdl.sw.qat.store import store


def forward(node: Node, x: Tensor) -> Tensor:
    """y = x + noise, the same in every sequence; x (batch, ..., C)."""
    assert isinstance(node.op, Gumbel)
    noise = torch.from_numpy(node.op.noise(node, math.prod(x.shape[1:]))).to(x)
    return store(x + noise.reshape(x.shape[1:]), node.accumulator.f_bits, node.output.format)
