"""The norm: its error against exact arithmetic over all magnitudes, its properties,
and what it refuses."""

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest

from ssm_hdl import SQ, UQ, SsmHdlError
from ssm_hdl.functions import inverse_root
from ssm_hdl.operations import Edge, Norm, Tensors
from ssm_hdl.operations.norm import Root
from ssm_hdl.sim.golden import evaluate
from ssm_hdl.sim.golden.norm import inverse_root as golden_root

BOUND = 0.55
"""Largest error, in codes of the output: half for the rounding, the rest for the inverse root and
the bits that d loses."""

CASES = [
    *((size, SQ(4, 4), SQ(i, 8 - i), {}) for size in (2, 3, 32, 96, 128) for i in (2, 3, 4, 5)),
    *((96, SQ(4, 4), SQ(4, width - 4), {}) for width in (4, 5, 6, 7, 10, 12, 16)),
    *((32, SQ(4, width - 4), SQ(4, 4), {}) for width in (2, 3, 6, 10, 12, 16)),
    *((size, SQ(4, 4), SQ(4, 4), {"center": False}) for size in (1, 32, 96)),
    (64, SQ(4, 4), SQ(3, 5), {"epsilon": 10000}),
    (48, UQ(4, 4), SQ(4, 4), {}),
    (48, UQ(4, 4), UQ(3, 5), {"center": False, "epsilon": 1}),
]


def bind(size, x_format, y_format, steps=8, **fields):
    return Norm(name="y", input="x", format=y_format, **fields).bind(
        (Edge("x", size, x_format),), Tensors({}, {}), steps
    )


def packets(size, format):
    """Of every magnitude from one code to full scale, about every mean; one-hot;
    at the ends of the format; equal elements."""
    random = np.random.default_rng(size)
    magnitude = np.exp2(random.uniform(-1, format.width, (8000, 1)))
    shapes = (
        random.normal(size=(8000, size)),
        random.uniform(-1, 1, (8000, size)),
        random.integers(-1, 2, (8000, size)),
    )
    means = random.integers(format.min, format.max + 1, (8000, 1)) * random.integers(
        0, 2, (8000, 1)
    )
    spread = [np.rint(means + magnitude * shape).astype(np.int64) for shape in shapes]
    hot = [np.eye(size, dtype=np.int64) * code for code in (format.min, 1, 2, format.max)]
    ends = np.where(random.integers(0, 2, (500, size)), format.min, format.max)
    equal = np.repeat(
        np.unique(np.linspace(format.min, format.max, 999).astype(np.int64))[:, np.newaxis],
        size,
        axis=1,
    )
    return np.clip(np.concatenate([*spread, *hot, ends, equal]), format.min, format.max)


def exact(x, node):
    """y in codes of the output, in floats, from integers that are exact."""
    size = x.shape[-1]
    sums = x.sum(-1, keepdims=True) * node.op.center
    v = size * (x * x).sum(-1, keepdims=True) - sums**2 + node.op.epsilon
    return (size * x - sums) / np.sqrt(np.maximum(v, 1)) / node.output.format.lsb


@pytest.mark.parametrize("size,x_format,y_format,fields", CASES)
def test_error_over_the_whole_range(size, x_format, y_format, fields):
    node = bind(size, x_format, y_format, **fields)
    x = packets(size, x_format)
    result, target = evaluate(node, x[np.newaxis]), exact(x, node)
    inside = (target > y_format.min) & (target < y_format.max)
    assert np.abs(result.codes[0] - target)[inside].max() < BOUND
    clipped = np.clip(target, y_format.min, y_format.max)
    # values outside saturate, and nothing wraps around
    assert np.abs(result.codes[0] - clipped).max() < BOUND
    assert (result.saturations > 0) == (np.abs(target - clipped) > 1).any()


def test_every_packet_of_two_small_elements():
    node = bind(2, SQ(3, 0), SQ(2, 6))
    x = np.stack(np.meshgrid(np.arange(-4, 4), np.arange(-4, 4)), -1).reshape(1, -1, 2)
    expected = np.sign(x - x[..., ::-1]) * 64  # one above and one below their mean
    assert np.array_equal(evaluate(node, x).codes, expected)


def test_equal_elements_give_zero_and_a_mean_does_not_matter():
    node = bind(5, SQ(5, 3), SQ(3, 5))
    x = np.array([[[7] * 5, [-128] * 5, [0] * 5, [1, 2, 3, 4, 9], [101, 102, 103, 104, 109]]])
    codes = evaluate(node, x).codes[0]
    assert not codes[:3].any()
    assert np.array_equal(codes[3], codes[4])


