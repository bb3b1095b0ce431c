# amaranth: UnusedElaboratable=no
"""Layers that share stages: found in the graph, equal to the golden model,
at the cycles that the plan states."""

import re
import time

import numpy as np
import pytest
import yaml

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.gen.depth import find_layers, stage_name
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate
from ssm_hdl.manifest import Graph
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.verilated import VerilatedModel

ALL = ("exponent", "delta", "dither")
STAGES = (
    "norm",
    "drive",
    "ssm",
    "readout",
    "skip",
    "sum",
    "gelu",
    "mixing",
    "sigmoid",
    "glu",
    "residual",
)


def periodic(cycles: np.ndarray, group: int, interval: int) -> bool:
    """Every ``group`` time steps take that many intervals, over the last two thirds of a run."""
    late = cycles[cycles.size // 3 :]
    return bool((late[group:] - late[:-group] == group * interval).all())


@pytest.mark.parametrize("layers,dsp,features", [(2, 6, ()), (3, 8, ALL), (4, 40, ALL)])
def test_shared_stages_equal_the_golden_model(
    random_manifest, random_samples, layers, dsp, features
):
    """Layers with different weights, exponents, binary points and tables;
    several sequences back to back."""
    manifest = random_manifest(
        channels=4, modes=3, steps=8, layers=layers, features=features, alike=True
    )
    plan = plan_for(manifest, dsp=dsp, share_layers=True).plan
    report = estimate(manifest, plan)
    assert (report.layers, report.cycles) == (layers, {6: 46, 8: 69, 40: 92}[dsp])
    model = VerilatedModel(manifest, plan, optimise=0)
    samples = random_samples(manifest, batch=40)
    golden = run(manifest, samples).outputs
    freely = model.run(samples)
    assert np.array_equal(freely.outputs, golden)
    # several time steps go in one after the other, then they go round together
    taken = freely.i_cycles.ravel()
    # or two rounds by turns
    assert any(periodic(taken, group, report.cycles) for group in range(1, 2 * report.flight + 1))
    for stalls in (0.5, 0.95):
        assert np.array_equal(model.run(samples, stalls=stalls, seed=3).outputs, golden)
    assert model.run(samples[:1, :1]).latency == report.latency_alone


def test_results_of_every_step(random_manifest, random_samples):
    manifest = random_manifest(channels=4, modes=3, steps=8, layers=2, alike=True, pooled=False)
    samples = random_samples(manifest, batch=4)
    plan = plan_for(manifest, dsp=8, share_layers=True).plan
    result = VerilatedModel(manifest, plan, optimise=0).run(samples, stalls=0.3)
    assert np.array_equal(result.outputs, run(manifest, samples).outputs)


def test_one_set_of_stages_in_place_of_four(random_manifest):
    manifest = random_manifest(channels=8, modes=6, steps=16, layers=4, alike=True)
    own, shared = (plan_for(manifest, dsp=40, share_layers=share).plan for share in (False, True))
    pipeline = Pipeline(manifest, shared)
    assert tuple(pipeline.stages) == ("residual_0", *STAGES, "pool", "decoder")
    apart, together = estimate(manifest, own), estimate(manifest, shared)
    assert together.multiplications == apart.multiplications
    assert len(apart.stages) - len(together.stages) == 3 * len(STAGES)
    weights = [
        sum(stage.memory_bits for stage in report.stages if "drive" in stage.name)
        for report in (apart, together)
    ]
    assert 0.7 <= weights[1] / weights[0] <= 1.3  # those of all layers, behind fewer multipliers
    drive = next(stage for stage in together.stages if stage.name == "drive")
    assert drive.layers == 4 and drive.multiplications == 4 * 2 * 6 * 8
    assert drive.busy == 4 * drive.cycles / together.cycles


def test_a_folding_names_the_shared_stage(random_manifest):
    manifest = random_manifest(channels=8, modes=6, steps=16, layers=2, alike=True)
    assert (
        plan_for(manifest, dsp=12, folding={"drive": "2"}, share_layers=True)
        .plan.stages["drive"]
        .multipliers
        == 2
    )
    with pytest.raises(
        SsmHdlError,
        match="no stage 'drive_1' to fold; the stages that multiply are residual_0, norm, drive",
    ):
        plan_for(manifest, dsp=12, folding={"drive_1": 2}, share_layers=True)


def test_the_layers_are_found_in_the_graph(random_manifest):
    manifest = random_manifest(layers=3, alike=True)
    repetition = find_layers(manifest)
    assert repetition.source == "residual_0" and repetition.back == len(STAGES) - 1
    assert [[node.name for node in block] for block in repetition.blocks] == [
        [f"{name}_{k}" for name in STAGES] for k in (1, 2, 3)
    ]
    block = repetition.positions[1]
    assert stage_name(block, {}) == "drive" and stage_name(block, {"drive": 1}) == "drive_1"


def changed(manifest: Manifest, name: str, **fields: object) -> Manifest:
    """The manifest with other fields of an operation."""
    graph = manifest.graph.model_dump(mode="json", exclude_none=True)
    next(op for op in graph["operations"] if op["name"] == name).update(fields)
    return Manifest(Graph.model_validate(graph), manifest.tensors)


def test_what_has_no_layers_or_different_ones_is_refused(random_manifest):
    with pytest.raises(
        SsmHdlError, match="random_s4d: no layers to share stages: no operations repeat as blocks"
    ):
        plan_for(random_manifest(), share_layers=True)
    with pytest.raises(SsmHdlError, match="no layers to share stages"):
        # one norm centres, the other does not
        plan_for(random_manifest(layers=2), share_layers=True)
    # not two of them with stages of their own, unasked
    deeper = random_manifest(layers=4, alike=True)
    with pytest.raises(SsmHdlError, match=r"glu_1 is SQ\(3, 5\) and glu_3 is SQ\(5, 5\)"):
        plan_for(changed(deeper, "glu_3", format="SQ(5, 5)"), share_layers=True)
    wider = changed(random_manifest(layers=2, alike=True), "sum_2", format="SQ(4, 6)")
    with pytest.raises(
        SsmHdlError,
        match=r"sum_1 is SQ\(3, 5\) and sum_2 is SQ\(4, 6\), and they would share their wires",
    ):
        plan_for(wider, share_layers=True)


def renamed(manifest: Manifest, names: dict[str, str]) -> Manifest:
    """The manifest with other names of operations."""
    text = manifest.to_yaml()
    for old, new in names.items():
        text = re.sub(rf"(name: |input: |[\[,] ?|output: ){old}\b", rf"\g<1>{new}", text)
    return Manifest(Graph.model_validate(yaml.safe_load(text)), manifest.tensors)


@pytest.mark.parametrize(
    "names", [{"glu_1": "ring_1", "glu_2": "ring_2"}, {"glu_1": "sum", "glu_2": "other"}]
)
def test_no_name_of_an_operation_is_in_the_way(random_manifest, names):
    manifest = renamed(random_manifest(layers=2, alike=True), names)
    assert set(names.values()) <= manifest.nodes.keys()
    assert (
        len(Pipeline(manifest, plan_for(manifest, dsp=40, share_layers=True).plan).stages)
        == len(STAGES) + 3
    )
    assert "module random_s5 (" in generate(
        manifest, plan_for(manifest, dsp=40, share_layers=True).plan
    )


def test_many_layers_are_found_soon(random_manifest):
    manifest = random_manifest(layers=24, alike=True)
    start = time.process_time()
    assert len(find_layers(manifest).blocks) == 24
    assert time.process_time() - start < 2


def test_what_works_once_a_sequence_is_not_shared(random_manifest):
    """A network behind the pool that repeats."""
    manifest = random_manifest()
    graph = manifest.graph.model_dump(mode="json", exclude_none=True)
    for name, source in (("bent_1", "pool"), ("bent_2", "bent_1")):
        graph["operations"].insert(
            -1,
            {
                "name": name,
                "op": "lookup",
                "input": source,
                "function": "sigmoid",
                "format": "UQ(0, 8)",
            },
        )
    graph["operations"][-1]["input"] = "bent_2"
    graph["operations"][-4]["format"] = "SQ(4, 4)"
    with pytest.raises(SsmHdlError, match="no layers to share stages"):
        plan_for(Manifest(Graph.model_validate(graph), manifest.tensors), share_layers=True)


def test_layers_that_would_change_the_width_of_the_ring_are_left_out(random_manifest):
    """What goes round has the format of the last operation of a layer:
    an encoder of another width cannot feed it."""
    manifest = changed(random_manifest(layers=2, alike=True), "residual_0", format="SQ(6, 6)")
    with pytest.raises(SsmHdlError, match=r"residual_0 is SQ\(6, 6\) and residual_1 is SQ\(5, 3\)"):
        find_layers(manifest)
