"""Lookup, differentiable: the table forward, the slope of the table's function backward."""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor

from ssm_hdl.operations import Lookup, Node


def _gelu_slope(x: Tensor) -> Tensor:
    density = torch.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return (1 + torch.erf(x / math.sqrt(2))) / 2 + x * density


def _gelu_tanh_slope(x: Tensor) -> Tensor:
    scale = 2 * math.sqrt(2 / math.pi)
    gate = torch.sigmoid(scale * (x + 0.044715 * x**3))
    return gate + x * gate * (1 - gate) * scale * (1 + 3 * 0.044715 * x * x)


def _sigmoid_slope(x: Tensor) -> Tensor:
    return torch.sigmoid(x) * torch.sigmoid(-x)


def _silu_slope(x: Tensor) -> Tensor:
    return torch.sigmoid(x) + x * _sigmoid_slope(x)


def _log2_softplus_slope(x: Tensor) -> Tensor:
    x = x.clamp(min=-40)  # below, the two are equal
    return torch.sigmoid(x) / (torch.nn.functional.softplus(x) * math.log(2))


SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": _gelu_slope,
    "gelu_tanh": _gelu_tanh_slope,
    "log2_softplus": _log2_softplus_slope,
    "sigmoid": _sigmoid_slope,
    "silu": _silu_slope,
    "softplus": torch.sigmoid,
}
"""The derivative of every function of `ssm_hdl.functions`."""


class _Lookup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, node: Node) -> Tensor:
        assert isinstance(node.op, Lookup)
        source = node.inputs[0].format
        # The table is indexed by the bit pattern of a code.
        at = x.long().bitwise_and_((1 << source.width) - 1)
        slope = SLOPES[node.op.function](torch.from_numpy(source.codes()).double() * source.lsb)
        ctx.save_for_backward(at, slope * (source.lsb / node.output.format.lsb))
        return torch.from_numpy(node.arrays["table"]).double()[at]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        at, slope = ctx.saved_tensors
        return slope[at].mul_(gradients[0]), None


def forward(node: Node, x: Tensor) -> Tensor:
    """y = table[x]."""
    return cast(Tensor, _Lookup.apply(x, node))  # type: ignore[no-untyped-call]
