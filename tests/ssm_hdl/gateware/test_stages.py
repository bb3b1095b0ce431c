# amaranth: UnusedElaboratable=no
"""Every operation's gateware: equal to its golden function under random stalls, cycles and latency as it states them."""

import numpy as np
import pytest

from ssm_hdl import SQ, SsmHdlError
from ssm_hdl.gateware.add import Add
from ssm_hdl.gateware.dense import Dense
from ssm_hdl.gateware.folding import DenseFolding, ScanFolding
from ssm_hdl.gateware.lookup import Lookup
from ssm_hdl.gateware.multiply import Multiply
from ssm_hdl.gateware.pool import Pool
from ssm_hdl.gateware.scan import Scan
from ssm_hdl.gateware.slice import Slice
from ssm_hdl.operations import Edge, Tensors
from ssm_hdl.operations.dense import Dense as DenseOperation
from ssm_hdl.sim.golden import evaluate

KINDS = ("dsp", "lut")
PACKETS = 24


def check(make, node, run_stage, random_packets, per_step=True):
    """Values with and without stalls, latency of a packet alone, interval of the last packets of many."""
    inputs = random_packets(node, PACKETS)
    golden = evaluate(node, *(packets[np.newaxis] for packets in inputs))
    expected = golden.codes.ravel()
    for stalls in (0.0, 0.4):
        run = run_stage(make(), inputs, expected.size, stalls, seed=7)
        assert np.array_equal(run.numbers, expected)
        ends = len(run.last) // (PACKETS if per_step else 1)
        assert run.last[-ends:] == [1] * ends and not any(run.last[:-ends])

    stage = make()
    beats_in = inputs[0][0].size // len(stage.sinks[0].p.data)
    packet = [packets[:1] for packets in inputs]
    per_packet = expected.size // (PACKETS if per_step else 1)
    alone = run_stage(stage, packet, per_packet)
    assert alone.given[-1] - alone.taken[beats_in - 1] == stage.latency

    steady = run_stage(stage := make(), inputs, expected.size)
    if per_step:
        beats_out = len(steady.given) // PACKETS
        assert steady.given[-1] - steady.given[-1 - 4 * beats_out] == 4 * stage.cycles
    else:
        assert steady.taken[-1] - steady.taken[-1 - 4 * beats_in] == 4 * stage.cycles


@pytest.fixture
def nodes(random_manifest):
    return random_manifest(channels=4, modes=3, steps=PACKETS, classes=6).nodes


def dense_cases():
    """(operation, folding) of every way to fold the three shapes of dense: plain, of one row per group, of several."""
    plain = [("mixing", count) for count in (1, 2, 4, 8, 16, 32)]
    complex_groups = [("readout", count) for count in (1, 2, 3, 6, 12, 24)]
    return [*plain, *complex_groups, ("encoder", 1), ("encoder", 2), ("encoder", 4), ("decoder", 1), ("decoder", 6)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name,multipliers", dense_cases())
def test_dense(nodes, name, multipliers, kind, run_stage, random_packets):
    node = nodes[name]
    assert multipliers in [folding.multipliers for folding in DenseFolding.choices(node)]
    check(lambda: Dense(node, multipliers, kind), node, run_stage, random_packets)


@pytest.mark.parametrize("multipliers", (1, 2, 4, 12, 24))
def test_dense_of_groups_with_several_rows(multipliers, run_stage, random_packets):
    dice = np.random.default_rng(3)
    tensors = Tensors({"w": dice.integers(-128, 128, (2, 4, 3)), "b": dice.integers(-500, 500, 8)}, {})
    op = DenseOperation.model_validate(
        {
            "name": "grouped",
            "input": "x",
            "weight": {"tensor": "w", "format": SQ(1, 7)},
            "bias": {"tensor": "b", "format": SQ(2, 10)},
            "format": SQ(3, 4),
        }
    )
    node = op.bind((Edge("x", 6, SQ(2, 6)),), tensors, PACKETS)
    check(lambda: Dense(node, multipliers), node, run_stage, random_packets)


def test_dense_says_how_it_can_fold(nodes):
    with pytest.raises(SsmHdlError, match=r"^mixing: cannot fold onto 3 multipliers; it can onto 1, 2, 4, 8, 16, 32$"):
        Dense(nodes["mixing"], 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("multipliers", (1, 2, 4, 12, 24, 48))
def test_scan(nodes, multipliers, kind, run_stage, random_packets):
    node = nodes["ssm"]
    assert [folding.multipliers for folding in ScanFolding.choices(node)] == [1, 2, 4, 12, 24, 48]
    check(lambda: Scan(node, multipliers, kind), node, run_stage, random_packets)


def test_scan_starts_afresh_after_a_step_marked_last(nodes, run_stage, random_packets):
    node = nodes["ssm"]
    sequences = [random_packets(node, 5, seed)[0] for seed in (1, 2)]
    golden = evaluate(node, np.stack(sequences)).codes.reshape(2, -1)
    stage = Scan(node, 4)
    for sequence, expected in zip(sequences, golden, strict=True):  # the second meets the memory that the first left
        assert np.array_equal(run_stage(stage, [sequence], expected.size).numbers, expected)


@pytest.mark.parametrize("lanes", (1, 2, 4))
def test_lookup(nodes, lanes, run_stage, random_packets):
    for name in ("gelu", "sigmoid"):
        check(lambda name=name: Lookup(nodes[name], lanes), nodes[name], run_stage, random_packets)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lanes", (1, 4))
def test_multiply(nodes, lanes, kind, run_stage, random_packets):
    check(lambda: Multiply(nodes["glu"], lanes, kind), nodes["glu"], run_stage, random_packets)


@pytest.mark.parametrize("lanes", (1, 4))
def test_add(nodes, lanes, run_stage, random_packets):
    check(lambda: Add(nodes["residual"], lanes), nodes["residual"], run_stage, random_packets)


@pytest.mark.parametrize("lanes", (1, 2, 4))
@pytest.mark.parametrize("name", ("value", "gate"))
def test_slice(nodes, name, lanes, run_stage, random_packets):
    check(lambda: Slice(nodes[name], lanes), nodes[name], run_stage, random_packets)


def test_slice_refuses_lanes_that_cut_it(nodes):
    with pytest.raises(SsmHdlError, match=r"^value: 3 numbers a beat do not divide start 0 and size 4$"):
        Slice(nodes["value"], 3)


@pytest.mark.parametrize("lanes", (1, 2, 4))
def test_pool(nodes, lanes, run_stage, random_packets):
    check(lambda: Pool(nodes["pool"], lanes), nodes["pool"], run_stage, random_packets, per_step=False)


@pytest.mark.parametrize("pace", (4, 33))
def test_a_pace_makes_queues_smaller_and_is_kept(nodes, pace, run_stage, random_packets):
    for make, node in (
        (lambda pace: Dense(nodes["encoder"], 1, "lut", pace), nodes["encoder"]),
        (lambda pace: Lookup(nodes["gelu"], 1, pace), nodes["gelu"]),
    ):
        slow, fast = make(pace), make(1)
        assert slow.queue.depth < fast.queue.depth
        inputs = random_packets(node, PACKETS)
        run = run_stage(slow, inputs, PACKETS * node.output.size)
        assert np.array_equal(run.numbers, evaluate(node, inputs[0]).codes.ravel())
        assert run.given[-1] - run.given[0] <= PACKETS * slow.cycles
        run_stage(fast, [inputs[0][:1]], node.output.size)
