# amaranth: UnusedElaboratable=no
"""Delay lines, and the place of the largest element."""

import numpy as np
import pytest

from ssm_hdl import SQ, UQ
from ssm_hdl.families import FAMILIES
from ssm_hdl.gateware.argmax import Argmax
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.taps import Taps
from ssm_hdl.operations import Argmax as ArgmaxOperation
from ssm_hdl.operations import Edge, Tensors
from ssm_hdl.operations import Taps as TapsOperation
from ssm_hdl.sim.golden import evaluate


def taps_of(size, taps):
    return TapsOperation(name="y", input="x", taps=taps).bind(
        (Edge("x", size, SQ(1, 7)),), Tensors({}, {}), 24
    )


@pytest.mark.parametrize("family", FAMILIES.values(), ids=str)
@pytest.mark.parametrize(
    "size,taps,lanes,memory",
    [(1, 4, 1, False), (2, 3, 1, False), (40, 2, 1, True), (12, 4, 3, True)],
)
def test_taps(size, taps, lanes, memory, family, check):
    """Few words are registers."""
    layers = Layers([node := taps_of(size, taps)], family=family)
    assert Taps(layers, lanes).line.registers != memory
    check(lambda: Taps(layers, lanes), node)


@pytest.mark.parametrize("size", (2, 8))
def test_taps_begin_anew_with_each_sequence(size, run_stage):
    node, dice = taps_of(size, 4), np.random.default_rng(0)
    lengths = [1, 1, 2, 5, 3, 9]
    sequences = [dice.integers(-128, 128, (1, length, size)) for length in lengths]
    expected = np.concatenate([evaluate(node, each).codes.ravel() for each in sequences])
    ends = set(np.cumsum(lengths) - 1)
    for stalls in (0.0, 0.4):
        run = run_stage(
            Taps(node), [np.concatenate(sequences, axis=1)[0]], expected.size, stalls, 3, ends
        )
        assert np.array_equal(run.numbers, expected)


@pytest.mark.parametrize("x", (SQ(1, 2), UQ(1, 1)), ids=str)
@pytest.mark.parametrize("size", (1, 2, 13))
def test_argmax(size, x, check):
    """Formats of few bits, in which many elements are equal."""
    node = ArgmaxOperation(name="y", input="x").bind((Edge("x", size, x),), Tensors({}, {}), 24)
    check(lambda: Argmax(node), node)
