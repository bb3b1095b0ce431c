"""Tables of functions against floating point, where that can tell."""

import math

import numpy as np
import pytest

from ssm_hdl import SQ, UQ
from ssm_hdl.functions import FUNCTIONS, table

FLOAT = {
    "gelu": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x: (
        0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    ),
    "log2_softplus": lambda x: math.log2(math.log1p(math.exp(x)) * math.log2(math.e)),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "softplus": lambda x: math.log1p(math.exp(x)),
}


def test_every_function_is_checked():
    assert set(FLOAT) == set(FUNCTIONS)


@pytest.mark.parametrize("function", sorted(FLOAT))
@pytest.mark.parametrize(
    "source,target", [(SQ(4, 4), SQ(4, 4)), (SQ(3, 7), UQ(0, 8)), (UQ(4, 4), SQ(3, 13))]
)
def test_entries_are_the_nearest_codes(function, source, target):
    entries = table(function, source, target)
    exact = np.array([FLOAT[function](code * source.lsb) for code in source.codes()]) / target.lsb
    clipped = np.clip(exact, target.min, target.max)
    assert np.abs(entries - clipped).max() <= 0.5 + 1e-9
    assert entries.min() >= target.min and entries.max() <= target.max


def test_ties_go_up_and_are_exact():
    assert table("sigmoid", SQ(2, 0), UQ(0, 1))[0] == 1  # sigmoid(0) = 1/2 is code 1 exactly
    # gelu(x) is a little below x for large x: just below a tie it must go down,
    # where a double says tie
    entries = table("gelu", SQ(5, 1), SQ(5, 0))
    assert entries[2 * 15 + 1] == 15


def test_a_function_has_40_digits():
    """At 90.5, x sigmoid(x) is below 90.5 in the 39th digit; at 95.5 the difference is beyond the
    40th, and it is a tie."""
    entries = table("silu", SQ(8, 4), SQ(9, 0))
    assert [int(entries[int(x * 16)]) for x in (90.5, 95.5)] == [90, 96]


def test_far_arguments_saturate():
    source = SQ(14, -4)
    assert np.array_equal(table("gelu_tanh", source, SQ(14, -4))[: 1 << 9], np.arange(1 << 9))
    for function in ("gelu", "gelu_tanh", "sigmoid", "silu", "softplus"):
        assert table(function, source, SQ(14, 0))[1 << 9] == 0  # of -8192
    for function in ("silu", "softplus"):
        assert np.array_equal(table(function, source, SQ(14, -4))[: 1 << 9], np.arange(1 << 9))


def test_the_logarithm_of_a_softplus_has_all_its_digits_far_below_0():
    """With log2 e in it, x log2 e + log2(log2 e) there;
    its codes follow the slope over the whole range."""
    source, target = SQ(12, -1), SQ(13, 17)
    entries = table("log2_softplus", source, target)
    low = np.arange(-1024, -64)
    exact = [math.log2(math.e) * 2 * int(code) + math.log2(math.log2(math.e)) for code in low]
    assert np.abs(entries[low] - np.ldexp(exact, 17)).max() <= 0.5 + 1e-6
