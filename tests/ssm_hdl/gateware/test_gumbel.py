# amaranth: UnusedElaboratable=no
"""Gumbel noise: gateware, equal to its golden function;
and the sampling that it makes of an argmax."""

import random

import numpy as np
import pytest

from ssm_hdl import SQ
from ssm_hdl.families import FAMILIES
from ssm_hdl.functions import gumbel
from ssm_hdl.gateware.gumbel import Gumbel
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.operations import Edge, Tensors
from ssm_hdl.operations.gumbel import Gumbel as GumbelOperation
from ssm_hdl.sim.golden import evaluate

CASES = [
    (6, SQ(4, 4), SQ(5, 3), 1),
    (1, SQ(3, 8), SQ(3, 8), 2**32 - 1),
    (5, SQ(9, -1), SQ(6, 0), 7),
]
"""Elements, formats of x and y, seed."""


def node_of(size, x, y, seed, temperature=1.0):
    op = GumbelOperation(name="y", input="x", temperature=temperature, seed=seed, format=y)
    return op.bind((Edge("x", size, x),), Tensors({}, {}), 24)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=str)
@pytest.mark.parametrize("compact", (False, True))
@pytest.mark.parametrize("case", CASES)
def test_stage(case, compact, family, check):
    node = node_of(*case, temperature=0.7)
    check(lambda: Gumbel(Layers([node], family=family), compact=compact), node)


def test_the_noise_begins_anew_with_every_sequence(run_stage):
    node, dice = node_of(*CASES[0]), random.Random(0)
    lengths = [1, 2, 7, 1, 5]
    packets = [
        np.random.default_rng(n).integers(-128, 128, (1, length, 6))
        for n, length in enumerate(lengths)
    ]
    expected = np.concatenate([evaluate(node, each).codes.ravel() for each in packets])
    whole, ends = np.concatenate(packets, axis=1)[0], set(np.cumsum(lengths) - 1)
    for stalls in (0.0, 0.4):
        assert np.array_equal(
            run_stage(
                Gumbel(node), [whole], expected.size, stalls, dice.randrange(99), ends
            ).numbers,
            expected,
        )


def test_the_largest_is_a_sample_of_the_softmax():
    """By Pearson's chi-squared of 20,000 draws: 11.34 is passed by one in a hundred with 3 degrees
    of freedom, 30 by none."""
    for temperature in (0.5, 1.0, 2.0):
        node = node_of(4, SQ(4, 6), SQ(6, 6), 11, temperature)
        logits = np.array([0.0, 1.0, -0.5, 0.75])
        x = np.broadcast_to((logits * 64).astype(np.int64), (1, 20_000, 4))
        drawn = np.bincount(evaluate(node, x).codes[0].argmax(-1), minlength=4)
        expected = 20_000 * np.exp(logits / temperature) / np.exp(logits / temperature).sum()
        assert ((drawn - expected) ** 2 / expected).sum() < 30


def test_the_table_is_that_of_the_quantiles():
    """Against floats, half a code and the last bit of a float apart at most."""
    places = (np.arange(1024) + 0.5) / 1024
    assert np.abs(gumbel(0.8, 10, 9) - -np.log(-np.log(places)) * 0.8 * 512).max() <= 0.5 + 1e-9
