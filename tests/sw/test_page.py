"""The report as an HTML page."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from ssm_hdl import Format
from ssm_hdl.boards.catalog import find_board
from ssm_hdl.boards.critical import critical_path
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.sw.draw import svg
from ssm_hdl.sw.page import bars, grid, page, used_bits
from ssm_hdl.sw.virtual import target_of

ROOT = Path(__file__).parents[2]

LOG = """\
Info: Critical path report for clock 'start' (posedge -> posedge):
Info:   clk-to-q  1.00  1.00 Source ready_LC.O
Info: Critical path report for clock 'sync' (posedge -> posedge):
Info:       type curr  total name
Info:   clk-to-q  1.39  1.39 Source shell.requests.fsm_state_LC.O
Info:    routing  1.76  3.15 Net shell.requests.fsm_state[2] (18,7) -> (17,7)
Info:                          Sink shell.pipeline.ssm.valid_LC.I2
Info:      logic  1.25  4.40 Source shell.pipeline.ssm.valid_LC.O
Info:      setup  0.10  4.50 Source shell.pipeline.ssm.x.state_DFFLC.CEN
Info: 7.07 ns logic, 13.66 ns routing
Info: Critical path report for cross-domain path '<async>' -> 'posedge sync':
Info:    routing  99.15  3.15 Net i (13,0) -> (15,1)
"""


def read(text):
    """The headings and the tables of a page, which is XML as well."""
    root = ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    tables = [
        [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")]
        for table in root.iter("table")
    ]
    return [heading.text for heading in root.iter("h2")], tables


def test_the_page_of_a_manifest(cli, refused, tmp_path):
    path, out = ROOT / "manifests" / "digits", tmp_path / "digits.html"
    with_samples = (
        "--samples",
        "test",
        "--count",
        4,
        "--float",
        ROOT / "checkpoints" / "digits.safetensors",
    )
    done = cli("report", path, "--device", "up5k", *with_samples, "-o", out, "--json")
    assert done.status == 0, done.err
    sections = [
        "Model",
        "Pipeline",
        "Plan",
        "Roofline",
        "Memories",
        "Operations",
        "Weights",
        "Samples",
        "States and activations",
    ]
    assert json.loads(done.out) == {"report": str(out), "sections": sections}
    headings, tables = read(out.read_text())
    assert headings == sections and out.read_text().count("<svg ") > 20
    assert "src=" not in out.read_text() and "<link" not in out.read_text()
    rows = {row[0]: row[1:] for table in tables for row in table}
    assert rows["ssm, states"][:2] == ["SQ(1, 15)", f"{4 * 64 * 144:,}"] and rows["accuracy"] == [
        "100.00%  (4 of 4)"
    ]
    assert float(rows["encoder"][1]) > 30  # SQNR, the last table
    refused("--float compares samples", "report", path, "--float", "x.safetensors", status=2)
    for file in ("manifest.yaml", "weights.safetensors"):
        refused("a file that this command reads", "report", path, "-o", path / file, status=2)
        refused(
            "a file that this command reads",
            "run",
            path,
            "--simulated",
            "--out",
            path / file,
            status=2,
        )


def test_the_page_of_a_build(random_manifest, as_built, cli, refused, tmp_path):
    manifest, folder = random_manifest(), tmp_path / "built"
    as_built(manifest, target_of(manifest, find_board("icebreaker")), folder)
    (folder / "nextpnr.log").write_text(LOG)
    done = cli("report", folder, "-o", tmp_path / "x.html")
    assert done.status == 0, done.err
    headings, tables = read((tmp_path / "x.html").read_text())
    assert {"Build", "Critical path", "Roofline"} <= set(headings) and "Samples" not in headings
    parts = [["requests, around the pipeline", "3.15", "1.76"], ["ssm", "1.35", "0.00"]]
    assert parts in [[row[:3] for row in table[1:]] for table in tables]
    refused("has its plan, that of the iCEBreaker", "report", folder, "--device", "up5k", status=2)


def test_layers_that_share_stages_have_a_box_each(random_manifest):
    manifest = random_manifest(channels=2, modes=2, steps=4, layers=2, alike=True)
    plan = plan_for(manifest, dsp=4, share_layers=True).plan
    text = svg(manifest, plan)
    assert plan.share_layers and {f"<!-- {name} -->" for name in manifest.nodes} <= set(
        map(str.strip, text.splitlines())
    )
    assert "2 layers share stages" in text


def test_a_page_in_the_folder_of_its_manifest_is_written_again(random_manifest, cli, tmp_path):
    folder = random_manifest().save(tmp_path / "mine").parent
    for _ in range(2):
        assert cli("report", folder, "-o", folder / "mine.html").status == 0


def test_no_critical_path():
    assert critical_path("Info: Routing complete.\n") == []


@pytest.mark.parametrize("format", ("SQ(1, 3)", "UQ(0, 4)"))
def test_used_bits(format):
    format = Format.parse(format)
    codes = np.arange(format.min, format.max + 1)
    wanted = [
        0 if code == 0 else (code if code > 0 else ~code).bit_length() + format.signed
        for code in codes.tolist()
    ]
    assert used_bits(codes, format).tolist() == np.bincount(wanted, minlength=5).tolist()
    assert ElementTree.fromstring(bars(used_bits(codes, format)))[4].attrib["class"] == "full"


def test_names_are_escaped():
    headings, tables = read(
        page("<a>", {"a & b": [grid(("x", ">y"), [("<script>", "1 < 2")])], "none": []})
    )
    assert headings == ["a & b"] and tables == [[["x", "y"], ["<script>", "1 < 2"]]]
