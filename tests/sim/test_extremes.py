# amaranth: UnusedElaboratable=no
"""Faults that show only in whole sequences, in codes that seldom come,
or in packets of other magnitudes are found under stress."""

import re

import numpy as np
import pytest

from ssm_hdl import SQ, Manifest
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Tensors
from ssm_hdl.sim.compare import compare
from ssm_hdl.sim.compiler import Design
from ssm_hdl.sim.extremes import extremes
from ssm_hdl.sim.linked import with_links
from ssm_hdl.sim.stress import stress
from ssm_hdl.sim.verilated import VerilatedModel

ROWS = np.random.default_rng(0).integers(-8, 8, (2048, 1))


def manifest_of(width, codes, steps, tensors=None, /, **fields):
    node = {"name": "y", "input": "x", **fields}
    graph = dict(schema_version=1, name="one", steps=steps, output="y", operations=[node])
    graph |= dict(input={"name": "x", "size": width, "format": codes})
    tensors = tensors or {}
    return Manifest(Graph.model_validate(graph), Tensors(tensors, dict.fromkeys(tensors, SQ(1, 3))))


def model_of(manifest, cache, change=lambda text: text):
    plan = plan_for(manifest).plan
    text, masks = with_links(change(generate(manifest, plan)), manifest, plan)
    design = Design(text, manifest.name, optimise=0, lint="lint_off -rule WIDTH\n", masks=masks)
    return VerilatedModel(manifest, design=design, cache=cache)


def inverted(pattern, bit):
    """The Verilog with a bit of one word of a table inverted."""

    def change(text):
        found = re.search(rf"({pattern} = \d+'h)(\w+);", text)
        return text.replace(found[0], f"{found[1]}{int(found[2], 16) ^ 1 << bit:x};")

    return change


EMBEDDED = dict(op="embedding", weight={"tensor": "rows", "format": "SQ(1, 3)"})
CASES = {
    "the top bits of a length": (
        manifest_of(2, "SQ(1, 3)", 600, op="mean", format="SQ(1, 5)"),
        lambda text: text.replace("{ 4'h0, length }", "{ 4'h0, length & 10'h1ff }"),
    ),
    "the top bit of a sum over time": (
        manifest_of(1, "SQ(1, 3)", 512, op="pool", shift=9, format="SQ(1, 5)"),
        lambda text: re.sub(r"ring_0 <= (_\d+_);", r"ring_0 <= {{3{\1[9]}}, \1[9:0]};", text),
    ),
    "a row of an embedding": (
        manifest_of(1, "UQ(11, 0)", 4, {"rows": ROWS}, **EMBEDDED),
        inverted(r"\w+\[1234\]", 2),
    ),
    "a cell of an inverse root": (
        manifest_of(64, "SQ(1, 7)", 4, op="norm", epsilon=0, format="SQ(3, 5)"),
        inverted(r"level\w*\[9\]", 8),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_faults_that_ordinary_samples_hide(name, cache):
    manifest, change = CASES[name]
    format, steps = manifest.input.format, min(manifest.steps, 100)
    samples = np.random.default_rng(0).integers(
        format.min, format.max, (4, steps, manifest.input.size), endpoint=True
    )
    faulty = model_of(manifest, cache, change)
    assert compare(manifest, faulty, samples).differences == 0
    assert any(each.differences for each in extremes(manifest, faulty, seed=0))


def test_a_pipeline_whose_stages_have_no_masks(cache):
    """A slice and the last packet are of no stage whose results could be changed."""
    manifest = manifest_of(3, "UQ(2, 0)", 4, None, op="slice", start=1, size=1)
    model = VerilatedModel(manifest, plan_for(manifest).plan, cache=cache)
    assert model.linked() is not None
    samples = np.random.default_rng(0).integers(0, 4, (2, 4, 3))
    assert stress(manifest, model, samples).differences == 0
