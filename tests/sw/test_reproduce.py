"""The table of the paper beside ours."""

import json
from pathlib import Path

import pytest

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.sw.data import load
from ssm_hdl.sw.quantize.bench import Bench, Subject
from ssm_hdl.sw.reproduce import TABLES, Row, mamba, measure

ROOT = Path(__file__).parents[2]


def test_the_rows_are_those_of_the_paper():
    for table in TABLES.values():
        assert len({row.name for row in table.rows}) == len(table.rows)
    rows = {row.name: row for row in TABLES["s4d"].rows}
    assert round(rows["s4d-64h-w4a6x8"].published.bytes / 1000, 1) == 17.8
    for row in (row for table in TABLES.values() for row in table.rows):
        assert (ROOT / "checkpoints" / f"{row.model}.safetensors").exists()
        assert (ROOT / "recipes" / f"{row.recipe}.yaml").exists()


@pytest.mark.parametrize("family", TABLES)
def test_every_committed_row_is_its_manifest(family):
    """What results/ says was measured on the manifests that are here."""
    from ssm_hdl.fingerprint import fingerprint

    measured = json.loads((ROOT / "results" / f"{family}.json").read_text())
    assert measured.keys() == {row.name for row in TABLES[family].rows}
    for name, answer in measured.items():
        assert answer["fingerprint"] == fingerprint(Manifest.load(ROOT / "manifests" / name))
        pipelines = [
            answer[name] for name in (("own", "shared") if TABLES[family].layers else ("own",))
        ]
        for pipeline in pipelines:
            assert pipeline["rtl"]["differences"] == 0
            assert pipeline["rtl"]["images"] >= TABLES[family].sequences
            assert pipeline["interval"] == pipeline["cycles"]
        assert answer["images"] == (2_000 if "listops" in name else 10_000)


def test_a_row_is_measured_once(tmp_path, monkeypatch):
    manifest, dataset = Manifest.load(ROOT / "manifests" / "digits"), load("digits")
    row, kept, steps = Row("digits", "w8a8"), tmp_path / "digits.json", []
    answer = measure(row, manifest, dataset, kept, 1, steps.append, 2)
    assert len(steps) == 3
    assert answer["correct"] == 343 and answer["images"] == 350
    assert answer["own"]["rtl"] == {"images": 2, "outputs": 20, "differences": 0}
    ecp5 = answer["own"]["ecp5"]
    assert ecp5["multipliers"] == ecp5["planned"] > 8
    assert ecp5["LUTs"] > 1000
    assert answer["memory"]["paper"] < answer["memory"]["ours"] < answer["memory"]["float_paper"]
    again = measure(row, manifest, dataset, kept, 1, steps.append, 2)
    assert len(steps) == 3
    assert json.loads(json.dumps(again)) == json.loads(json.dumps(answer))
    used = {what: count for what, count in ecp5.items() if what != "planned"}
    # a second time would take as long
    monkeypatch.setitem(measure.__globals__, "synthesised", lambda *_: used)
    kept.write_text(json.dumps(answer | {"own": answer["own"] | {"hardware": "of other Verilog"}}))
    assert measure(row, manifest, dataset, kept, 1, steps.append, 2)["own"] == answer["own"]
    assert len(steps) == 5  # all but the accuracy
    kept.write_text("{")
    with pytest.raises(SsmHdlError, match="is damaged or cannot be read"):
        measure(row, manifest, dataset, kept, 1, steps.append, 2)


def test_an_unknown_row_is_refused(refused):
    refused(
        "no row is called s4d-16h-w9; there are .*s4d-64h-w4a6x6",
        "reproduce",
        "s4d",
        "--only",
        "s4d-16h-w9",
        status=2,
    )


def test_a_missing_data_set_is_named(refused, tmp_path):
    refused("--data", "reproduce", "s4d", "--only", "s4d-16h-w4a6x8", "--data", tmp_path)


def test_an_unknown_paper_is_refused(refused):
    refused("no table is called 's6'; there are s4d, s5, s5-listops", "reproduce", "s6", status=2)


def test_an_ablation_takes_up_its_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(
        mamba, "RECIPES", {name: mamba.RECIPES[name] for name in ("mamba-plain", "mamba-quamba")}
    )
    bench, steps = (
        Bench(Subject(ROOT / "checkpoints" / "mamba-digits.safetensors", None, 8, 20)),
        [],
    )
    answer = mamba.ablation(bench, tmp_path / "figures.json", steps.append)
    assert list(answer["rows"]) == [
        "mamba-plain-8",
        "mamba-plain-12",
        "mamba-quamba-8",
        "mamba-quamba-12",
    ]
    for row in answer["rows"].values():
        assert row["relative"] == row["bits"] / answer["float"]["bits"] - 1
    assert (
        answer["rows"]["mamba-plain-8"]["hardware_bytes"]
        < answer["rows"]["mamba-plain-12"]["hardware_bytes"]
    )
    again = mamba.ablation(bench, tmp_path / "figures.json", steps.append)
    assert len(steps) == 4 and again == json.loads(json.dumps(answer))
