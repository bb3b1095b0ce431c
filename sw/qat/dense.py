"""Dense, differentiable."""

import torch
from torch import Tensor

from ssm_hdl.operations import Dense, Node
from ssm_hdl.sw.qat.store import codes_of, store


def weights(node: Node, latent: Tensor) -> Tensor:
    """The weights (G, M, K) or (G, M, K, 2) at the scale of the accumulator, from latent codes in the shape of ``code``."""
    assert isinstance(node.op, Dense)
    scale = torch.from_numpy(node.arrays["scale"]).double()
    return codes_of(latent, node.op.weight.format) * torch.exp2(scale.reshape(scale.shape + (1,) * (latent.ndim - 2)))


def bias(node: Node, latent: Tensor | None) -> Tensor | float:
    """The bias (M,) at the scale of the accumulator, from latent codes of its format."""
    assert isinstance(node.op, Dense)
    if latent is None or node.op.bias is None:
        return 0.0
    stored, f_bits = node.op.bias.format, node.accumulator.f_bits
    scaled = codes_of(latent, stored) * 2.0 ** (f_bits - stored.f_bits)
    return scaled + (torch.floor(scaled + 0.5) - scaled).detach()


def dense(node: Node, x: Tensor, weight: Tensor, bias: Tensor | float) -> Tensor:
    """y = W x + b; x (..., N) codes, y (..., M)."""
    groups, rows = weight.shape[:2]
    grouped = x.reshape(*x.shape[:-1], groups, -1)
    sums = torch.einsum("...gn,gmn->...gm", grouped, weight).reshape(*x.shape[:-1], groups * rows)
    return store(sums + bias, node.accumulator.f_bits, node.output.format)
