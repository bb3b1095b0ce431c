"""The selective scan in torch: forward the golden model, backward what torch derives from the
recurrence step by step."""

import math

import numpy as np
import pytest
import torch

from ssm_hdl import SQ, UQ
from ssm_hdl.functions import LEAK, leak
from ssm_hdl.operations import Edge, Selective, Tensor, Tensors
from ssm_hdl.sim.golden import evaluate
from ssm_hdl.sw.qat.selective import forward
from ssm_hdl.sw.qat.store import codes_of, store

RATE, DRIVE, B, C, ALPHA = SQ(5, 6), SQ(3, 7), SQ(2, 5), SQ(1, 7), SQ(4, 3)


class Leak(torch.autograd.Function):
    """G by the table, with the derivative of its equation."""

    @staticmethod
    def forward(ctx, address):
        s = address * LEAK.lsb - 4
        ctx.save_for_backward(s)
        mantissa, shift = (torch.from_numpy(x)[address.long() - LEAK.min] for x in leak())
        return mantissa * torch.exp2(-8.0 - shift.double())

    @staticmethod
    def backward(ctx, gradient):
        (s,) = ctx.saved_tensors
        return gradient * math.log(2) ** 2 * torch.exp2(s) * torch.exp2(-torch.exp2(s)) * LEAK.lsb


def stepwise(node, rate, drive, b, c, latent):
    """y, one operation of torch for each of the equation."""
    alpha = codes_of(latent, ALPHA) * 2.0 ** (RATE.f_bits - ALPHA.f_bits) + 4 * 2.0**RATE.f_bits
    shift = torch.from_numpy(node.arrays["shift"])[:, None]
    h, y = torch.zeros(len(rate), *alpha.shape, dtype=torch.float64), []
    for t in range(rate.shape[1]):
        g = Leak.apply(store(rate[:, t, :, None] + alpha, RATE.f_bits, LEAK))
        driven = drive[:, t, :, None] * b[:, t, None] * torch.exp2(shift - 20.0)
        h = store(h - h * g + driven, 0, SQ(node.op.state.width, 0))
        y.append((h * c[:, t, None]).sum(-1))
    return store(torch.stack(y, 1), C.f_bits + node.op.state.f_bits, node.output.format)


@pytest.mark.parametrize("state,exponents", [(SQ(6, 10), (-2, 1)), (SQ(4, 4), (2, 5))])
def test_forward_and_gradients(state, exponents):
    random = np.random.default_rng(0)
    codes, exponent = (
        random.integers(ALPHA.min, ALPHA.max + 1, (3, 5)),
        random.integers(*exponents, 3),
    )
    op = Selective(
        name="y",
        inputs=("rate", "drive", "b", "c"),
        alpha=Tensor(tensor="alpha", format=ALPHA),
        exponent="e",
        state=state,
        format=SQ(5, 4),
    )
    edges = tuple(
        Edge(name, n, f)
        for name, n, f in (("rate", 3, RATE), ("drive", 3, DRIVE), ("b", 5, B), ("c", 5, C))
    )
    node = op.bind(edges, Tensors({"alpha": codes, "e": exponent}, {}), 40)
    samples = [
        random.integers(edge.format.min, edge.format.max + 1, (4, 40, edge.size)) for edge in edges
    ]
    tensors = [torch.from_numpy(x).double().requires_grad_() for x in (*samples, codes)]
    y, golden = forward(node, *tensors), evaluate(node, *samples)
    assert np.array_equal(y.detach().numpy(), golden.codes)
    assert golden.saturations > 0
    gradient = torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    got = torch.autograd.grad(y, tensors, gradient)
    expected = torch.autograd.grad(stepwise(node, *tensors), tensors, gradient)
    for a, b in zip(got, expected, strict=True):
        assert b.abs().max() > 0
        torch.testing.assert_close(a, b)


def test_an_unsigned_rate_of_few_bits():
    op = Selective(
        name="y",
        inputs=("a", "b", "c", "d"),
        alpha=Tensor(tensor="a", format=UQ(2, 0)),
        exponent="e",
        state=SQ(4, 4),
        format=SQ(4, 4),
    )
    edges = tuple(
        Edge(name, 2, f) for name, f in (("a", UQ(3, -1)), ("b", DRIVE), ("c", B), ("d", C))
    )
    codes, exponent = np.arange(4).reshape(2, 2), np.array([0, 2])
    node = op.bind(edges, Tensors({"a": codes, "e": exponent}, {}), 40)
    samples = [
        np.random.default_rng(1).integers(edge.format.min, edge.format.max + 1, (3, 20, 2))
        for edge in edges
    ]
    y = forward(node, *(torch.from_numpy(x).double() for x in (*samples, codes)))
    assert np.array_equal(y.numpy(), evaluate(node, *samples).codes)
