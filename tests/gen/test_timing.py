# amaranth: UnusedElaboratable=no
"""The cycles of pipelines, of random graphs in random foldings: those of the RTL,
and no pipeline hangs."""

from random import Random

import numpy as np
import pytest
from graphs import convolutional, random_graph, selective_layers
from random_graphs.plans import stagewise

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.families.generic import GENERIC
from ssm_hdl.gateware.stage import StagePlan
from ssm_hdl.gen.joins import most
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.timing import Timing
from ssm_hdl.gen.traffic import Traffic
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Tensors
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.verilated import VerilatedModel

STEPS = 384
"""Time steps after which, in all that is simulated here, cycles repeat for long."""


def check(manifest, plan, samples):
    """Cycle by cycle at both ends the RTL does what the network does, its figures are those stated,
    and stalls are no harm."""
    pipeline = Pipeline(manifest, plan)
    model = VerilatedModel(manifest, plan, optimise=0)
    steps = manifest.steps
    batch = samples(manifest, max(4, STEPS // steps), steps)
    found = model.run(batch)
    traffic = Traffic(pipeline.network, manifest.input.size, lambda step: step % steps == steps - 1)
    traffic.feed(found.i_cycles.size)
    results = len(traffic.o.taken) // found.o_cycles.size
    taken, left = (
        traffic.i.taken[manifest.input.size - 1 :: manifest.input.size],
        traffic.o.taken[results - 1 :: results],
    )
    loading = found.i_cycles[0, 0] - taken[0] if pipeline.sprams else 0
    assert taken == (found.i_cycles.ravel() - loading).tolist()
    assert left == (found.o_cycles.ravel() - loading).tolist()
    timing = Timing(pipeline)
    assert (found.interval, found.latency) == (timing.cycles, timing.latency_full)
    assert model.run(batch[:1, :1]).latency == timing.latency_alone
    few = batch[:3]
    for stalls in (0.5, 0.95):
        assert np.array_equal(
            model.run(few, stalls=stalls, seed=1).outputs, run(manifest, few).outputs
        )


@pytest.mark.parametrize("seed", (1, 18, 21))
def test_random_graphs(seed, random_samples):
    manifest = random_graph(seed)
    check(manifest, stagewise(manifest, Random(seed)), random_samples)


@pytest.mark.parametrize(
    "layers,seed,family", [(2, 0, "ecp5"), (3, 1, "generic"), (2, 18, "ice40"), (3, 22, "ice40")]
)
def test_layers_that_share_stages(layers, seed, family, random_manifest, random_samples):
    """The last two have compact stages and tables in SPRAM."""
    manifest = random_manifest(channels=4, modes=3, steps=8, layers=layers, alike=True)
    check(
        manifest,
        stagewise(manifest, Random(seed), share_layers=True, family=family),
        random_samples,
    )


@pytest.mark.parametrize("share,seed", [(False, 0), (True, 0), (True, 1), (True, 2)])
def test_taps_and_hadamards_of_layers(share, seed, random_samples):
    manifest = convolutional(3)
    check(manifest, stagewise(manifest, Random(seed), share_layers=share), random_samples)


@pytest.mark.parametrize("layers,seed", [(2, 0), (3, 1), (2, 5)])
def test_layers_of_selective_scans_that_share_stages(layers, seed, random_samples):
    manifest = selective_layers(layers)
    check(manifest, stagewise(manifest, Random(seed), share_layers=True), random_samples)


def joined(first, second):
    """A graph whose two ways from x, each of 2 numbers of 6, meet in an add."""
    dice = np.random.default_rng(0)
    codes = {name: dice.integers(-8, 8, (2, 1, 3)) for name in "vw"}
    ways = {
        "dense": {"op": "dense", "weight": {"tensor": "w", "format": "SQ(1, 3)"}},
        "other": {"op": "dense", "weight": {"tensor": "v", "format": "SQ(1, 3)"}},
        "slice": {"op": "slice", "start": 2, "size": 2},
    }
    formats = {"dense": {"format": "SQ(1, 3)"}, "other": {"format": "SQ(1, 3)"}, "slice": {}}
    operations = [
        {"name": name, "input": "x"} | ways[name] | formats[name] for name in (first, second)
    ]
    operations.append({"name": "y", "op": "add", "inputs": [first, second], "format": "SQ(1, 3)"})
    x = {"name": "x", "size": 6, "format": "SQ(1, 3)"}
    fields = {
        "schema_version": 1,
        "name": "joined",
        "steps": 4,
        "input": x,
        "operations": operations,
        "output": "y",
    }
    return Manifest(Graph.model_validate(fields), Tensors(codes, {}))


def plan_of(manifest, **foldings):
    stages = {name: StagePlan(1, foldings.get(name, ""), 1, "lut") for name in manifest.nodes}
    return Plan(GENERIC, stages)


JOINED = [
    ("slice", "dense", {"dense": "1x1x1"}),
    ("dense", "slice", {"dense": "1x1x3"}),
    ("dense", "other", {"dense": "1x1x1", "other": "1x1x3"}),
    ("dense", "other", {"dense": "1x1x1", "other": "1x1x1"}),
]


@pytest.mark.parametrize("first,second,foldings", JOINED)
def test_ways_that_need_other_positions_of_a_packet(first, second, foldings, random_samples):
    """Groups of 3 numbers each, and 2 from the third on: the slice is later in the packet,
    and its way is the shorter one."""
    manifest = joined(first, second)
    check(manifest, plan_of(manifest, **foldings), random_samples)


def test_a_pipeline_that_would_hang_is_refused():
    manifest = joined("slice", "dense")
    pipeline = Pipeline(manifest, plan_of(manifest, dense="1x1x1"))
    assert list(pipeline.queues) == [("y", 0)]
    assert isinstance(Timing(pipeline).latency_alone, int)
    pipeline.network = pipeline.assemble(None, {})
    with pytest.raises(
        SsmHdlError,
        match=r"joined: .* would hang: the queue y_0_Queue, slice to y, is missing and needs 1$",
    ):
        Timing(pipeline).cycles  # noqa: B018


def test_the_most_beats_that_wait():
    """Two beats that wait 3 cycles each, again every 10; every 3,
    one of the step before waits too."""
    came, left = np.array([0, 2]), np.array([3, 5])
    assert [most(came, left, interval) for interval in (10, 4, 3, 2)] == [2, 2, 3, 4]
