# amaranth: UnusedElaboratable=no
"""Memory: the paper's figures by the paper's rules, and every bit of a manifest by ours."""

import json
from pathlib import Path

import numpy as np
import pytest
from graphs import selective_layers

from ssm_hdl import Manifest
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Tensors
from ssm_hdl.sw.cli.info import describe
from ssm_hdl.sw.memory import (
    MEMORY_KINDS,
    hardware,
    paper,
    paper_float,
    paper_float_of,
    paper_nominal,
)

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "w8a8": (8, 8, 8, 8),
    "w4a6-16": (4, 6, 16, 16),
    "w4a6-8": (4, 6, 8, 8),
    "w4a6-6": (4, 6, 6, 6),
}
SAVED = {16: (76.6, 73.5, 83.0, 85.3), 64: (76.3, 76.7, 84.1, 85.9)}
"""The paper's table, in %, in the order of the configurations."""


@pytest.fixture(scope="module")
def digits():
    return Manifest.load(ROOT / "manifests" / "digits")


@pytest.mark.parametrize("width", SAVED)
def test_the_savings_of_the_paper(width):
    whole = paper_float(width, 32, 10)
    saved = [
        100 * (1 - paper_nominal(width, 32, 10, *bits).bits / whole.bits)
        for bits in CONFIGS.values()
    ]
    assert [round(one, 1) for one in saved] == list(SAVED[width])


def test_the_kilobytes_of_the_paper():
    assert round(paper_float(64, 32, 10).bytes / 1e3, 1) == 111.4
    assert round(paper_nominal(64, 32, 10, *CONFIGS["w4a6-8"]).bytes / 1e3, 1) == 17.8


@pytest.mark.parametrize("width", [16, 64, 256, 512])
def test_floats_are_the_parameters_with_dt_for_each_mode(width):
    parameters = 2 * width**2 + 208 * width + 10
    assert paper_float(width, 32, 10).bits == 32 * (
        parameters + 31 * width + 64 * width + 4 * width
    )


def test_a_manifest_by_the_papers_rules_has_no_bbar_and_the_bias_of_the_read_out(digits):
    """Widths of recipe w8a8: Abar and state 16, the rest 8; H = N = 8."""
    nominal, own = paper_nominal(8, 8, 10, 8, 8, 16, 16), paper(digits)
    assert own.of("input matrix") == 0
    assert own.of("biases") == nominal.of("biases") + 8 * 32
    for kind in ("transition", "weights", "states", "activations"):
        assert own.of(kind) == nominal.of(kind)
    whole = paper_float_of(digits)
    assert whole is not None and whole.bits == paper_float(8, 8, 10).bits


def test_the_skip_mode_is_a_weight_for_the_paper_and_a_mode_for_the_hardware(random_manifest):
    manifest = random_manifest(channels=2, modes=3)  # the last one's pole is 0
    by_paper, whole = paper(manifest), hardware(manifest)
    assert by_paper.of("states") == 2 * 2 * 2 * 16
    assert whole.of("states") == 2 * 3 * 2 * 16
    assert next(part.numbers for part in by_paper.parts if part.owner == "readout") == 2 * (
        2 * 2 + 1
    )


@pytest.mark.parametrize("features", [(), ("narrow",), ("exponent", "delta", "dither")])
@pytest.mark.parametrize("pooled", [True, False])
def test_the_hardware_keeps_these_codes(random_manifest, features, pooled):
    """The tables and the states of the generated pipeline, which has them too,
    give the same numbers."""
    manifest = random_manifest(channels=4, modes=3, seed=1, pooled=pooled, features=features)
    counted = {
        (part.owner, part.kind): part
        for part in hardware(manifest).parts
        if part.kind != "exponents"
    }
    stages = Pipeline(
        manifest,
        plan_for(manifest, folding={"ssm": "1x1", "mixing": "1x1"}, share_layers=False).plan,
    ).stages  # no sums in the table, nothing filled up
    for name, stage in stages.items():
        stored = {storage.name: storage.bits for storage in stage.storage}
        for storage, kind in {"state": "states", "sums": "accumulators"}.items():
            # its sums last for one step
            passing = storage == "sums" and manifest.nodes[name].op.op == "dense"
            if storage in stored and not passing:
                assert counted[name, kind].bits == stored[storage]
        for storage, kind in {"code": "transition", "weight": "weights"}.items():
            if storage in stored:  # a table is as wide as its numbers need, a format may be wider
                assert 0.6 * counted[name, kind].bits <= stored[storage] <= counted[name, kind].bits
        if manifest.nodes[name].op.op == "lookup":
            assert counted[name, "tables"].bits == 256 * 8


def test_the_hardware_keeps_the_codes_of_a_selective_scan():
    manifest = selective_layers(1)
    counted = {part.kind: part for part in hardware(manifest).parts if part.owner == "scan_1"}
    stage = Pipeline(
        manifest, plan_for(manifest, folding={"scan_1": "1x1"}, share_layers=False).plan
    ).stages["scan_1"]
    stored = {storage.name: storage.bits for storage in stage.storage}
    names = {"transition": "alpha", "states": "state", "tables": "leak", "exponents": "late"}
    assert {kind: counted[kind].bits for kind in names} == {
        kind: stored[name] for kind, name in names.items()
    }
    assert describe(manifest)["state_bits"] == 4 * 4 * 8


def test_exponents_take_the_bits_of_their_spread(random_manifest):
    manifest = random_manifest(channels=4, modes=3, seed=1, features=("exponent",))
    parts = [
        (part.owner, part.numbers, part.bits)
        for part in hardware(manifest).parts
        if part.kind == "exponents"
    ]
    spread = {
        name: int(np.ptp(codes))
        for name, codes in manifest.tensors.codes.items()
        if name.endswith("exponent")
    }
    transition, drive = spread["ssm.transition.exponent"], spread["ssm.exponent"]
    assert ("ssm", 12, 12 * transition.bit_length()) in parts and (
        "ssm",
        12,
        12 * drive.bit_length(),
    ) in parts
    assert ("mixing", 8, 8 * spread["mixing.weight.exponent"].bit_length()) in parts
    assert sum(bits for owner, _, bits in parts if owner == "encoder") == 0  # it has none


def test_info_shows_both(digits):
    memory = describe(digits)["memory"]
    json.dumps(memory)
    for way, counted in (("paper", paper(digits)), ("hardware", hardware(digits))):
        assert memory[way]["bits"] == counted.bits == sum(memory[way]["kinds"].values())
        assert memory[way]["bytes"] == counted.bits / 8
        assert set(memory[way]["kinds"]) <= set(MEMORY_KINDS)
    assert 0 < memory["saved"] < 1


def test_a_graph_without_an_edge_of_every_step():
    graph = Graph.model_validate(
        {
            "schema_version": 1,
            "name": "alone",
            "steps": 4,
            "input": {"name": "x", "size": 3, "format": "SQ(4, 4)"},
        }
        | {"operations": [{"name": "y", "op": "last", "input": "x"}], "output": "y"}
    )
    assert paper(Manifest(graph, Tensors({}, {}))).bits == 0
