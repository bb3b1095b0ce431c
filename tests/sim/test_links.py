"""Stalls and other codes at the links inside a pipeline."""

import random
import re

import numpy as np
import pytest

from ssm_hdl import Manifest
from ssm_hdl.fixed import Format
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Tensors
from ssm_hdl.sim.compare import compare
from ssm_hdl.sim.compiler import Design
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.linked import with_links
from ssm_hdl.sim.links import Links, Place, masked
from ssm_hdl.sim.stress import stress
from ssm_hdl.sim.verilated import VerilatedModel


@pytest.fixture
def manifest(random_manifest):
    return random_manifest(channels=4, modes=2, steps=6)


def _model(manifest, change=lambda text: text):
    plan = plan_for(manifest, dsp=8).plan
    text, masks = with_links(change(generate(manifest, plan)), manifest, plan)
    return VerilatedModel(manifest, design=Design(text, manifest.name, optimise=0, masks=masks))


def test_stalls_change_the_cycles_and_masks_the_bits(manifest, random_samples):
    model, samples = _model(manifest), random_samples(manifest, 3)
    free, held, masked, turned = (
        model.run(samples, links=links)
        for links in (
            Links(),
            Links(stalls=0.5, period=4),
            Links(mask=(1 << 64) - 1),
            Links(mask=0xDEADBEEF, turns=True),
        )
    )
    assert (held.outputs == free.outputs).all() and held.cycles > free.cycles
    for changed in (masked, turned):
        assert (changed.outputs != free.outputs).any() and changed.cycles == free.cycles


@pytest.mark.parametrize("share", [False, True])
def test_the_golden_model_knows_the_masks(random_manifest, random_samples, share):
    manifest = random_manifest(channels=4, modes=2, steps=3, layers=2, alike=True)
    plan = plan_for(manifest, share_layers=share).plan
    model = VerilatedModel(manifest, plan, optimise=0).linked()
    assert set(model.design.masks) >= {"ssm_1", "ssm_2", "decoder"}
    samples = random_samples(manifest, 2)
    assert stress(manifest, model, samples).differences == 0


def test_words_that_no_sample_reads_are_found(manifest, random_samples):
    samples = random_samples(manifest, 200)
    read = {int(code) & 255 for code in run(manifest, samples, trace=True).trace["readout"].flat}
    word = next(place for place in range(256) if place not in read)

    def change(text):
        start = text.index(f"module {manifest.name}_gelu (")
        head, table = text[:start], text[start:]
        (entry,) = re.findall(rf"table_0\[{word}\] = 8'h(..);", table[: table.index("endmodule")])
        changed = f"table_0[{word}] = 8'h{int(entry, 16) ^ 64:02x};"
        return head + table.replace(f"table_0[{word}] = 8'h{entry};", changed, 1)

    wrong = _model(manifest, change)
    assert compare(manifest, wrong, samples).differences == 0
    assert stress(manifest, wrong, samples).differences


def test_places_that_no_reader_fills_are_found(manifest, random_samples):
    """The second place of a queue whose reader takes every beat at once."""

    def change(text):
        start = text.index(f"module {manifest.name}_gelu_queue (")
        (width,) = re.findall(r"reg \[(\d+):0\] beat_1;", text[start:])[:1]
        kept = rf"beat_1 <= \1 ^ {int(width) + 1}'d1;"
        return text[:start] + re.sub(r"beat_1 <= (\w+);", kept, text[start:], count=1)

    wrong, samples = _model(manifest, change), random_samples(manifest, 20)
    assert compare(manifest, wrong, samples).differences == 0
    assert stress(manifest, wrong, samples).differences