def test_epsilon_is_that_of_the_float_model():
    node = bind(32, SQ(2, 6), SQ(4, 4), epsilon=round(0.01 * 32**2 * 4**6))
    x = np.random.default_rng(0).integers(-8, 9, (1, 500, 32))
    reals = x / 64
    y = (reals - reals.mean(-1, keepdims=True)) / np.sqrt(reals.var(-1, keepdims=True) + 0.01)
    assert np.abs(evaluate(node, x).codes / 16 - y).max() < BOUND / 16


def test_root_mean_square():
    node = bind(4, SQ(4, 4), SQ(2, 6), center=False)
    codes = evaluate(node, np.array([[[3, 3, 3, 3], [-5, 5, 5, -5], [0, 0, 0, 9]]])).codes[0]
    # the last is 2, beyond the format
    assert codes.tolist() == [[64] * 4, [-64, 64, 64, -64], [0, 0, 0, 127]]


@pytest.mark.parametrize("width", range(2, 17))
def test_inverse_root(width):
    """All places of some cells, or of all: relative error, in halves of the last bit that an output
    of that width has."""
    root = Root.of(1, SQ(2, width - 2))
    level, slope = inverse_root(root.cells, root.inside)
    assert (int(level.max()).bit_length(), int(slope.max()).bit_length()) <= (
        root.cells + root.inside + 2,
        root.inside,
    )
    places = np.arange(1 << root.inside)
    for index in {0, 1, (1 << root.cells) - 1, 1 << root.cells, (2 << root.cells) - 1}:
        r = (level[index] << root.inside - 2) - slope[index] * places >> root.inside
        half, cell = divmod(index, 1 << root.cells)
        m = 1 + (cell + (places + 0.5) / len(places)) / (1 << root.cells)
        error = r / 2.0 ** (root.cells + root.inside) * np.sqrt((1 + half) * m) - 1
        assert np.abs(error).max() < 2.0**-width * 2**-3
        assert r.min() > 0 and r.max() < 1 << root.cells + root.inside


@pytest.mark.parametrize("width", (2, 5, 8, 12, 16))
def test_every_bit_of_the_golden_root(width):
    """Bit by bit as `Root` says it, in plain integers: a result seldom shows the last ones."""
    node = bind(6, SQ(4, 4), SQ(2, width - 2))
    root, random = Root.at(node), np.random.default_rng(width)
    values = random.integers(1, 1 << root.width, 2000) >> random.integers(0, root.width, 2000)
    values = np.maximum(values, 1)
    for value, shift, inverse in zip(
        values.tolist(), *(each.tolist() for each in golden_root(node, root, values)), strict=True
    ):
        pairs, v = 0, value
        while v < 1 << root.width - 2:
            pairs, v = pairs + 1, 4 * v
        half = v >= 1 << root.width - 1
        below = bin(v if half else 2 * v)[3:]  # the leading bit of m is not kept
        cell, place = below[: root.cells], below[root.cells : root.cells + root.inside]
        index = int(f"{half:d}{cell}", 2)
        level, slope = (int(node.arrays[name][index]) for name in ("level", "slope"))
        expected = (level * 2 ** (root.inside - 2) - slope * int(place, 2)) // 2**root.inside
        assert (shift, inverse) == (pairs, expected)


def test_the_table_is_a_line_in_decimals():
    level, slope = inverse_root(4, 9)
    with localcontext() as context:
        context.prec = 60
        left, right = (1 / (Decimal(2) * (1 + Decimal(k) / 16)).sqrt() for k in (3, 4))
        middle = 1 / (Decimal(2) * (1 + Decimal("3.5") / 16)).sqrt()
    assert slope[19] == round((left - right) * 2**13)
    best = left - ((left + right) / 2 - middle) / 2
    assert level[19] == round(best * 2**15 + 2 - Decimal(int(slope[19])) / 256)
    assert Fraction(int(level[19]), 2**15) < 1


def test_what_it_refuses():
    with pytest.raises(
        SsmHdlError,
        match=r"^y: x has one element, which is its own mean; a norm needs two or center: false$",
    ):
        bind(1, SQ(4, 4), SQ(4, 4))
    with pytest.raises(
        SsmHdlError, match=r"^y: SQ\(4, 13\) is wider than the 16 bits that a norm is made for$"
    ):
        bind(4, SQ(4, 4), SQ(4, 13))
    with pytest.raises(
        SsmHdlError,
        match=r"^y: the squares of 1024 elements of SQ\(4, 18\) and epsilon 0 pass 62 bits",
    ):
        bind(1024, SQ(4, 18), SQ(4, 4))
    with pytest.raises(SsmHdlError, match=r"^y: x is complex"):
        op = Norm(name="y", input="x", format=SQ(4, 4))
        op.bind((Edge("x", 4, SQ(4, 4), is_complex=True),), Tensors({}, {}), 8)
