# amaranth: UnusedElaboratable=no
"""What sums up sequences of any length, by their mean, largest or last packet: gateware,
equal to its golden function."""

import random

import numpy as np
import pytest

from ssm_hdl import SQ, UQ
from ssm_hdl.families.ice40 import ICE40
from ssm_hdl.gateware.largest import Largest
from ssm_hdl.gateware.last import Last
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.mean import Mean
from ssm_hdl.operations import Edge, Tensors
from ssm_hdl.operations import Largest as LargestOperation
from ssm_hdl.operations import Last as LastOperation
from ssm_hdl.operations import Mean as MeanOperation
from ssm_hdl.sim.golden import evaluate

STEPS = 24

FORMATS = [
    (SQ(3, 4), SQ(3, 9)),
    (SQ(3, 4), SQ(3, 4)),
    (SQ(6, 4), SQ(5, -1)),
    (UQ(0, 8), UQ(0, 12)),
    (UQ(4, 2), SQ(3, 4)),
    (SQ(2, 6), UQ(1, 3)),
    (UQ(3, 3), UQ(2, 0)),
    (SQ(1, 1), SQ(2, 12)),
    (SQ(9, 9), SQ(1, 1)),
]
"""Of x and y: y with more bits, with fewer, and too small for what x may be,
so that it saturates."""


def mean_of(x, y, size=6, steps=STEPS):
    return MeanOperation(name="y", input="x", format=y).bind(
        (Edge("x", size, x),), Tensors({}, {}), steps
    )


@pytest.mark.parametrize("x,y", FORMATS, ids=lambda format: str(format))
@pytest.mark.parametrize("lanes", (1, 3))
def test_mean(x, y, lanes, check):
    node = mean_of(x, y)
    check(lambda: Mean(node, lanes), node, per_step=False)


@pytest.mark.parametrize("x,y", FORMATS, ids=lambda format: str(format))
@pytest.mark.parametrize(
    "size,lanes,family", [(1, 1, None), (5, 1, ICE40), (24, 2, None), (24, 1, ICE40)]
)
def test_sequences_of_any_length_in_a_row(x, y, size, lanes, family, run_stage):
    """One step and all of them among the lengths; the extremes of x among the packets."""
    node, dice = mean_of(x, y, size), random.Random(f"{x} {y}")
    make = lambda: Mean(Layers([node], family=family) if family else node, lanes)  # noqa: E731
    for stalls in (0.0, 0.3):
        lengths = [1, 1, 2, STEPS, 1, *(dice.randint(1, STEPS) for _ in range(6)), STEPS]
        numpy = np.random.default_rng(dice.randrange(1000))
        packets = [numpy.integers(x.min, x.max + 1, (1, length, size)) for length in lengths]
        packets[2:5] = [
            np.full_like(packets[2], x.max),
            np.full_like(packets[3], x.min),
            np.full_like(packets[4], x.min),
        ]
        expected = np.concatenate([evaluate(node, each).codes.ravel() for each in packets])
        whole, ends = np.concatenate(packets, axis=1)[0], set(np.cumsum(lengths) - 1)
        assert np.array_equal(
            run_stage(make(), [whole], expected.size, stalls, 3, ends).numbers, expected
        )


@pytest.mark.parametrize("x", (SQ(3, 5), UQ(0, 8), UQ(0, 2)), ids=str)
@pytest.mark.parametrize("lanes", (1, 2))
@pytest.mark.parametrize("operation,stage", [(LargestOperation, Largest), (LastOperation, Last)])
def test_largest_and_last(operation, stage, x, lanes, check):
    node = operation(name="y", input="x").bind((Edge("x", 6, x),), Tensors({}, {}), STEPS)
    check(lambda: stage(node, lanes), node, per_step=False)
    check(lambda: stage(Layers([node], family=ICE40), lanes), node, per_step=False)
