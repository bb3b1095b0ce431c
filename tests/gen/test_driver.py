"""The C driver, compiled and run on its wrappers under Verilator."""

import subprocess
from pathlib import Path

import pytest

from ssm_hdl.families import unlimited
from ssm_hdl.families.generic import GENERIC
from ssm_hdl.gen.driver import driver
from ssm_hdl.gen.package import Vectors
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate
from ssm_hdl.sim.compiler import Design, compile_verilog
from ssm_hdl.sim.golden import run

HERE = Path(__file__).parent
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror"]


def compiled(folder, *arguments):
    done = subprocess.run(["cc", *STRICT, *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("bus", ["wishbone", "lite", "spi"])
def test_driver_on_a_wrapper(random_manifest, random_samples, cache, tmp_path, bus):
    manifest = random_manifest(steps=4, pooled=bus != "spi")
    samples = random_samples(manifest, 3)
    files = driver(manifest, "mine", Vectors(samples, run(manifest, samples).outputs))
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    text = generate(manifest, plan_for(manifest, unlimited(GENERIC), dsp=2).plan, name="mine", wrap=bus)
    harness = "".join((HERE / name).read_text() for name in ("bus.h", "bus.cpp")).replace('#include "bus.h"\n', "")
    library = compile_verilog(Design(text, "mine", optimise=0), f"#define {bus.upper()}\n{harness}", cache)
    own = ["-DSPI"] if bus == "spi" else ["-DSSM_HDL_READ=bus_read", "-DSSM_HDL_WRITE=bus_write", "-include", HERE / "bus.h"]
    compiled(tmp_path, "-I.", f"-I{HERE}", *own, "ssm_hdl.c", HERE / "driver.c", library, "-o", "driver")
    done = subprocess.run([tmp_path / "driver"], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == "OK\n", done.stdout + done.stderr
