"""Dense, differentiable."""

import torch
from torch import Tensor

from ssm_hdl.operations import Dense, Node
from ssm_hdl.sw.qat.store import codes_of, store


def weights(node: Node, latent: Tensor) -> Tensor:
    """Weights (G, M, K) or (G, M, K, 2) at the scale of the accumulator,
    from latent codes as the weights file has them."""
    assert isinstance(node.op, Dense)
    latent = latent.reshape(node.arrays["code"].shape)
    scale = torch.from_numpy(node.arrays["scale"]).double()
    return codes_of(latent, node.op.weight.format) * torch.exp2(
        scale.reshape(scale.shape + (1,) * (latent.ndim - 2))
    )


def bias(node: Node, latent: Tensor | None = None) -> Tensor | float:
    """Bias (M,) at the scale of the accumulator, from latent codes of its format."""
    assert isinstance(node.op, Dense)
    if latent is None or node.op.bias is None:
        return 0.0
    stored, f_bits = node.op.bias.format, node.accumulator.f_bits
    scaled = codes_of(latent, stored) * 2.0 ** (f_bits - stored.f_bits)
    # A bias finer than the accumulator is rounded half up; its gradient goes straight through.
    return scaled + (torch.floor(scaled + 0.5) - scaled).detach()


def forward(node: Node, x: Tensor, latent: Tensor, *offset: Tensor) -> Tensor:
    """y = W x + b; x (..., N) or (..., N, 2) codes, latent codes of W and of b if there is one;
    y (..., M) or (..., M / 2, 2)."""
    weight = weights(node, latent)
    groups, rows = weight.shape[:2]
    if node.inputs[0].is_complex:  # the real part of a product is a real product with (Re W, -Im W)
        x, weight = x.flatten(-2), (weight * weight.new_tensor([1, -1])).flatten(2)
    grouped = x.reshape(*x.shape[:-1], groups, -1)
    if rows == 1 < groups:  # products of one row and one column are slow as a batch of matrices
        sums = (grouped * weight[:, 0]).sum(-1)
    else:
        sums = torch.einsum("...gn,gmn->...gm", grouped, weight).reshape(
            *x.shape[:-1], groups * rows
        )
    y = store(sums + bias(node, *offset), node.accumulator.f_bits, node.output.format)
    return y.reshape(*y.shape[:-1], node.output.size, 2) if node.output.is_complex else y
