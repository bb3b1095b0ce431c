# amaranth: UnusedElaboratable=no
"""Hadamard transforms: every kind of size, sign and family, the largest sums, and a pace."""

from itertools import cycle

import numpy as np
import pytest
from amaranth.back import verilog

from ssm_hdl import SQ, UQ
from ssm_hdl.boards.flow import synthesised
from ssm_hdl.families import FAMILIES
from ssm_hdl.families.ecp5 import ECP5
from ssm_hdl.gateware.hadamard import Hadamard
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.hadamard import matrix
from ssm_hdl.operations import Edge, Tensors
from ssm_hdl.operations import Hadamard as Operation
from ssm_hdl.sim.golden import evaluate

FORMATS = [(SQ(3, 4), SQ(3, 4)), (UQ(0, 8), SQ(4, 9)), (SQ(6, 4), SQ(5, -1))]
"""Of x and y: y with as many bits, with more, and with few, so that it saturates."""


def transform(size, x, y, shift=2):
    return Operation(name="y", input="x", shift=shift, format=y).bind(
        (Edge("x", size, x),), Tensors({}, {}), 24
    )


@pytest.mark.parametrize("size", [1, 2, 4, 32, 12, 24])
def test_hadamard(size, check):
    for (x, y), family in zip(cycle(FORMATS), FAMILIES.values()):
        layers = Layers([node := transform(size, x, y)], family=family)
        check(lambda layers=layers: Hadamard(layers, compact=layers.memories.fast), node)


def extremes(node, count):
    """The packets with the greatest and the least sum in every row in turn."""
    x, rows = node.inputs[0].format, matrix(node.output.size)
    packets = np.concatenate([np.where(rows > 0, x.max, x.min), np.where(rows < 0, x.max, x.min)])
    return [packets[7 * np.arange(count) % len(packets)]]


@pytest.mark.parametrize("size,x", [(8, SQ(1, 1)), (8, UQ(0, 3)), (20, SQ(1, 2))])
def test_no_sum_overflows(size, x, check):
    node = transform(size, x, SQ(10, 4), shift=0)
    check(lambda: Hadamard(node), node, packets=extremes)


def test_a_pace_makes_the_queue_smaller_and_is_kept(run_stage, random_packets):
    node, packets = transform(32, SQ(3, 4), SQ(3, 4)), 6
    inputs, slow = random_packets(node, packets), Hadamard(node, pace=6)
    assert slow.queue.depth < Hadamard(node).queue.depth
    alone = run_stage(slow, [inputs[0][:1]], 32)
    assert alone.given[-1] - alone.taken[-1] == slow.latency
    whole = run_stage(Hadamard(node, pace=6), inputs, packets * 32)
    assert np.array_equal(whole.numbers, evaluate(node, inputs[0]).codes.ravel())
    assert whole.given[-1] - whole.given[31] <= (packets - 1) * slow.cycles


@pytest.mark.parametrize("bits", (8, 12))
def test_128_elements_take_at_most_400_luts_of_an_ecp5(bits):
    format = SQ(4, bits - 4)
    stage = Hadamard(Layers([transform(128, format, format)], family=ECP5))
    found = synthesised(
        verilog.convert(stage, name="top", emit_src=False, strip_internal_attrs=True), "top", ECP5
    )
    assert found["LUTs"] <= 400
    assert (
        (found["multipliers"], found["block RAMs"])
        == (0, sum(map(ECP5.rams.blocks, stage.storage)))
        == (0, 2)
    )
