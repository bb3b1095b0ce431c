# amaranth: UnusedElaboratable=no
"""Whole pipelines: any plan, equal to the golden model,
at the cycles per step that the plan states."""

import numpy as np
import pytest

from ssm_hdl import Manifest
from ssm_hdl.families import unlimited
from ssm_hdl.families.ecp5 import ECP5
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.verilated import VerilatedModel

ALL = ("exponent", "delta", "dither")


@pytest.mark.parametrize(
    "dsp,features", [(4, ()), (8, ()), (24, ()), (60, ()), (8, ALL), (60, ALL)]
)
def test_interval_and_bits_of_every_size(random_manifest, random_samples, dsp, features):
    manifest = random_manifest(channels=8, modes=9, steps=24, classes=5, features=features)
    plan = plan_for(manifest, dsp=dsp, share_layers=False).plan
    model = VerilatedModel(manifest, plan, optimise=0)
    samples = random_samples(manifest, batch=4)
    golden = run(manifest, samples).outputs
    freely = model.run(samples)
    assert np.array_equal(freely.outputs, golden)
    assert freely.interval == estimate(manifest, plan).cycles
    assert np.array_equal(model.run(samples, stalls=0.5, seed=3).outputs, golden)


@pytest.mark.parametrize(
    "ssm,readout,mixing,decoder",
    [
        ("1x5", "1x1x2", "3x1", "3x1"),
        ("1x1/4", "1x1x4", "6x2", "5x2"),
        ("1x5*3", "1x1x10", "3x4", "1x1"),
        ("1x1/2", "1x1x10", "6x4", "3x1"),
        ("8x2*3", "8x1x4", "6x1", "3x1"),
        ("1x1", "2x1x18", "3x2", "5x1"),
    ],
)
def test_beats_that_are_filled_up(random_manifest, random_samples, ssm, readout, mixing, decoder):
    """Modes, rows and columns side by side that do not divide what there is: 9 modes, 18 columns,
    16 rows, 5 of the decoder."""
    manifest = random_manifest(channels=8, modes=9, steps=24, classes=5, features=ALL)
    folding = {"ssm": ssm, "readout": readout, "mixing": mixing, "decoder": decoder}
    plan = plan_for(manifest, dsp=200, folding=folding, share_layers=False).plan
    model, report = VerilatedModel(manifest, plan, optimise=0), estimate(manifest, plan)
    samples = random_samples(manifest, batch=4)
    golden = run(manifest, samples).outputs
    freely = model.run(samples)
    assert np.array_equal(freely.outputs, golden)
    assert freely.interval == report.cycles
    assert np.array_equal(model.run(samples, stalls=0.5, seed=3).outputs, golden)
    assert model.run(samples[:1, :1]).latency == report.latency_alone


@pytest.mark.parametrize("layers,share", [(0, False), (2, True)])
def test_bits_of_a_family(random_manifest, random_samples, layers, share):
    """What a scan shifts in the multipliers of an ECP5, in the models of its cells;
    layers that share it have other scales."""
    manifest = random_manifest(
        channels=4, modes=3, steps=12, classes=5, layers=layers, alike=share, features=ALL
    )
    samples = random_samples(manifest, batch=3)
    model = VerilatedModel(
        manifest, plan_for(manifest, unlimited(ECP5), dsp=24, share_layers=share).plan, optimise=0
    )
    assert np.array_equal(model.run(samples, stalls=0.3).outputs, run(manifest, samples).outputs)


def test_results_every_step(random_manifest, random_samples):
    manifest = random_manifest(channels=4, modes=3, steps=12, pooled=False)
    samples = random_samples(manifest, batch=3)
    plan = plan_for(manifest, dsp=8, share_layers=False).plan
    result = VerilatedModel(manifest, plan, optimise=0).run(samples, stalls=0.3)
    assert result.outputs.shape == (3, 12, 4)
    assert np.array_equal(result.outputs, run(manifest, samples).outputs)


