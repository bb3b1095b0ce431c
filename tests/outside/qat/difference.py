"""Difference, differentiable."""

import torch
from torch import Tensor

from ssm_hdl.operations import Node
from ssm_hdl.sw.qat.store import store


def forward(node: Node, x: Tensor) -> Tensor:
    change = torch.diff(x, dim=1, prepend=torch.zeros_like(x[:, :1]))
    return store(change, node.accumulator.f_bits, node.output.format)
