# amaranth: UnusedElaboratable=no
"""Compact forms of stages: equal to the golden functions under stalls, cycles and latency as they state them."""

import numpy as np
import pytest

from ssm_hdl.families.generic import Generic
from ssm_hdl.gateware.compact_dense import CompactDense
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.sim.golden import evaluate

PACKETS = 24


class Fast(Generic):
    """A family whose block RAMs are as fast as those of an iCE40, with multipliers that Amaranth simulates."""

    fast_rams = True


CASES = [("encoder", 4), ("readout", 4), ("mixing", 4), ("mixing", 5), ("decoder", 4)]
"""Denses of one column, of one row for each of several groups, and of 2^n and of other numbers of columns."""


@pytest.mark.parametrize("family", (Generic(), Fast()), ids=("slow", "fast"))
@pytest.mark.parametrize("features", [(), ("exponent", "narrow")], ids=["plain", "shifts"])
@pytest.mark.parametrize("name,channels", CASES)
def test_compact_dense(random_manifest, name, channels, features, family, check, run_stage, random_packets):
    node = random_manifest(channels=channels, modes=3, steps=PACKETS, classes=6, features=features).nodes[name]
    layers = Layers([node], family=family)
    check(lambda: CompactDense(layers), node)

    slow = CompactDense(layers, pace=40)
    assert slow.queue.depth == 1 and slow.cycles == node.output.size * 40
    (packets,) = random_packets(node, PACKETS)
    run = run_stage(slow, [packets], PACKETS * node.output.size)
    assert np.array_equal(run.numbers, evaluate(node, packets[np.newaxis]).codes.ravel())
    assert run.given[-1] - run.given[0] <= PACKETS * slow.cycles
    (packet,), slow = random_packets(node, 1), CompactDense(layers, pace=40)
    run = run_stage(slow, [packet], node.output.size)
    assert run.given[-1] - run.taken[-1] == slow.latency
