"""Selective scan, differentiable: compiled loops over time, forward exact,
backward the adjoint of the recurrence.

Integers are in float64, which holds them exactly. Gradients go straight through the roundings, and
are 0 where the address of the decay, a state or an output saturates. The backward loop computes the
states again, one channel at a time, so none are stored.
"""

import math
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ssm_hdl.functions import LEAK, leak
from ssm_hdl.operations import Node, Selective
from ssm_hdl.operations.selective import LEAK_UP, OFFSET, Sums
from ssm_hdl.sw.qat import kernels
from ssm_hdl.sw.qat.scan import spread
from ssm_hdl.sw.qat.store import codes_of, store

_MANTISSA, _SHIFT = leak()
LEAKS = _MANTISSA * np.exp2(-8.0 - _SHIFT)
"""The table, as floats that hold its entries exactly."""

_OCTAVE = np.exp2((np.arange(len(LEAKS)) + LEAK.min) * LEAK.lsb - OFFSET)
SLOPES = math.log(2) ** 2 * _OCTAVE * np.exp2(-_OCTAVE) * LEAK.lsb
"""Derivative of G at every address, per step of the address."""


class _Selective(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, node: Node, *inputs: Tensor) -> Tensor:
        """Sums (B, L, C) of rate, drive, b, c and alpha, rate and alpha in steps of the address."""
        assert isinstance(node.op, Selective)
        ctx.save_for_backward(*inputs)
        gain = np.exp2(node.arrays["shift"] - float(LEAK_UP))
        ctx.gain, ctx.range = gain, (float(node.op.state.min), float(node.op.state.max))
        *arrays, alpha = _arrays(*inputs)
        sums = np.empty_like(arrays[0])

        def write(part: slice) -> None:
            arguments = (*(x[part] for x in arrays), alpha, gain, LEAKS, *ctx.range, sums[part])
            kernels.selective(*arguments)

        spread(write, len(sums))
        return torch.from_numpy(sums)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        *arrays, alpha = _arrays(*ctx.saved_tensors)
        (gradient,) = _arrays(*gradients)
        results = [*(np.empty_like(x) for x in arrays), np.empty((len(gradient), *alpha.shape))]

        def write(part: slice) -> None:
            constants = alpha, ctx.gain, LEAKS, SLOPES, *ctx.range
            arguments = (
                *(x[part] for x in arrays),
                *constants,
                gradient[part],
                *(x[part] for x in results),
            )
            kernels.selective_adjoint(*arguments)

        spread(write, len(gradient))
        results[-1] = results[-1].sum(0)
        return None, *map(torch.from_numpy, results)


def _arrays(*tensors: Tensor) -> list[np.ndarray[Any, Any]]:
    return [x.detach().contiguous().numpy() for x in tensors]


def forward(
    node: Node, rate: Tensor, drive: Tensor, b: Tensor, c: Tensor, latent: Tensor
) -> Tensor:
    """y (B, L, C) of rate and drive (B, L, C), b and c (B, L, N),
    and latent codes of alpha (C, N)."""
    assert isinstance(node.op, Selective)
    octaves = codes_of(latent, node.op.alpha.format) * node.op.alpha.format.lsb + OFFSET
    # With the half of the rounding and the offset of the table, floor gives the index of an entry.
    alpha = octaves / LEAK.lsb + 0.5 - LEAK.min
    rate = rate * (node.inputs[0].format.lsb / LEAK.lsb)
    sums = cast(Tensor, _Selective.apply(node, rate, drive, b, c, alpha))  # type: ignore[no-untyped-call]
    return store(sums, Sums.of(node).output.f_bits, node.output.format)
