# amaranth: UnusedElaboratable=no
"""The gateware of norm, as that of the other operations."""

import numpy as np
import pytest

from ssm_hdl import SQ, UQ
from ssm_hdl.gateware.norm import Norm
from ssm_hdl.operations import Edge, Tensors
from ssm_hdl.operations.norm import Norm as NormOperation
from ssm_hdl.sim.golden import evaluate

KINDS = ("dsp", "lut")
PACKETS = 24


def norm(size, x_format, y_format, **fields):
    op = NormOperation(name="y", input="x", format=y_format, **fields)
    return op.bind((Edge("x", size, x_format),), Tensors({}, {}), PACKETS)


NORMS = (
    (4, SQ(4, 4), SQ(3, 5), {}),
    (32, SQ(4, 4), SQ(4, 4), {}),
    (7, UQ(3, 4), SQ(3, 5), {"epsilon": 50}),
    (11, SQ(4, 8), SQ(3, 9), {"center": False, "epsilon": 5}),
    (1, SQ(2, 2), SQ(2, 4), {"center": False}),
    (3, SQ(1, 2), SQ(2, 1), {}),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size,x_format,y_format,fields", NORMS)
def test_norm(size, x_format, y_format, fields, kind, random_packets, check):
    node = norm(size, x_format, y_format, **fields)

    # packets of every magnitude, some of equal elements, which V must not remember
    def some(node, count):
        (packets,) = random_packets(node, count)
        packets >>= np.random.default_rng(1).integers(0, x_format.width + 1, (count, 1))
        packets[3::5] = packets[3::5, :1]
        return [packets]

    check(lambda: Norm(node, kind), node, packets=some)


def test_cycles_and_latency_of_norm_are_as_its_docstring_says():
    """n = 12 has two bits that are 1, so times is 1; V is at most 36 * 255**2, so width is 22;
    a shift by up to 10 takes 2."""
    stage = Norm(norm(12, SQ(4, 4), SQ(3, 5)), "dsp")
    assert stage.deviation.root.width == 22
    # 10 bits of the slope are five pairs, a tree of three levels
    square, multiplier, times, shift = 1 + 3, 3, 1, 2
    around = 4 + times + 2 * square + 22 // 2
    assert (stage.deviation.latency, stage.cycles) == (around, max(12 + 1, 1 + around))
    assert stage.latency == around + 12 + 5 + times + shift + multiplier + stage.queue.latency
    assert Norm(norm(96, SQ(4, 4), SQ(5, 3)), "dsp").cycles == 96 + 1


@pytest.mark.parametrize("stalls", (0.0, 0.4))
def test_norm_with_a_pace(stalls, run_stage, random_packets):
    node = norm(8, SQ(4, 4), SQ(3, 5))
    slow, fast = Norm(node, pace=6), Norm(node)
    assert slow.queue.depth < fast.queue.depth
    inputs = random_packets(node, PACKETS)
    run = run_stage(slow, inputs, PACKETS * 8, stalls)
    assert np.array_equal(run.numbers, evaluate(node, inputs[0]).codes.ravel())
    assert stalls or run.given[-1] - run.given[0] <= PACKETS * slow.cycles
    run_stage(fast, [inputs[0][:1]], 8)
