# amaranth: UnusedElaboratable=no
"""Compact forms of stages: equal to the golden functions under stalls,
cycles and latency as they state them."""

import numpy as np
import pytest

from ssm_hdl import SsmHdlError
from ssm_hdl.families.generic import Generic
from ssm_hdl.gateware.add import Add
from ssm_hdl.gateware.compact_dense import CompactDense
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.lookup import Lookup
from ssm_hdl.gateware.multiply import Multiply
from ssm_hdl.gateware.pool import Pool
from ssm_hdl.operations import Tensors
from ssm_hdl.sim.golden import evaluate

PACKETS = 24


class Fast(Generic):
    """A family whose block RAMs are as fast as those of an iCE40,
    with multipliers that Amaranth simulates."""

    fast_rams = True


CASES = [("encoder", 4), ("readout", 4), ("mixing", 4), ("mixing", 5), ("decoder", 4)]
"""Denses of one column, of one row for each of several groups,
and of 2^n and of other numbers of columns."""


@pytest.mark.parametrize("family", (Generic(), Fast()), ids=("slow", "fast"))
@pytest.mark.parametrize("features", [(), ("exponent", "narrow")], ids=["plain", "shifts"])
@pytest.mark.parametrize("name,channels", CASES)
def test_compact_dense(
    random_manifest, name, channels, features, family, check, run_stage, random_packets
):
    node = random_manifest(
        channels=channels, modes=3, steps=PACKETS, classes=6, features=features
    ).nodes[name]
    layers = Layers([node], family=family)
    check(lambda: CompactDense(layers), node)

    slow = CompactDense(layers, pace=40)
    assert slow.queue.depth == 1 + (name == "readout") and slow.cycles == node.output.size * 40
    (packets,) = random_packets(node, PACKETS)
    run = run_stage(slow, [packets], PACKETS * node.output.size)
    assert np.array_equal(run.numbers, evaluate(node, packets[np.newaxis]).codes.ravel())
    assert run.given[-1] - run.given[0] <= PACKETS * slow.cycles
    (packet,), slow = random_packets(node, 1), CompactDense(layers, pace=40)
    run = run_stage(slow, [packet], node.output.size)
    assert run.given[-1] - run.taken[-1] == slow.latency


@pytest.mark.parametrize("name", ["drive_1", "readout_1", "skip_1"])
def test_compact_dense_of_complex_elements_and_of_a_number_for_each_group(
    random_manifest, name, check
):
    node = random_manifest(
        channels=4, modes=3, layers=2, steps=PACKETS, features=("exponent", "delta")
    ).nodes[name]
    check(lambda: CompactDense(node), node)


def test_compact_dense_refuses_groups_of_several_rows(random_manifest):
    node = random_manifest(channels=4, modes=3, layers=2, steps=PACKETS).nodes["skip_1"]
    op = node.op.model_copy(update={"bias": None})
    weight = np.ones((2, 2, 2), dtype=np.int64)
    node = op.bind(node.inputs, Tensors({op.weight.tensor: weight}, {}), PACKETS)
    with pytest.raises(
        SsmHdlError,
        match=r"^skip_1: 2 groups of 2 rows have no compact form; a group may have one row$",
    ):
        CompactDense(node)


@pytest.mark.parametrize("family", (Generic(), Fast()), ids=("slow", "fast"))
@pytest.mark.parametrize(
    "make,name", [(Add, "residual"), (Lookup, "gelu"), (Multiply, "glu"), (Pool, "pool")]
)
def test_compact_stages(random_manifest, make, name, family, check, run_stage, random_packets):
    node = random_manifest(channels=8, modes=3, steps=PACKETS, classes=6).nodes[name]
    layers = Layers([node], family=family)
    for lanes in (1, 2):
        check(lambda lanes=lanes: make(layers, lanes, compact=True), node, per_step=name != "pool")

    slow = make(layers, pace=12, compact=True)
    assert slow.queue.depth == 1 and slow.latency <= make(layers, pace=12).latency
    packets = random_packets(node, PACKETS)
    golden = evaluate(node, *(each[np.newaxis] for each in packets)).codes.ravel()
    run = run_stage(slow, packets, golden.size, stalls=0.3)
    assert np.array_equal(run.numbers, golden)


def test_the_only_result_under_way_leaves_within_the_pace(
    random_manifest, run_stage, random_packets
):
    node = random_manifest(channels=8, modes=3, steps=PACKETS, classes=6).nodes["residual"]
    stage = Add(Layers([node]), pace=8, compact=True)
    run = run_stage(stage, random_packets(node, PACKETS), PACKETS * 8)
    assert stage.queue.depth == 1 and run.given[-1] - run.given[0] <= PACKETS * stage.cycles
