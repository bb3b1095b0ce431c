"""The commands of the pages that need no more than the models of the repository.

Without `build` and `simulate`, which other tests run, and without what takes data, a board or
minutes. `test_data_page` runs the page on data, `test_design_page` the package with a bus.
"""

import json
import re
import shlex
from pathlib import Path
from pkgutil import resolve_name

import pytest
from typer.main import get_command

from ssm_hdl.sw.cli import _COMMANDS, app
from ssm_hdl.sw.importers import LAYOUTS
from ssm_hdl.sw.quantize.recipe import PRESETS

ROOT = Path(__file__).parents[2]
SOURCES = ("ssm_hdl", "gen", "sim", "boards", "sw")
DEAR = "s4d-64h|har-w8a8|s5-mnist|digits_bus"
LINES = sorted(
    {
        line.partition("  #")[0].strip()
        for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        for line in block.splitlines()
        if re.match("ssm-hdl (info|eval|generate|generate-text) manifests/", line)
    }
)


@pytest.mark.parametrize("line", [line for line in LINES if not re.search(DEAR, line)])
def test_a_command_of_the_pages_runs(cli, tmp_path, monkeypatch, line):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "manifests").symlink_to(ROOT / "manifests")
    arguments = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', line)][1:]
    done = cli(*arguments)
    assert done.status == 0, done.err


def _commands():
    """All commands of the pages, and the examples of the commands."""
    pages = (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
    text = "\n".join(
        "".join(re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
        for page in pages
    )
    shown = re.findall(r"^ssm-hdl .*", text, re.MULTILINE)
    return sorted({*shown, *(re.split("[,;] ", module.EXAMPLE)[0] for module in _COMMANDS)})


@pytest.mark.parametrize("line", _commands())
def test_a_command_of_the_pages_and_an_example_is_one(line):
    _, name, *words = shlex.split(line.partition(" < ")[0], comments=True)
    command = get_command(app).commands[name]
    given = command.make_context(name, words).params
    for word in words:
        if word.startswith(("manifests/", "checkpoints/")):
            assert (ROOT / word.partition("@")[0]).exists()
    assert not str(given.get("out")).startswith(("manifests/", "checkpoints/", "docs/", "results/"))


def test_every_line_of_a_report_is_on_its_page(cli, tmp_path):
    page = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    # layers share stages and tables are in SPRAM, so that all figures are there
    done = cli(
        *("generate", ROOT / "manifests" / "s4d-deep-16h-w4a8", "--device", "up5k"),
        *("--rate", "500", "--share-layers", "-o", tmp_path / "deep.v"),
    )
    assert done.status == 0, done.err
    lines = re.findall(r"^  (\S.*?)  ", done.out.partition("cycles per step")[2], re.MULTILINE)
    labels = [re.sub("^of the .*", "of the DEVICE", line) for line in lines]
    assert "layers" in labels and "of the DEVICE" in labels
    assert [label for label in labels if f"| {label} |" not in page] == []


def test_every_option_of_an_importer_is_on_its_page():
    page = (ROOT / "docs" / "model.md").read_text(encoding="utf-8")
    options = {option.replace("_", "-") for layout in LAYOUTS.values() for option in layout.options}
    assert [option for option in sorted(options) if f"`--{option}`" not in page] == []


def test_the_help_of_quantize_names_every_recipe():
    (recipe,) = (
        option for option in get_command(app).commands["quantize"].params if option.name == "recipe"
    )
    assert set(re.findall(r"[\w-]+", recipe.help)) >= set(PRESETS)


def _results(name):
    return json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))


def _page(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_figures_of_sentences_are_those_of_the_results():
    rows, har = _results("bench")["rows"], _results("har")
    intervals = [
        row["latency"] / row["interval"] for row in rows if row["manifest"].startswith("s4d-")
    ]
    text = f"answers {min(intervals):.1f} to {max(intervals):.1f} intervals"
    assert text in _page("README.md")
    largest = rows[-1]
    assert (largest["manifest"], largest["device"]) == ("s5-mnist-w4a8", "lfe5u-85f")
    routed = " and ".join(f"{clock:.0f}" for clock in largest["clocks_mhz"] if clock)
    assert f"the others have {routed} MHz" in _page("docs/sizing.md")
    float_, integer = (100 * har[key]["accuracy"] for key in ("float", "w8a8"))
    assert f"has {float_:.2f} % in float and {integer:.2f} % in W8A8" in _page("docs/mamba.md")


def test_every_file_of_results_in_a_table_is_named_with_the_tables():
    equality = _page("docs/results.md").partition("## Equality")[2].partition("\n## ")[0]
    for name in ("rtl", "har", "deep", "million", "s4d", "s5", "s5-listops"):
        assert f"{name}.json" in equality


def test_the_modules_of_pages_and_docstrings_exist():
    sources = [path for folder in SOURCES for path in (ROOT / folder).rglob("*.py")]
    names = {
        name
        for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *sources)
        for name in re.findall(r"`(ssm_hdl\.[\w.]*\w)", path.read_text(encoding="utf-8"))
    }
    for name in sorted(names - {"ssm_hdl.c", "ssm_hdl.h"}):  # the driver in C
        resolve_name(name)


def test_the_layout_of_the_house_has_every_folder():
    page = _page("docs/contributing.md")
    generated = {"build", "data", "out"}
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."}
    folders = {folder for folder in folders - generated if not folder.endswith(".egg-info")}
    assert [folder for folder in sorted(folders) if f"`{folder}/`" not in page] == []
