# amaranth: UnusedElaboratable=no
"""Queues that are too short: refused, and RTL hangs with them;
with those that are said to be needed, it does not."""

import time
from random import Random

import numpy as np
import pytest
from graphs import random_graph, selective_layers
from random_graphs.plans import stagewise

import ssm_hdl.gen.pipeline
from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.gateware.ring import Ring
from ssm_hdl.gen.joins import joins, queue_at
from ssm_hdl.gen.liveness import check, needed
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.traffic import Room
from ssm_hdl.gen.verilog import generate
from ssm_hdl.sim.cells import with_cells
from ssm_hdl.sim.compiler import Design
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.verilated import VerilatedModel


def change(pipeline, each, depth):
    """Another depth of the queue at an input; none if it is 0."""
    queues = {other: queue for other, queue in pipeline.queues.items() if other != each}
    queues |= {each: queue_at(pipeline, each, depth)} if depth else {}
    pipeline.network = pipeline.assemble(pipeline.ring, queues)


def need(pipeline, each):
    return needed(
        pipeline,
        each,
        {other: Room(queue.capacity) for other, queue in pipeline.queues.items() if other != each},
    )


def model_with(monkeypatch, manifest, plan, each, depth):
    """The RTL with another depth of a queue, which nothing refuses."""

    def shortened(pipeline):
        ring, queues = joins(pipeline)
        others = {other: queue for other, queue in queues.items() if other != each}
        return ring, {**others, each: queue_at(pipeline, each, depth)} if depth else others

    with monkeypatch.context() as patch:
        patch.setattr(ssm_hdl.gen.pipeline, "joins", shortened)
        patch.setattr(ssm_hdl.gen.pipeline, "check", lambda pipeline: None)
        text = generate(manifest, plan)
    return VerilatedModel(
        manifest, design=with_cells(Design(text, manifest.name, optimise=0), plan.family)
    )


@pytest.mark.parametrize("seed,each", [(5, ("selective_3", 1)), (7, ("add_5", 0))])
def test_rtl_hangs_with_a_beat_less_than_is_needed(monkeypatch, random_samples, seed, each):
    manifest = random_graph(seed)
    plan = stagewise(manifest, Random(seed), family="ecp5")
    depth = need(Pipeline(manifest, plan), each)
    assert depth > 0
    samples = random_samples(manifest, batch=3)
    enough = model_with(monkeypatch, manifest, plan, each, depth)
    for stalls in (0.0, 0.5, 0.95):
        assert np.array_equal(
            enough.run(samples, stalls=stalls, seed=1).outputs, run(manifest, samples).outputs
        )
    with pytest.raises(SsmHdlError, match="is stuck: nothing moved"):
        model_with(monkeypatch, manifest, plan, each, depth - 1).run(samples)


def test_a_short_queue_is_named_with_what_it_holds_and_needs():
    """Every queue of some graphs, with a beat less than it needs."""
    refused = 0
    for seed in range(2, 17):
        manifest = random_graph(seed)
        pipeline = Pipeline(manifest, stagewise(manifest, Random(seed), family="ecp5"))
        check(pipeline)
        for each, queue in list(pipeline.queues.items()):
            if depth := need(pipeline, each):
                name, index = each
                has = f"has depth {depth - 1}" if depth > 1 else "is missing"
                change(pipeline, each, depth - 1)
                source = pipeline.structure.reads[name][index]
                said = (
                    f"hang: the queue {name}_{index}_Queue, {source} to {name}, "
                    f"{has} and needs {depth}"
                )
                with pytest.raises(SsmHdlError, match=said):
                    pipeline.elaborate(None)
                change(pipeline, each, depth)
                check(pipeline)
                change(pipeline, each, queue.depth)
                refused += 1
    assert refused > 5


def test_queues_of_a_ring_hold_all_packets():
    manifest = selective_layers(3)
    plan = stagewise(manifest, Random(1), share_layers=True)
    for name, what in (("waiting", "new packets"), ("loop", "packets in flight")):
        pipeline = Pipeline(manifest, plan)
        assert isinstance(pipeline.ring, Ring)
        check(pipeline)
        queue = getattr(pipeline.ring, name)
        queue.depth -= 1
        with pytest.raises(
            SsmHdlError,
            match=f"Ring.{name} of {what} has depth {queue.depth} and needs {queue.depth + 1}",
        ):
            check(pipeline)


@pytest.mark.parametrize("name", ["mamba-text-w4a8", "s5-mnist-w4a8"])
def test_the_largest_are_checked_in_a_second(name):
    manifest = Manifest.load(f"manifests/{name}")
    pipeline = Pipeline(manifest, stagewise(manifest, Random(0), share_layers=True))
    start = time.process_time()
    check(pipeline)
    assert time.process_time() - start < 1
