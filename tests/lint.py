"""``make lint-verilog``: ``verilator --lint-only -Wall`` of every committed manifest,
on each family and on each bus.

A run goes on where the results end.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.families import FAMILIES, unlimited
from ssm_hdl.families.base import Family
from ssm_hdl.files import update_json
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate
from ssm_hdl.sim.cells import with_cells
from ssm_hdl.sim.compiler import Design
from ssm_hdl.sim.tools import verilator_environment


def lint(text: str, name: str, family: Family, folder: Path) -> str:
    """What Verilator says of a module beside the models of its cells, of which nothing is asked."""
    sources = with_cells(Design(text, name), family).sources
    (folder / "design.v").write_text(text)
    (folder / "cells.vlt").write_text(
        "`verilator_config\nlint_off -rule TIMESCALEMOD\nlint_off -rule SPECIFYIGN\nlint_off "
        "-rule MODDUP\n" + "".join(f'lint_off -file "*/{path.name}"\n' for path in sources)
    )
    command = [
        "verilator",
        "--lint-only",
        "-Wall",
        "--top-module",
        name,
        "cells.vlt",
        "design.v",
        *map(str, sources),
    ]
    return subprocess.run(
        command,
        cwd=folder,
        env=verilator_environment(),
        capture_output=True,
        text=True,
        check=False,
    ).stderr


RUNS = ("generic/axi-stream", "generic/spi", "ice40/streams", "ecp5/wishbone", "gowin/lite")
"""Family and bus. A pipeline is the same on every bus, so each family and each bus stands once."""


def plan(manifest: Manifest, family: Family) -> Plan:
    """A plan on as few DSP blocks as it can do with."""
    for blocks in (8, 28, 156):
        try:
            return plan_for(manifest, unlimited(family), dsp=blocks).plan
        except SsmHdlError as error:
            refusal = error
    raise refusal


def warnings(manifest: Manifest, missing: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """The warnings of each run."""
    plans = dict[str, Plan]()
    for run in missing:
        family, bus = run.split("/")
        plans[family] = plans.get(family) or plan(manifest, FAMILIES[family])
        text = generate(manifest, plans[family], wrap=bus.removeprefix("streams"))
        with tempfile.TemporaryDirectory() as folder:
            said = lint(text, manifest.name, FAMILIES[family], Path(folder))
        yield run, [line for line in said.splitlines() if line.startswith("%")]


def main() -> None:
    """Lint what the results do not have."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    known = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    for path in sorted(Path("manifests").glob("*/manifest.yaml")):
        name, began = path.parent.name, time.monotonic()
        for run, lines in warnings(
            Manifest.load(path), [run for run in RUNS if f"{name}/{run}" not in known]
        ):
            print(
                f"{name}/{run}: {len(lines)} warnings, {time.monotonic() - began:.0f} s",
                *lines[:3],
                sep="\n  ",
                flush=True,
            )
            family, bus = run.split("/")
            row = {"manifest": name, "family": family, "wrapper": bus, "warnings": len(lines)}
            known[f"{name}/{run}"] = row
            update_json(out, {f"{name}/{run}": row})
    sys.exit(any(row["warnings"] for row in known.values()))


if __name__ == "__main__":
    main()
