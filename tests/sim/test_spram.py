"""Pipelines with tables in SPRAM, which are loaded through ``w`` first,
against the golden model."""

from dataclasses import replace

import numpy as np
import pytest

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.families import unlimited
from ssm_hdl.families.ice40 import ICE40
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate
from ssm_hdl.manifest import Graph
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.linked import with_links
from ssm_hdl.sim.netlist import netlist_model
from ssm_hdl.sim.verilated import VerilatedModel


def plan_of(manifest, dsp=12, share=False):
    """With block RAMs so few that the tables are in SPRAM."""
    device = replace(unlimited(ICE40), rams=20 if share else 12, sprams=8)
    sized = plan_for(manifest, device, dsp=dsp, share_layers=share)
    assert sized.report.sprams > 1
    return sized.plan


@pytest.mark.parametrize(
    "sizes,dsp,share",
    [
        ({"channels": 16, "modes": 9}, 12, False),
        ({"channels": 16, "modes": 8}, 24, False),
        ({"channels": 16, "modes": 9, "layers": 2, "alike": True}, 12, True),
    ],
)
def test_rtl_equals_the_golden_model(random_manifest, random_samples, cache, sizes, dsp, share):
    manifest = random_manifest(steps=8, **sizes)
    model = VerilatedModel(manifest, plan_of(manifest, dsp, share), optimise=0, cache=cache)
    samples = random_samples(manifest, batch=5)
    expected = run(manifest, samples).outputs
    for stalls in (0.0, 0.5):
        assert np.array_equal(model.run(samples, stalls=stalls).outputs, expected)
    for reset_after in (1, 700, 1501, 9000):  # while it loads, and while it works
        assert np.array_equal(
            model.run(samples, stalls=0.3, reset_after=reset_after).outputs, expected
        )


def test_an_operation_may_be_called_loader(random_manifest):
    manifest = random_manifest(channels=16, modes=8, steps=4)
    text = manifest.graph.model_dump_json(exclude_none=True)
    graph = Graph.model_validate_json(text.replace('"encoder"', '"loader"'))
    renamed, plan = Manifest(graph, manifest.tensors), plan_of(manifest)
    stages = {name.replace("encoder", "loader"): stage for name, stage in plan.stages.items()}
    plan = replace(plan, stages=stages)
    verilog, masks = with_links(generate(renamed, plan), renamed, plan)
    assert "loader" in masks and f" {manifest.name}_Loader Loader (" in verilog


def test_netlist_equals_the_golden_model(random_manifest, random_samples, cache):
    manifest = random_manifest(channels=16, modes=8, steps=4)
    model = netlist_model(manifest, ICE40, plan_of(manifest), cache=cache)
    assert "SB_SPRAM256KA" in model.design.verilog
    samples = random_samples(manifest, batch=2)
    for stalls in (0.0, 0.4):
        assert np.array_equal(
            model.run(samples, stalls=stalls).outputs, run(manifest, samples).outputs
        )


@pytest.mark.parametrize("wrong", (0, 1001, -1))
def test_nothing_is_computed_with_wrong_weights(random_manifest, random_samples, cache, wrong):
    manifest = random_manifest(channels=16, modes=8, steps=4)
    model = VerilatedModel(manifest, plan_of(manifest), optimise=0, cache=cache)
    image = bytearray(model.design.weights)
    image[wrong] ^= 4
    model.design = replace(model.design, weights=bytes(image))
    with pytest.raises(SsmHdlError, match=r"0 of \d+ elements were taken"):
        model.run(random_samples(manifest), patience=20000)


def test_nothing_is_computed_before_all_is_loaded(random_manifest, random_samples, cache):
    manifest = random_manifest(channels=16, modes=8, steps=4)
    model = VerilatedModel(manifest, plan_of(manifest), optimise=0, cache=cache)
    model.design = replace(model.design, weights=model.design.weights[:-1])
    with pytest.raises(SsmHdlError, match=r"0 of \d+ elements were taken"):
        model.run(random_samples(manifest), patience=20000)
