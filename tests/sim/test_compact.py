"""Compact stages in cells of the iCE40: running sums of denses are in SB_MAC16s,
and the bits are those of the golden model."""

from dataclasses import replace

import pytest

from ssm_hdl import registry
from ssm_hdl.families import unlimited
from ssm_hdl.families.ice40 import ICE40
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.structure import Structure
from ssm_hdl.sim.compare import compare
from ssm_hdl.sim.netlist import netlist_model
from ssm_hdl.sim.verilated import VerilatedModel


@pytest.mark.parametrize("features", [(), ("narrow", "exponent")], ids=["plain", "shifts"])
def test_bits_of_compact_stages(random_manifest, random_samples, cache, features):
    manifest = random_manifest(channels=3, modes=3, steps=7, features=features)
    folding = {"encoder": 1, "ssm": "1x1/2", "readout": 1, "mixing": 1, "decoder": 1}
    plan, stages = (
        plan_for(manifest, unlimited(ICE40), folding=folding, share_layers=False).plan,
        {},
    )
    for name, layers in Structure.of(manifest, family=ICE40).stages.items():
        stage = replace(plan.stages[name], kind="dsp")
        compacts = registry.stage(layers.node.op.op).compacts(layers, stage)
        assert compacts == (layers.node.op.op not in ("scan", "slice"))
        stages[name] = replace(stage, compact=compacts)
    model = netlist_model(manifest, ICE40, replace(plan, stages=stages), cache=cache)
    assert (
        model.design.verilog.count(".OLOADTOP(1'h0)")
        == model.design.verilog.count("SB_MAC16 #(") - 4
    )
    assert compare(manifest, model, random_samples(manifest, 4), stalls=0.2).differences == 0


def test_compact_stages_that_layers_share(random_manifest, random_samples, cache):
    """Tables have the constants of all layers,
    and a packet that is kept has its layer beside it."""
    manifest = random_manifest(
        channels=4, modes=3, layers=2, alike=True, steps=7, features=("exponent", "delta")
    )
    plan = plan_for(manifest, dsp=12, share_layers=True).plan
    shared = Structure.of(manifest, True).stages
    stages = {
        name: replace(
            stage,
            compact=shared[name].node.op.op in ("dense", "lookup", "multiply", "add")
            and stage.multipliers <= 1,
        )
        for name, stage in plan.stages.items()
    }
    assert sum(stage.compact and shared[name].count == 2 for name, stage in stages.items()) > 4
    model = VerilatedModel(manifest, replace(plan, stages=stages), optimise=0, cache=cache)
    for stalls in (0.0, 0.3):
        assert compare(manifest, model, random_samples(manifest, 4), stalls=stalls).differences == 0
