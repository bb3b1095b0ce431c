"""The dither of a scan: no bias, and states that follow slow poles."""

from fractions import Fraction

import numpy as np
import pytest

from ssm_hdl import SQ
from ssm_hdl.operations import Edge, Scan, Tensor, Tensors, scan
from ssm_hdl.sim.golden import evaluate


@pytest.mark.parametrize("drop", (1, 4, 8, 9, 15))
@pytest.mark.parametrize("part", (0, 1))
@pytest.mark.parametrize("mode", (0, 1, 511))
def test_the_dither_is_half_a_code_on_average(mode, part, drop):
    steps = range(1000, 1256)
    assert {scan.dither(step, mode, part) for step in steps} == set(range(256))
    offsets = [scan.dither_offset(scan.dither(step, mode, part), drop) for step in steps]
    assert min(offsets) >= 0 and max(offsets) < 1 << drop
    # bits of an offset; what lies below them only rounds down, half of the last of them on average
    left = min(drop, 9)
    assert Fraction(sum(offsets), 256) + Fraction(drop < 9, 2) == 1 << drop >> 1
    finest = 1 << drop - left
    multiples = [finest * k for k in range(-(1 << left), 1 << left)]
    for x in (x for x in multiples if drop < 9 or x % (2 * finest) == 0):
        assert sum((x + offset) >> drop for offset in offsets) << drop == 256 * x


def test_the_dither_of_a_slow_mode():
    """A state of few bits follows a pole near 1: rounded half up it stays where a step moves it
    less than half a code."""
    transition, exponent = np.array([[[-4, 0]]]), np.array([[-9]])
    means = []
    for dither in (False, True):
        op = Scan(
            name="h",
            input="u",
            transition=Tensor(tensor="a", format=SQ(-5, 11)),
            delta=True,
            exponent="e",
            dither=dither,
            format=SQ(1, 5),
        )
        node = op.bind(
            (Edge("u", 1, SQ(1, 7)),), Tensors({"a": transition, "e": exponent}, {}), steps=4096
        )
        u = np.full((1, 4096, 1), 64)
        means.append(evaluate(node, u).codes[0, 2048:, 0, 0].mean() / 32)
    assert abs(means[1] - 0.5) < 0.02  # u / 2**9 / (1 - Abar)
    assert abs(means[0] - 0.5) > 0.1
