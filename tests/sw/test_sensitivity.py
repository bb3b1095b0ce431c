"""Sensitivity: what each part costs at each width, taken up again where it stopped."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ssm_hdl import SsmHdlError
from ssm_hdl.sim.golden import run
from ssm_hdl.sw.cli.sensitivity import cells, numbers
from ssm_hdl.sw.evaluate import evaluate_integer
from ssm_hdl.sw.memory import hardware, paper
from ssm_hdl.sw.plot import heat_map
from ssm_hdl.sw.quantize import Recipe, program
from ssm_hdl.sw.quantize.bench import Bench, Measured, Subject
from ssm_hdl.sw.quantize.parts import FAMILY_PARTS, PARTS, to_yaml, width_of, with_widths
from ssm_hdl.sw.quantize.sensitivity import FILE, Report, sensitivity

CHECKPOINT = Path(__file__).parents[2] / "checkpoints" / "digits.safetensors"
SUBJECT = Subject(CHECKPOINT, None, samples=24, images=50)
BASE = Recipe.load("w8a8x8")
TRIED = ("weights.mixing", "activations.readout", "state")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("sensitivity") / FILE


@pytest.fixture(scope="module")
def report(path):
    return sensitivity(SUBJECT, BASE, (2, 8, 16), path, TRIED)


@pytest.fixture
def counted(monkeypatch):
    """Recipes that were measured, a list that grows."""
    recipes, measure = [], Bench.measure

    def count(bench, recipe):
        recipes.append(recipe)
        return measure(bench, recipe)

    monkeypatch.setattr(Bench, "measure", count)
    return recipes


def without_seconds(report):
    return {
        cell: replace(m, seconds=0) if isinstance(m, Measured) else m
        for cell, m in report.cells.items()
    }


def test_parts_are_all_widths_of_a_recipe():
    assert len(PARTS) == len(set(PARTS)) == 50
    widths = {part: 2 + at % 15 for at, part in enumerate(PARTS)}
    recipe = with_widths(BASE, widths)
    assert {part: width_of(recipe, part) for part in PARTS} == widths
    assert width_of(BASE, "weights.mixing") == 8 and width_of(BASE, "biases") == 16
    for part in PARTS:
        one = with_widths(BASE, {part: 5})
        assert [name for name in PARTS if width_of(one, name) != width_of(BASE, name)] == [part]


def test_a_recipe_survives_its_file(tmp_path):
    for fields in (
        {},
        {"clip": "percentile", "percentile": 99.0},
        {"state_margin": 0.65, "dither": False},
    ):
        recipe = with_widths(
            BASE, {"weights.mixing": 3, "activations.gelu": 11, "pool": 9}, name="own", **fields
        )
        path = tmp_path / "r.yaml"
        path.write_text(to_yaml(recipe, "made here\nby hand"))
        assert path.read_text().startswith("# made here\n# by hand\n")
        loaded = Recipe.load(path)
        assert (
            loaded.model_copy(
                update={kind: getattr(recipe, kind) for kind in ("weights", "activations")}
            )
            == recipe
        )
        assert all(width_of(loaded, part) == width_of(recipe, part) for part in PARTS)


@pytest.mark.parametrize(
    "part", ["weights.readout", "activations.sigmoid", "transition", "biases", "output"]
)
def test_a_part_rules_what_it_is_called(part):
    bench = Bench(SUBJECT)
    recipe = with_widths(BASE, {part: 5}, state_margin=1.0, samples=24)
    manifest, _ = program(bench.checkpoint, bench.dataset, recipe, bench.calibration)
    formats = manifest.tensors.formats
    widths = {
        f"weights.{name}": formats[f"{name}.weight"].width
        for name in ("encoder", "readout", "mixing", "decoder")
    }
    names = ("encoder", "readout", "gelu", "mixing", "sigmoid", "glu", "residual")
    widths |= {f"activations.{name}": manifest.nodes[name].output.format.width for name in names}
    widths |= {
        "transition": formats["ssm.transition"].width,
        "state": manifest.nodes["ssm"].output.format.width,
    }
    widths |= {
        "biases": formats["mixing.bias"].width,
        "pool": manifest.nodes["pool"].output.format.width,
    }
    widths["output"] = manifest.output.format.width
    assert widths == {name: width_of(recipe, name) for name in FAMILY_PARTS["s4d"]}


def test_a_measurement_is_that_of_the_golden_model():
    bench = Bench(SUBJECT)
    recipe = with_widths(BASE, {"state": 5}, state_margin=1.0, samples=24)
    manifest, _ = program(bench.checkpoint, bench.dataset, recipe, bench.calibration)
    split = bench.dataset.val.head(50)
    measured, logits = (
        bench.measure(recipe),
        run(manifest, split.codes).outputs * manifest.output.format.lsb,
    )
    assert measured.score == evaluate_integer(manifest, split).accuracy < bench.float_score
    noise = ((logits - bench.wanted) ** 2).mean()
    assert measured.sqnr_db == pytest.approx(
        10 * np.log10((bench.wanted**2).mean() / noise), abs=0.006
    )
    assert (measured.paper_bytes, measured.hardware_bytes) == (
        paper(manifest).bytes,
        hardware(manifest).bytes,
    )


def test_what_is_known_of_the_float_model_serves_all_recipes():
    bench = Bench(SUBJECT)
    recipe = with_widths(BASE, {}, state_margin=1.0, samples=24)
    shared, _ = program(bench.checkpoint, bench.dataset, recipe, bench.calibration)
    alone, _ = program(bench.checkpoint, bench.dataset, recipe)
    for name, codes in alone.tensors.codes.items():  # up to what float32 rounds in another order
        assert np.abs(codes - shared.tensors.codes[name]).mean() < 0.02 * max(
            1, np.abs(codes).mean()
        )


def test_fewer_bits_cost_more(report):
    state, weights = report.measured("state"), report.measured("weights.mixing")
    assert list(state) == [2, 8, 16]
    assert state[2].sqnr_db + 5 < state[8].sqnr_db < state[16].sqnr_db - 5
    assert weights[2].sqnr_db + 5 < weights[8].sqnr_db and weights[2].score < weights[8].score
    assert state[8] == report.base == weights[8]
    assert report.base.paper_bytes - state[2].paper_bytes == 2 * 8 * 8 * 6 / 8
    assert report.base.hardware_bytes - state[2].hardware_bytes >= 2 * 8 * 9 * 6 / 8 - 20
    assert 0.9 < report.float_score <= 1


def test_a_width_that_cannot_work_is_an_entry(report):
    reason = report.cells["activations.readout", 16]
    assert isinstance(reason, str) and "readout has 16 bits, and the table of gelu" in reason
    assert 16 not in report.measured("activations.readout")


def test_states_that_do_not_fit_are_entries_too(tmp_path, monkeypatch):
    def refuse(bench, recipe):
        if recipe.state == 2:
            raise SsmHdlError("states do not fit")
        return Measured(1, 20, 100, 200, 0)

    monkeypatch.setattr(Bench, "measure", refuse)
    made = sensitivity(SUBJECT, BASE, (2, 4), tmp_path / FILE, ["state"])
    assert made.cells["state", 2] == "states do not fit" and isinstance(
        made.cells["state", 4], Measured
    )


def test_nothing_is_measured_twice(report, path, counted):
    done = []
    again = sensitivity(SUBJECT, BASE, (2, 8, 16), path, TRIED, progress=done.append)
    assert not counted and again == report and sum(done) == 9
    more = sensitivity(SUBJECT, BASE, (2, 6), path, ["weights.mixing"])
    assert [recipe.weights.mixing for recipe in counted] == [6]
    assert more.cells.keys() == report.cells.keys() | {("weights.mixing", 6)}


def test_a_stopped_run_goes_on(report, tmp_path, monkeypatch, counted):
    path, measure = tmp_path / FILE, Bench.measure

    def stop(bench, recipe):
        if len(counted) == 3:
            raise KeyboardInterrupt
        return measure(bench, recipe)

    with monkeypatch.context() as patch:
        patch.setattr(Bench, "measure", stop)
        with pytest.raises(KeyboardInterrupt):
            sensitivity(SUBJECT, BASE, (2, 8, 16), path, TRIED)
    assert len(Report.load(path).cells) >= 2
    resumed = sensitivity(SUBJECT, BASE, (2, 8, 16), path, TRIED)
    assert len(counted) == 7  # the base and six cells, the others need none
    assert without_seconds(resumed) == without_seconds(report)


def test_processes_measure_the_same(report, tmp_path):
    both = sensitivity(SUBJECT, BASE, (2, 16), tmp_path / FILE, ["weights.mixing", "state"], jobs=2)
    one = without_seconds(report)
    assert without_seconds(both) == {cell: one[cell] for cell in both.cells}


def test_other_figures_are_not_mixed(report, path):
    before = path.read_bytes()
    with pytest.raises(SsmHdlError, match=r"samples 24 there and 25 now\); choose another --out"):
        sensitivity(replace(SUBJECT, samples=25), BASE, (2,), path)
    with pytest.raises(SsmHdlError, match=r"recipe .*'state': 7"):
        sensitivity(SUBJECT, with_widths(BASE, {"state": 7}), (2,), path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        (
            "digits has no part 'weights.mixng'; it has weights.encoder",
            {"parts": ["weights.mixng"]},
        ),
        ("a width of 1 bits cannot be tried", {"widths": (1, 2)}),
        ("a width of 17 bits", {"widths": (17,)}),
        ("no widths or no parts", {"widths": ()}),
        ("0 processes", {"jobs": 0}),
        ("0 calibration and 50 validation samples", {"subject": replace(SUBJECT, samples=0)}),
        ("nowhere does not exist; ", {"subject": replace(SUBJECT, checkpoint=Path("nowhere"))}),
    ],
)
def test_bad_input_is_refused(tmp_path, message, arguments):
    with pytest.raises(SsmHdlError, match=message):
        sensitivity(
            **{"subject": SUBJECT, "base": BASE, "widths": (2,), "path": tmp_path / FILE}
            | arguments
        )
    assert not (tmp_path / FILE).exists()


def test_bad_reports_are_refused(tmp_path, report):
    path = tmp_path / FILE
    with pytest.raises(SsmHdlError, match=r"cannot read .*ssm-hdl sensitivity"):
        Report.load(path)
    for text in (
        "{",
        "[]",
        "{}",
        json.dumps(report.to_json() | {"cells": [{"part": "state", "width": 2}]}),
    ):
        path.write_text(text)
        with pytest.raises(SsmHdlError, match="not a sensitivity report, or damaged"):
            Report.load(path)


def test_table_and_plot(report, tmp_path):
    made = cells(report)
    assert [column.header for column in made.columns][1:] == [
        f"{width} bits" for width in report.widths
    ]
    assert made.row_count == len(TRIED)
    assert heat_map(report, tmp_path / "map.png").read_bytes().startswith(b"\x89PNG")


def test_lists_of_widths():
    assert numbers("8, 2,4,4") == [2, 4, 8]
    with pytest.raises(SsmHdlError, match="'2;3' is no list of widths; write for example 4,6,8"):
        numbers("2;3")


def test_the_command(cli, tmp_path):
    words = (
        "--parts",
        "state",
        "--widths",
        "4,8",
        "--images",
        "20",
        "--samples",
        "8",
        "--out",
        str(tmp_path),
    )

    def call(*arguments):
        done = cli("sensitivity", CHECKPOINT, *arguments)
        return done.status, done

    status, written = call(*words, "--json")
    assert status == 0 and [cell["width"] for cell in json.loads(written.out)["cells"]] == [4, 8]
    assert {file.name for file in tmp_path.iterdir()} == {FILE, "sensitivity.png"}
    status, written = call(*words)
    assert status == 0 and "state" in written.out and "20 validation samples" in written.out
    status, written = call(*words, "--recipe", "w4a6x6")
    assert status == 1 and written.out == "" and "holds figures of another run" in written.err