@pytest.mark.parametrize("source", ["x", "near", "half"])
def test_every_word_of_a_table_is_read(source):
    """Also where the codes that come are few: those of a table that gives a few, or of one whose
    format has no sign."""
    near = dict(name="near", op="lookup", input="x", function="sigmoid", format="SQ(4, 5)")
    half = dict(name="half", op="lookup", input="x", function="sigmoid", format="UQ(1, 8)")
    last = dict(name="y", op="lookup", input=source, function="softplus", format="SQ(5, 10)")
    fields = dict(schema_version=1, name="words", steps=2, output="y")
    fields["operations"] = [each for each in (near, half) if each["name"] == source] + [last]
    fields["input"] = dict(name="x", size=2, format="SQ(3, 6)")
    manifest = Manifest(Graph.model_validate(fields), Tensors({}, {}))
    plan = plan_for(manifest).plan
    text, masks = with_links(generate(manifest, plan), manifest, plan)
    start = text.index("module words_y (")
    words = re.findall(r"(table_0\[\d+\] = \d+'h)(\w+);", text[start:])
    assert len(words) == 512
    word, entry = random.Random(source).choice(words)
    changed = f"{word}{int(entry, 16) ^ 1:0{len(entry)}x};"
    wrong = text[:start] + text[start:].replace(f"{word}{entry};", changed, 1)
    assert wrong != text
    model = VerilatedModel(manifest, design=Design(wrong, "words", optimise=0, masks=masks))
    assert stress(manifest, model, np.zeros((1, 2, 2), int)).differences


def test_results_that_no_output_shows_are_compared():
    """The sum has fewer fraction bits than one of its terms, whose last bit never shows."""
    fine = dict(name="fine", op="lookup", input="x", function="gelu", format="SQ(4, 4)")
    rough = dict(name="rough", op="lookup", input="x", function="gelu", format="SQ(7, 1)")
    total = dict(name="y", op="add", inputs=["fine", "rough"], format="SQ(7, 1)")
    fields = dict(schema_version=1, name="hides", steps=2, output="y")
    fields |= dict(operations=[fine, rough, total], input=dict(name="x", size=2, format="SQ(4, 4)"))
    manifest = Manifest(Graph.model_validate(fields), Tensors({}, {}))

    def change(text):
        start = text.index("module hides_fine (")
        (entry,) = re.findall(r"table_0\[3\] = 8'h(..);", text[start:])[:1]
        changed = f"table_0[3] = 8'h{int(entry, 16) ^ 1:02x};"
        return text[:start] + text[start:].replace(f"table_0[3] = 8'h{entry};", changed, 1)

    found = stress(manifest, _model(manifest, change), np.zeros((1, 2, 2), int))
    assert found.differences and found.first.startswith("results of a stage")


def test_numbers_and_packets_have_masks_of_their_own():
    codes, format = np.zeros((1, 2, 3), int), Format(False, 0, 8)
    mask = int.from_bytes(bytes([7, 1, 8, 2, 0, 0, 0, 9]), "little")
    for place, read in (
        (Place(0, 1, 8, 0), [[7, 1, 8], [7, 1, 8]]),
        (Place(56, 1, 8, 16), [[9, 7, 1], [1, 8, 2]]),
        (Place(56, 1, 0, 0), [[9, 9, 9], [9, 9, 9]]),
    ):
        assert masked(codes, format, Links(mask, turns=True), place).tolist() == [read]
        alike = masked(codes, format, Links(mask), place)
        assert alike.tolist() == np.full_like(codes, mask >> place.first & 255).tolist()
    assert masked(codes, format, Links(mask, turns=True), Place(0, 1, 8, 8), before=1).tolist() == [
        [[1, 8, 2], [8, 2, 0]]
    ]


NAMES = (
    "rst",
    "rst_1",
    "link",
    "link_mask",
    "link_stall",
    "a",
    "a_i_link",
    "a_unmasked",
    "pipeline",
)


@pytest.mark.parametrize("top", ["names", "pipeline", "link"])
def test_an_operation_has_its_mask_and_links_whatever_its_name(top):
    """Some are those of ports, whose instances get others, or look like what is added."""
    operations = [
        dict(name=name, op="lookup", input=source, function=function, format="SQ(2, 6)")
        for name, source, function in zip(
            NAMES, ("x", *NAMES), ("gelu", "sigmoid", "silu") * 3, strict=False
        )
    ]
    fields = dict(schema_version=1, name=top, steps=3, output=NAMES[-1], operations=operations)
    fields["input"] = dict(name="x", size=2, format="SQ(2, 4)")
    manifest = Manifest(Graph.model_validate(fields), Tensors({}, {}))
    model = _model(manifest)
    assert set(model.design.masks) == set(NAMES)
    assert len(set(model.design.masks.values())) == len(NAMES)
    samples = np.zeros((1, 3, 2), int)
    assert stress(manifest, model, samples).differences == 0
