# amaranth: UnusedElaboratable=no
"""Operations from outside: the four files of one go through every room without a
change to the project."""

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console

from ssm_hdl import Manifest, SsmHdlError, registry
from ssm_hdl.families import FAMILIES, unlimited
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Tensors
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.netlist import netlist_model
from ssm_hdl.sim.verilated import VerilatedModel
from ssm_hdl.sw.cli.generate import tables
from ssm_hdl.sw.draw import draw
from ssm_hdl.sw.qat.model import QatModel, outputs


@pytest.fixture
def clipped(outside, random_manifest) -> Manifest:
    """A small S4D with a clipped ReLU in place of its GELU."""
    manifest = random_manifest(channels=4, modes=3, steps=6)
    graph = yaml.safe_load(manifest.to_yaml())
    (gelu,) = [op for op in graph["operations"] if op["op"] == "lookup" and op["name"] == "gelu"]
    del gelu["function"]
    gelu |= {"op": "clip", "format": "UQ(-1, 6)"}
    return Manifest(Graph.model_validate(graph), manifest.tensors)


SHORT = """
schema_version: 1
name: short
steps: 9
input: {{name: x, size: 5, format: "SQ(1, 7)"}}
operations:
- {{name: first, op: {op}, input: x, format: "{format}"}}
- {{name: y, op: dense, input: first, weight: {{tensor: w, format: "SQ(1, 7)"}},
   format: "SQ(2, 6)"}}
output: y
"""
FORMATS = {"clip": "UQ(-1, 6)", "difference": "SQ(1, 6)"}
"""The operations from outside, and a format for each."""


def short(op: str) -> Manifest:
    """An operation and a dense."""
    codes = np.random.default_rng(0).integers(-128, 128, (3, 5))
    text = SHORT.format(op=op, format=FORMATS[op])
    return Manifest(Graph.model_validate(yaml.safe_load(text)), Tensors({"w": codes}, {}))


@pytest.fixture
def changes(outside) -> Manifest:
    """What changes from step to step, and a dense."""
    return short("difference")


@pytest.fixture(params=["clipped", "changes"])
def manifest(request) -> Manifest:
    return request.getfixturevalue(request.param)


def check(model, random_samples):
    manifest = model.manifest
    for steps, stalls in ((manifest.steps, 0.0), (3, 0.4)):
        samples = random_samples(manifest, batch=6, steps=steps)
        assert np.array_equal(
            model.run(samples, stalls=stalls).outputs, run(manifest, samples).outputs
        )


def test_rtl_equals_the_golden_model(manifest, random_samples):
    check(VerilatedModel(manifest, plan_for(manifest, dsp=9).plan, optimise=0), random_samples)


@pytest.mark.parametrize(
    "family", [family for family in FAMILIES.values() if family.synthesis], ids=str
)
@pytest.mark.parametrize("op", FORMATS)
def test_netlists_equal_the_golden_model(outside, random_samples, cache, op, family):
    """Of the operation and a dense: the rest of an S4D would take most of the time."""
    manifest = short(op)
    plan = plan_for(manifest, unlimited(family), dsp=9).plan
    check(netlist_model(manifest, family, plan, cache=cache), random_samples)


def test_the_golden_models_compute_what_they_say(clipped, changes, random_samples):
    trace = run(clipped, random_samples(clipped), trace=True).trace
    exact = np.clip(
        (trace["readout"] * 2.0 ** (6 - clipped.nodes["readout"].output.format.f_bits) + 0.5) // 1,
        0,
        31,
    )
    assert np.array_equal(trace["gelu"], exact) and {0, 31} < set(exact.ravel())
    trace = run(changes, random_samples(changes), trace=True).trace
    x, change = trace["x"] / 128, trace["first"]
    exact = np.concatenate([x[:, :1], x[:, 1:] - x[:, :-1]], axis=1)
    assert np.array_equal(change, np.clip(np.floor(exact * 64 + 0.5), -64, 63)) and {-64, 63} < set(
        change.ravel()
    )


def test_qat_equals_the_golden_model_and_has_gradients(manifest, random_samples):
    model, samples = QatModel(manifest), random_samples(manifest, batch=4)
    assert np.array_equal(outputs(model, samples), run(manifest, samples).outputs)
    model(torch.from_numpy(samples).double()).sum().backward()
    assert all(latent.grad.abs().max() > 0 for latent in model.latents.values())


def test_estimates_are_marked_and_the_picture_has_it(clipped, tmp_path):
    plan = plan_for(clipped, dsp=9).plan
    report = estimate(clipped, plan)
    marks = {stage.name: stage.fitted for stage in report.stages}
    assert not marks.pop("gelu") and all(marks.values())
    (stage,) = [stage for stage in report.stages if stage.name == "gelu"]
    assert stage.luts > 0 and stage.flip_flops > 0
    with (console := Console(width=120)).capture() as shown:
        console.print(tables(report)[0])
    assert [line.split()[0] for line in shown.get().splitlines() if "~" in line] == ["gelu"]
    assert "clip" in draw(clipped, plan, tmp_path / "pipeline.svg").read_text(encoding="utf-8")


def test_what_is_not_known_is_named(outside):
    with pytest.raises(
        SsmHdlError, match="operation 'clip' of elsewhere is known already; give it another name"
    ):
        registry.register("clip", "elsewhere")
    with pytest.raises(SsmHdlError, match="operation 'dense' of elsewhere is known already"):
        registry.register("dense", "elsewhere")
    with pytest.raises(
        SsmHdlError, match="operation 'relu' is not known; there are add, argmax, clip, dense"
    ):
        registry.operation("relu")
