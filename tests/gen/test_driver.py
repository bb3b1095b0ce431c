"""The C driver, compiled and run under Verilator: on Wishbone in a system of LiteX,
on AXI4-Lite, over SPI."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ssm_hdl import Format
from ssm_hdl.errors import UsageError
from ssm_hdl.families import unlimited
from ssm_hdl.families.generic import GENERIC
from ssm_hdl.gen.driver import driver
from ssm_hdl.gen.package import Vectors
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate
from ssm_hdl.operations import Edge
from ssm_hdl.sim.compiler import Design, compile_verilog
from ssm_hdl.sim.golden import run

HERE = Path(__file__).parent
EXAMPLE = HERE.parents[1] / "docs" / "examples" / "litex_peripheral.py"
STRICT = ["cc", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror"]


def done(folder, *command):
    """The output of a command that succeeds."""
    ran = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("bus", ["litex", "lite", "spi"])
def test_driver(random_manifest, random_samples, cache, tmp_path, bus):
    manifest = random_manifest(steps=4, pooled=bus != "spi")
    samples = random_samples(manifest, 3)
    for name, text in driver(
        manifest, "mine", Vectors(samples, run(manifest, samples).outputs)
    ).items():
        (tmp_path / name).write_text(text)
    plan = plan_for(manifest, unlimited(GENERIC), dsp=2).plan
    design = Design(
        generate(manifest, plan, name="mine", wrap=bus.replace("litex", "wishbone")),
        "mine",
        optimise=0,
    )
    if bus == "litex":
        (tmp_path / "mine.v").write_text(design.verilog)
        done(
            tmp_path,
            sys.executable,
            "-P",
            HERE / "litex_system.py",
            EXAMPLE,
            tmp_path / "mine.v",
            tmp_path,
        )
        lint = 'lint_off -file "design.v"\nlint_off -rule COMBDLY\n'  # of what LiteX writes
        design = Design(
            (tmp_path / "top.v").read_text(), "top", (tmp_path / "mine.v",), lint, optimise=0
        )
    harness = "".join((HERE / name).read_text() for name in ("bus.h", "bus.cpp")).replace(
        '#include "bus.h"\n', ""
    )
    library = compile_verilog(design, f"#define {bus.upper()}\n{harness}", cache)
    own = (
        ["-DSSM_HDL_READ=bus_read", "-DSSM_HDL_WRITE=bus_write", "-include", HERE / "bus.h"]
        if bus != "spi"
        else []
    )
    sources = ["ssm_hdl.c", HERE / "driver.c", library]
    done(tmp_path, *STRICT, f"-D{bus.upper()}", "-I.", f"-I{HERE}", *own, *sources, "-o", "driver")
    assert done(tmp_path, tmp_path / "driver") == "OK\n"


def test_what_the_driver_does_not_take():
    def refused(word, name, form):
        edge = Edge("x", 1, Format.parse(form))
        with pytest.raises(UsageError, match=word):
            driver(SimpleNamespace(input=edge, output=edge), name, None)

    refused("--name", "SSM_HDL", "SQ(1, 7)")
    refused("narrow", "mine", "SQ(1, 32)")
    refused("narrow", "mine", "UQ(0, 32)")
