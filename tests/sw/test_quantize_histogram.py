"""Histograms, and the formats chosen by them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_hdl import SQ, SsmHdlError
from ssm_hdl.fixed import quantize
from ssm_hdl.sw.quantize import Recipe
from ssm_hdl.sw.quantize.formats import covering, edge_format, tensor_format
from ssm_hdl.sw.quantize.histogram import HALF, Histogram

RANDOM = np.random.default_rng(0)
VALUES = RANDOM.standard_t(4, (5000, 3)) * [1.0, 0.2, 3.0]


def histogram(values, parts=1):
    made = Histogram("edge", values.shape[-1])
    for part in np.array_split(values, parts):
        made.add(part)
    return made


def test_it_grows_with_its_values_and_forgets_none():
    # the largest last: it has to grow again and again
    values = VALUES[np.argsort(np.abs(VALUES).max(1))]
    once, often = histogram(values), histogram(values, 50)
    assert once.width == often.width
    assert np.array_equal(once.counts, often.counts)
    assert once.counts.sum(1).tolist() == [5000] * 3
    assert np.array_equal(once.low, values.min(0))
    assert np.array_equal(once.high, values.max(0))
    assert HALF * once.width > np.abs(values).max() >= HALF * once.width / 2
    bins, _ = np.histogram(
        values[:, 1], bins=2 * HALF, range=(-HALF * once.width, HALF * once.width)
    )
    assert np.array_equal(once.counts[1], bins)


def test_means_and_percentiles():
    made = histogram(VALUES, 7)
    np.testing.assert_allclose(made.mean(), VALUES.mean(0), atol=made.width)
    np.testing.assert_allclose(made.mean(np.square), np.square(VALUES).mean(0), rtol=1e-2)
    for percentile in (60, 99, 99.9):
        wanted = np.percentile(np.abs(VALUES), percentile, axis=0, method="inverted_cdf")
        np.testing.assert_allclose(made.percentile(percentile), wanted, atol=made.width)
    assert np.array_equal(made.percentile(100), np.abs(VALUES).max(0))


@pytest.mark.parametrize("i_bits", [1, 2, 3, 4])
def test_errors_are_those_of_quantizing(i_bits):
    format = SQ(i_bits, 8 - i_bits)
    error = ((quantize(VALUES, format) * format.lsb - VALUES) ** 2).mean(0)
    np.testing.assert_allclose(histogram(VALUES).error(format), error, rtol=0.05)
    scaled = ((quantize(VALUES * 1.7, format) * format.lsb / 1.7 - VALUES) ** 2).mean(0)
    np.testing.assert_allclose(histogram(VALUES).error(format, np.full(3, 1.7)), scaled, rtol=0.05)
    behind = ((np.tanh(quantize(VALUES, format) * format.lsb) - np.tanh(VALUES)) ** 2).mean(0)
    np.testing.assert_allclose(histogram(VALUES).error(format, function=np.tanh), behind, rtol=0.08)


def test_the_least_error_is_found():
    recipe = Recipe(name="r")
    errors = {
        f_bits: ((quantize(VALUES, SQ(6 - f_bits, f_bits)) * 2.0**-f_bits - VALUES) ** 2).mean()
        for f_bits in range(-3, 6)
    }
    best = min(errors, key=errors.get)
    assert (
        edge_format(histogram(VALUES), 6, recipe)
        == tensor_format(VALUES, 6, recipe)
        == SQ(6 - best, best)
    )
    assert best > covering(np.abs(VALUES).max(), 6).f_bits  # it pays to clip
    widest = edge_format(histogram(VALUES), 6, Recipe(name="r", clip="minmax"))
    assert (
        widest
        == tensor_format(VALUES, 6, Recipe(name="r", clip="minmax"))
        == covering(np.abs(VALUES).max(), 6)
    )
    between = edge_format(histogram(VALUES), 6, Recipe(name="r", clip="percentile", percentile=98))
    assert widest.i_bits > between.i_bits


def test_what_a_function_flattens_may_be_clipped():
    gate = VALUES * 20
    plain, behind = (
        edge_format(histogram(gate), 8, Recipe(name="r"), function) for function in (None, np.tanh)
    )
    assert behind.i_bits < plain.i_bits


@given(st.floats(1e-9, 1e9), st.integers(2, 16))
def test_a_covering_format_is_the_finest(reach, width):
    format = covering(reach, width)
    assert format.width == width
    assert reach <= -format.min * format.lsb <= 2 * reach


def test_zeros_have_a_format():
    assert covering(0.0, 8) == SQ(1, 7)
    assert edge_format(histogram(np.zeros((4, 2))), 8, Recipe(name="r")).width == 8
    assert tensor_format(np.zeros((2, 2)), 8, Recipe(name="r")).width == 8


def test_values_that_are_not_finite_are_refused():
    values = VALUES.copy()
    values[3, 1] = np.inf
    values[4, 0] = np.nan
    with pytest.raises(SsmHdlError, match="calibration: 2 of 15000 values of edge are not finite"):
        histogram(values)
