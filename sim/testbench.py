"""The cocotb testbench for any generated top level: built and run under Verilator,
its verdict read back."""

import importlib.metadata
import json
import os
import shutil
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from ssm_hdl import Manifest, SsmHdlError, processes
from ssm_hdl.extras import need
from ssm_hdl.files import scratch, write_atomically
from ssm_hdl.fixed import Codes
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate
from ssm_hdl.sim.compare import Comparison
from ssm_hdl.sim.compiler import LINT, VERILATOR_FLAGS, cache_folder, digest, versions
from ssm_hdl.sim.tools import verilator_environment, without_blanks

MODULE = "ssm_hdl.sim.testbench_cocotb"
"""The cocotb test module, for a cocotb set-up of your own; its docstring lists the environment
variables that it reads."""

QUICK = " OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0 VM_PARALLEL_BUILDS=0"
"""Variables of Verilator's makefile. Python dominates the run time: optimised C++ would take longer
to compile than it saves. One translation unit compiles faster than several."""


def simulate(
    manifest: Manifest,
    samples: Codes,
    plan: Plan | None = None,
    *,
    verilog: str | None = None,
    stalls: float = 0.2,
    seed: int = 0,
    patience: int = 1 << 17,
    folder: Path | None = None,
    waves: bool = False,
) -> Comparison:
    """Run a batch through the testbench, which compares every element of the output with
    the golden model.

    Args:
        manifest: the integer program.
        samples: codes of the input format, integers of shape (batch, steps, size),
            at least one sequence.
        plan: its hardware; `plan_for`'s for a generic device if None.
        verilog: other Verilog with the ports that `generate` gives; then ``plan`` is not used.
        stalls: chance, in every cycle, that a sample is held back, and that a result is not taken.
        seed: of these chances.
        patience: cycles without a transfer at either end after which the design counts as stuck.
        folder: for the build, ``results.xml``, ``testbench.log`` and the waves;
            a temporary folder if None.
        waves: write ``dump.vcd`` to the folder.

    Raises:
        SsmHdlError: a tool is missing or failed, the samples do not fit,
            the pipeline is stuck or breaks the rules of streams.
    """
    samples = manifest.check_samples(samples)
    if not 0 <= stalls < 1:
        raise SsmHdlError(f"stalls is {stalls}; it is a chance in every cycle, from 0 to below 1")
    if seed < 0:
        raise SsmHdlError(f"the seed is {seed}; it is 0 or more")
    need("cocotb")
    with scratch() if folder is None else nullcontext(folder.absolute()) as build:
        build.mkdir(parents=True, exist_ok=True)
        manifest.save(build / "manifest")
        np.save(build / "samples.npy", samples, allow_pickle=False)
        write_atomically(
            build / "design.v", verilog or generate(manifest, plan or plan_for(manifest).plan)
        )
        write_atomically(build / "lint.vlt", LINT)
        for stale in ("results.xml", "comparison.json"):
            (build / stale).unlink(missing_ok=True)
        environment = without_blanks(verilator_environment(), build)
        parts = [versions(environment, build), importlib.metadata.version("cocotb"), str(waves)]
        runtime = cache_folder() / f"cocotb-{digest(parts)}"
        environment |= {
            "SSM_HDL_MANIFEST": str(build / "manifest"),
            "SSM_HDL_SAMPLES": str(build / "samples.npy"),
            "SSM_HDL_STALLS": str(stalls),
            "SSM_HDL_SEED": str(seed),
            "SSM_HDL_PATIENCE": str(patience),
            "SSM_HDL_COMPARISON": str(build / "comparison.json"),
            "VERILATOR_ROOT": "../verilator",  # cocotb's runner builds in a folder below
            "MAKEFLAGS": environment.get("MAKEFLAGS", " --") + QUICK,
        }
        _lend(runtime, build / "build")
        try:
            return _run(manifest, build, environment, waves)
        finally:
            _keep(build / "build", runtime)


def _lend(runtime: Path, build: Path) -> None:
    """Put the compiled runtime of Verilator and cocotb, which most of a build's time would go to,
    where make finds it: newer than the makefile that Verilator is about to write."""
    later = time.time() + 3600
    build.mkdir(exist_ok=True)
    for path in build.glob("verilat*.o"):  # of other versions, maybe
        path.unlink()
    for path in runtime.glob("*.o"):
        shutil.copyfile(path, build / path.name)
        os.utime(build / path.name, (later, later))


def _keep(build: Path, runtime: Path) -> None:
    """Keep what of the runtime a build has compiled."""
    with scratch(runtime) as folder:
        for path in build.glob("verilat*.o"):
            if not (runtime / path.name).exists():
                shutil.copyfile(path, folder / path.name)
                (folder / path.name).replace(runtime / path.name)


def _run(manifest: Manifest, build: Path, environment: dict[str, str], waves: bool) -> Comparison:
    # it would make cocotb's runner end the process by itself
    environment.pop("PYTEST_CURRENT_TEST", None)
    arguments = [
        sys.executable,
        "-P",
        "-m",
        "ssm_hdl.sim.testbench",
        str(build),
        manifest.name,
        str(int(waves)),
    ]
    done = processes.run(arguments, build / "testbench.log", folder=build, environment=environment)
    if not (build / "comparison.json").exists():
        said = _cause(build / "results.xml") or done.cause
        raise SsmHdlError(f"the testbench of {manifest.name} failed: {said}")
    comparison = Comparison(**json.loads((build / "comparison.json").read_text(encoding="utf-8")))
    if (done.status != 0) != (comparison.differences != 0):
        raise SsmHdlError(
            f"the testbench of {manifest.name} ended with status {done.status} and {comparison}"
        )
    return comparison


def _cause(results: Path) -> str:
    """The message of the failed test."""
    if not results.exists():
        return ""
    failures = ElementTree.parse(results).getroot().iter("failure")
    return "; ".join(
        failure.get("error_msg") or failure.get("message") or "" for failure in failures
    )


def main() -> int:
    """Entry point of the process that builds and runs.

    It is a process of its own because cocotb's runner reads its settings from the environment and
    may end the process.
    """
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    build, top, waves = Path(sys.argv[1]), sys.argv[2], bool(int(sys.argv[3]))
    runner = get_runner("verilator")
    runner.build(
        sources=[build / "lint.vlt", build / "design.v"],
        hdl_toplevel=top,
        build_args=VERILATOR_FLAGS,
        build_dir=build / "build",
        timescale=("1ns", "1ps"),
        waves=waves,
    )
    results = runner.test(
        MODULE, top, test_dir=build, results_xml=str(build / "results.xml"), waves=waves
    )
    tests, failed = get_results(results)
    return int(failed > 0 or tests == 0)


if __name__ == "__main__":
    sys.exit(main())