@pytest.mark.parametrize("features,sizes", [((), (4, 8, 28)), (ALL, (8,))])
def test_latency_of_a_step_alone(random_manifest, random_samples, features, sizes):
    manifest = random_manifest(channels=16, modes=33, steps=4, classes=10, features=features)
    for dsp in sizes:
        plan = plan_for(manifest, dsp=dsp, share_layers=False).plan
        alone = VerilatedModel(manifest, plan, optimise=0).run(random_samples(manifest, 1, 1))
        assert alone.latency == estimate(manifest, plan).latency_alone


@pytest.mark.parametrize("layers,dsp,features", [(2, 12, ALL), (1, 40, ())])
def test_a_deep_model(random_manifest, random_samples, layers, dsp, features):
    """Paths that skip norm, states and gate; the interval of a dense with 12 multipliers,
    and of the norm with 40."""
    manifest = random_manifest(
        channels=8, modes=6, steps=16, classes=5, layers=layers, features=features
    )
    plan = plan_for(manifest, dsp=dsp, share_layers=False).plan
    pipeline, report = Pipeline(manifest, plan), estimate(manifest, plan)
    model = VerilatedModel(manifest, plan, optimise=0)
    samples = random_samples(manifest, batch=12)
    golden = run(manifest, samples).outputs
    freely = model.run(samples)
    assert np.array_equal(freely.outputs, golden)
    slowest = max(
        pipeline.stages, key=lambda name: pipeline.stages[name].cycles if name != "decoder" else 0
    )
    assert slowest == ("drive_1" if dsp == 12 else "norm_1")
    assert freely.interval == report.cycles == pipeline.stages[slowest].cycles
    for stalls in (0.5, 0.95):
        assert np.array_equal(model.run(samples, stalls=stalls, seed=3).outputs, golden)
    assert model.run(samples[:1, :1]).latency == report.latency_alone


CROSSED = """
schema_version: 1
name: crossed
steps: 8
input: {name: x, size: 4, format: "SQ(1, 7)"}
operations:
- {name: front, op: slice, input: x, start: 0, size: 2}
- {name: back, op: slice, input: x, start: 2, size: 2}
- {name: bent, op: lookup, input: %s, function: sigmoid, format: "UQ(0, 8)"}
- {name: product, op: multiply, inputs: [bent, %s], format: "SQ(2, 6)"}
- {name: whole, op: add, inputs: [product, product], format: "SQ(2, 6)"}
output: whole
"""


@pytest.mark.parametrize("bent,straight", [("front", "back"), ("back", "front")])
def test_paths_that_cross_never_block_each_other(tmp_path, random_samples, bent, straight):
    (tmp_path / "manifest.yaml").write_text(CROSSED % (bent, straight))
    from safetensors.numpy import save_file

    save_file({"none": np.zeros(1, dtype=np.int8)}, tmp_path / "weights.safetensors")
    manifest = Manifest.load(tmp_path)
    samples = random_samples(manifest, batch=2)
    model = VerilatedModel(manifest, plan_for(manifest, share_layers=False).plan, optimise=0)
    for stalls in (0.0, 0.6):
        result = model.run(samples, stalls=stalls)
        assert np.array_equal(result.outputs, run(manifest, samples).outputs)


def test_verilog_has_plain_ports_and_the_name_of_the_model(random_manifest):
    text = generate(random_manifest(), plan_for(random_manifest(), share_layers=False).plan)
    for port in (
        "input  wire clk",
        "output wire i_ready",
        "input  wire [7:0] i_data",
        "output wire o_valid",
    ):
        assert f"  {port}," in text
    assert "module random_s4d (" in text


def test_the_same_verilog_twice_and_nothing_of_this_machine(random_manifest):
    text = generate(random_manifest(), plan_for(random_manifest(), share_layers=False).plan)
    assert text == generate(random_manifest(), plan_for(random_manifest(), share_layers=False).plan)
    assert ".py" not in text


def test_stages_are_found_by_the_name_of_their_operation(random_manifest):
    pipeline = Pipeline(random_manifest(), plan_for(random_manifest(), share_layers=False).plan)
    for name, stage in pipeline.stages.items():
        op = random_manifest().nodes[name].op.op
        assert type(stage).__module__ == f"ssm_hdl.gateware.{op}"
