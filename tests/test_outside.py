# amaranth: UnusedElaboratable=no
"""Operations from outside: the four files of one go through every room without a change to the project."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ssm_hdl import Manifest, SsmHdlError, registry
from ssm_hdl.families import find_family
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.verilog import generate
from ssm_hdl.manifest import Graph
from ssm_hdl.sim.compiler import Design
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.netlist import netlist_model
from ssm_hdl.sim.verilated import VerilatedModel
from ssm_hdl.sw.draw import draw
from ssm_hdl.sw.qat.model import QatModel, outputs


@pytest.fixture
def outside(monkeypatch):
    """The operations of `tests/outside` are known."""
    monkeypatch.syspath_prepend(Path(__file__).parent)
    registry.register("clip", "outside")


@pytest.fixture
def clipped(outside, random_manifest) -> Manifest:
    """A small S4D with a clipped ReLU in place of its GELU."""
    manifest = random_manifest(channels=4, modes=3, steps=6)
    graph = yaml.safe_load(manifest.to_yaml())
    (gelu,) = [op for op in graph["operations"] if op["op"] == "lookup" and op["name"] == "gelu"]
    del gelu["function"]
    gelu |= {"op": "clip", "format": "UQ(2, 6)"}
    return Manifest(Graph.model_validate(graph), manifest.tensors)


@pytest.mark.parametrize("target", ("generic", "ice40", "ecp5"))
def test_rtl_and_netlists_equal_the_golden_model(clipped, random_samples, cache, target):
    samples = random_samples(clipped, batch=6)
    golden = run(clipped, samples, trace=True)
    assert np.ptp(golden.trace["gelu"]) > 0 and golden.saturations["gelu"] > 0
    plan = Plan.fit(clipped, 9, target)
    if target == "generic":
        model = VerilatedModel(clipped, design=Design(generate(clipped, plan), clipped.name, optimise=0))
    else:
        model = netlist_model(clipped, find_family(target), plan, cache=cache)
    for stalls in (0.0, 0.4):
        assert np.array_equal(model.run(samples, stalls=stalls).outputs, golden.outputs)


def test_qat_equals_the_golden_model_and_has_gradients(clipped, random_samples):
    model, samples = QatModel(clipped), random_samples(clipped, batch=4)
    assert np.array_equal(outputs(model, samples), run(clipped, samples).outputs)
    model(torch.from_numpy(samples).double()).sum().backward()
    assert model.latents["mixing/weight"].grad.abs().max() > 0


def test_estimates_are_marked_and_the_picture_has_it(clipped, tmp_path):
    plan = Plan.fit(clipped, 9, "ecp5")
    report = estimate(clipped, plan)
    marks = {stage.name: stage.fitted for stage in report.stages}
    assert not marks.pop("gelu") and all(marks.values())
    (stage,) = [stage for stage in report.stages if stage.name == "gelu"]
    assert stage.luts > 0 and stage.flip_flops > 0
    assert "clip" in draw(clipped, plan, tmp_path / "pipeline.svg").read_text(encoding="utf-8")


def test_what_is_not_known_is_named(outside):
    with pytest.raises(SsmHdlError, match="operation 'clip' of elsewhere is known already; give it another name"):
        registry.register("clip", "elsewhere")
    with pytest.raises(SsmHdlError, match="operation 'dense' of elsewhere is known already"):
        registry.register("dense", "elsewhere")
    with pytest.raises(SsmHdlError, match="operation 'relu' is not known; there are add, clip, dense"):
        registry.operation("relu")
