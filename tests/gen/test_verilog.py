"""Verilog for other people's designs: what they read, what their linters say,
and a package that checks itself."""

import re
import shutil
import subprocess

import pytest
import yaml
from lint import lint

from ssm_hdl import Manifest
from ssm_hdl.errors import UsageError
from ssm_hdl.families import unlimited
from ssm_hdl.families.ecp5 import ECP5
from ssm_hdl.families.generic import GENERIC
from ssm_hdl.families.ice40 import ICE40
from ssm_hdl.gen.package import Vectors, package
from ssm_hdl.gen.rtlil import extended, widen
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate, memory_files, weights
from ssm_hdl.identifiers import module_name
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.tools import verilator_environment


@pytest.mark.parametrize("family", [GENERIC, ICE40, ECP5], ids=lambda family: family.name)
def test_linters_accept_it_and_people_can_read_it(random_manifest, tmp_path, family):
    manifest = random_manifest(channels=2, modes=2, steps=4, layers=2, alike=True)
    sized = plan_for(manifest, unlimited(family), dsp=2, share_layers=True)
    text = generate(manifest, sized.plan, name="mine", command="the command", report=sized.report)
    assert lint(text, "mine", family, tmp_path) == ""
    assert text == generate(
        manifest, sized.plan, name="mine", command="the command", report=sized.report
    )
    assert not re.search(r"\\|\$signal|\[-1:0\]|20\d\d-", text)
    head, _, rest = text.partition("\nmodule mine (")
    ports = "clk rst i_valid i_ready i_data i_last o_valid o_ready o_data o_last"
    assert re.findall(r"(\w+)[,\n]", rest.partition(");")[0]) == ports.split()
    for words in (
        "fingerprint 0x",
        "the command",
        f"{sized.report.cycles:,g} per time step",
        str(manifest.output.format),
    ):
        assert words in head, head


def test_names_that_a_module_cannot_have():
    assert module_name("mine_2") == "mine_2"
    for name in (
        "reg",
        "i_data",
        "2nd",
        "a-b",
        "",
        "ä",
        "a" * 65,
        "SB_MAC16",
        "MULT18X18D",
        "LUT4",
        "DP16KD",
        "TRELLIS_FF",
        "MULT9X9",
        "ALU",
        "SDPB",
        "pROM",
    ):
        with pytest.raises(UsageError, match="--name"):
            module_name(name, "--name")


def test_operands_are_extended_as_the_language_does():
    assert extended(r"\a", 3, 5, True) == r"{ \a [2] \a [2] \a }"
    assert extended(r"\a [4:2]", 3, 5, False) == r"{ 2'00 \a [4:2] }"
    assert extended("{  }", 0, 2, True) == "{ 2'00 {  } }"
    lines = ("A_SIGNED 1", "B_SIGNED 1", "A_WIDTH 2", "B_WIDTH 3", "Y_WIDTH 4")
    pins = "".join(f"    connect \\{pin} \\{pin.lower()}\n" for pin in "ABY")
    cell = (
        "  cell ${op} $1\n"
        + "".join(f"    parameter \\{line}\n" for line in lines)
        + pins
        + "  end\n"
    )
    added, compared, shifted = (widen(cell.replace("{op}", op)) for op in ("add", "lt", "shl"))
    assert "A_WIDTH 4" in added and "B_WIDTH 4" in added and r"connect \B { \b [2] \b }" in added
    assert "A_WIDTH 3" in compared and r"connect \B \b" in compared
    assert "A_WIDTH 4" in shifted and r"connect \B \b" in shifted
    assert widen(cell.replace("{op}", "reduce_or")) == cell.replace("{op}", "reduce_or")


def test_tables_in_files_hold_what_the_verilog_held():
    manifest = Manifest.load("manifests/digits")
    text = generate(manifest, plan_for(manifest, dsp=4).plan)
    beside, files = memory_files(text)
    assert files and beside.count("$readmemh") == len(files) and len(beside) < len(text)
    for name, words in files.items():
        last = len(words.splitlines()) - 1
        assert re.search(rf'\$readmemh\("{name}", \w+, 0, {last}\);', beside), name
    rows = re.findall(r"^    \w+\[\d+\] = \d+'h([0-9a-f]+);$", text, re.MULTILINE)
    assert sorted(rows) == sorted(word for words in files.values() for word in words.split())


@pytest.fixture(scope="module")
def packed(random_manifest, random_samples, tmp_path_factory):
    """A folder with a package, its tables in files,
    and with a table in SPRAM if its family has some."""
    folder = tmp_path_factory.mktemp("package")
    manifest = random_manifest(channels=3, modes=4, steps=5)
    sized = plan_for(manifest, unlimited(GENERIC), dsp=4)
    text, tables = memory_files(generate(manifest, sized.plan, name="mine"))
    samples = random_samples(manifest, 3, 5)
    vectors = Vectors(samples, run(manifest, samples).outputs)
    files = package(
        manifest, "mine", ["mine.v", *tables], 50e6, vectors, weights(manifest, sized.plan)
    )
    for name, content in ({"mine.v": text} | tables | files).items():
        (folder / name).write_text(content)
    return folder


_BINARY = (
    "verilator --binary --timing -Wno-fatal -CFLAGS -fcoroutines -CFLAGS -O0 --top-module mine_tb"
)
SIMULATORS = {
    "verilator": f"{_BINARY} mine_tb.v mine.v -o tb && obj_dir/tb",
    "iverilog": "iverilog -g2005 -Wall -o tb mine_tb.v mine.v && vvp tb",
}


@pytest.mark.parametrize("simulator", SIMULATORS)
def test_the_testbench_of_a_package_passes_and_can_fail(packed, simulator):
    if simulator == "iverilog" and shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog is not installed")
    build, _, start = SIMULATORS[simulator].partition(" && ")
    environment = verilator_environment()
    done = subprocess.run(
        build.split(), cwd=packed, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and (simulator == "verilator" or "warning" not in done.stderr), (
        done.stderr
    )

    def said():
        done = subprocess.run(
            start.split(), cwd=packed, capture_output=True, text=True, check=False, timeout=60
        )
        return [line for line in done.stdout.splitlines() if line.startswith(("PASS", "FAIL"))]

    (line,) = said()
    assert re.fullmatch(r"PASS: \d+ results", line)
    path = packed / "mine_results.hex"
    wanted = path.read_text()
    first, _, rest = wanted.partition("\n")
    path.write_text(f"{int(first, 16) ^ 1:x}\n{rest}")
    try:
        (line,) = said()
        assert re.fullmatch(r"FAIL: 1 of \d+ results differ", line)
    finally:
        path.write_text(wanted)


def test_a_core_names_the_files_that_are_there(packed):
    head, _, body = (packed / "mine.core").read_text().partition("\n")
    core = yaml.safe_load(body)
    files = [each for group in core["filesets"].values() for each in group["files"]]
    assert head == "CAPI=2:" and all(
        (packed / (each if isinstance(each, str) else next(iter(each)))).exists() for each in files
    )
    assert all(
        name in core["filesets"]
        for target in core["targets"].values()
        for name in target["filesets"]
    )
    assert "create_clock -name clk -period 20.000" in (packed / "mine.sdc").read_text()
