"""Norm, differentiable: the golden model forward, the gradient of the norm in floats backward."""

from typing import Any, cast

import torch
from torch import Tensor

from ssm_hdl.operations import Node, Norm
from ssm_hdl.sim.golden import evaluate


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, node: Node) -> Tensor:
        # The golden model itself, so the forward pass is exact by construction.
        ctx.node = node
        ctx.save_for_backward(x)
        return torch.from_numpy(evaluate(node, x.long().numpy()).codes).double()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """y = c d / sqrt(V), d = n x - S, and the gradient of V is 2 d;
        saturated outputs have no gradient."""
        (x,), op, format = ctx.saved_tensors, ctx.node.op, ctx.node.output.format
        size = x.shape[-1]
        sums = x.sum(-1, keepdim=True) * op.center
        root = torch.sqrt(size * (x * x).sum(-1, keepdim=True) - sums * sums + op.epsilon)
        inverse = torch.where(root > 0, 1 / root, 0.0)
        y = (size * x - sums) * inverse
        gradient = gradients[0] * (
            (y >= (format.min - 0.5) * format.lsb) & (y < (format.max + 0.5) * format.lsb)
        )
        along = (
            y * (gradient * y).sum(-1, keepdim=True) + gradient.sum(-1, keepdim=True) * op.center
        )
        return (size * gradient - along) * (inverse / format.lsb), None


def forward(node: Node, x: Tensor) -> Tensor:
    """y = d / sqrt(V), d = n x - S, V = n sum x**2 - S**2 + epsilon; x and y (..., n)."""
    assert isinstance(node.op, Norm)
    return cast(Tensor, _Norm.apply(x, node))  # type: ignore[no-untyped-call]
