"""Compact stages in cells of the iCE40: running sums of denses are in SB_MAC16s, and the bits are those of the golden model."""

from dataclasses import replace

import pytest

from ssm_hdl import registry
from ssm_hdl.families.ice40 import ICE40
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.structure import Structure
from ssm_hdl.sim.compare import compare
from ssm_hdl.sim.netlist import netlist_model


@pytest.mark.parametrize("features", [(), ("narrow", "exponent")], ids=["plain", "shifts"])
def test_bits_of_compact_stages(random_manifest, random_samples, cache, features):
    manifest = random_manifest(channels=3, modes=3, steps=7, features=features)
    folding = {"encoder": 1, "ssm": "1x1/2", "readout": 1, "mixing": 1, "decoder": 1}
    plan, stages = Plan.fit(manifest, target="ice40", folding=folding), {}
    for name, layers in Structure.of(manifest, family=ICE40).stages.items():
        stage = replace(plan.stages[name], kind="dsp")
        compacts = registry.stage(layers.node.op.op).compacts(layers, stage)
        assert compacts == (layers.node.op.op not in ("scan", "slice"))
        stages[name] = replace(stage, compact=compacts)
    model = netlist_model(manifest, ICE40, replace(plan, stages=stages), cache=cache)
    assert model.design.verilog.count(".OLOADTOP(1'h0)") == model.design.verilog.count("SB_MAC16 #(") - 4
    assert compare(manifest, model, random_samples(manifest, 4), stalls=0.2).differences == 0
