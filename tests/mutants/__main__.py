"""``make mutants``: faults in the Verilog of small models,
run against what ``ssm-hdl simulate`` does; as JSON.

A mutant is killed if ``simulate`` with its defaults fails. Of the survivors, some give the same
bits in other cycles (`timing`), some are proved to be equal in every cycle (`equivalent`),
some are found by `TESTED`, and the others are listed: each is a hole, or not known to be one.
A later run looks at these only.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mutants.equal import proved_equal
from mutants.faults import NUMBER, joined, with_faults
from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.fixed import Codes
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate
from ssm_hdl.sim.compare import judge
from ssm_hdl.sim.compiler import Design
from ssm_hdl.sim.linked import with_links
from ssm_hdl.sim.runs import Run
from ssm_hdl.sim.stress import stress
from ssm_hdl.sim.verilated import VerilatedModel
from ssm_hdl.sw.cli.samples import samples_of

GATES, BITS = 160, 30
"""Faults in each model."""

LINT = "lint_off -rule UNOPTFLAT\n"
"""A fault may make one bit of a wire depend on another one, which looks like a loop."""

PATIENCE = 1 << 16
"""Cycles without a transfer after which a mutant is stuck;
its longest pause has a fraction of them."""

TESTED = {
    "-mode const1 .*-wire pipeline.scan.addend -wirebit 0 ": "tests/sim/test_selective.py::"
    "test_the_last_bit_of_a_sum_decides",
}
"""Faults that one sample of a million shows, and the tests that find them in a smaller design."""


Row = dict[str, Any]
"""What is known of a model."""


class Impatient(VerilatedModel):
    """A pipeline that is soon given up, and that notes the cycles of all its runs."""

    def run(self, samples: Codes, *arguments: object, **options: object) -> Run:
        """As of the base class."""
        run = super().run(samples, *arguments, **options | {"patience": PATIENCE})  # type: ignore[arg-type]
        self.times += [*run.i_cycles.ravel(), *run.o_cycles.ravel()]
        return run


def verdict(manifest: Manifest, model: Impatient, samples: Codes, cycles: list[int] | None) -> str:
    """What ``simulate`` says of the fault that acts; ``cycles`` are those of the sound design."""
    model.times = []
    try:
        if stress(manifest, model, samples).differences:
            return "killed under stress"
        run = model.run(samples)
    except SsmHdlError:
        return "killed by the protocol"
    if judge(manifest, samples, [run]).differences:
        return "killed by samples"
    return "survived" if cycles is None or model.times == cycles else "timing"


def faults_of(manifest: Manifest, gates: int, bits: int, known: Row) -> Iterator[Row]:
    """Counts of verdicts, and the survivors; after each fault that was not known."""
    began, plan = time.monotonic(), plan_for(manifest).plan
    verilog = generate(manifest, plan)
    linked, masks = with_links(verilog, manifest, plan)
    samples = samples_of(manifest, "random", None, None).codes
    with tempfile.TemporaryDirectory() as name:
        faulty = with_faults(verilog, manifest.name, gates, bits, Path(name))
        names = [fault.partition(" -src ")[0] for fault in faulty.faults]
        rest = known.get("not known", names)
        if known.get("faults") != len(names) or not set(rest) <= set(names):
            known, rest = {}, names  # of another design
        counts = Counter(
            {
                verdict: count
                for verdict, count in known.items()
                if verdict not in ("faults", "survived", "not known")
            }
        )
        os.environ[NUMBER] = "0"
        stages = joined(faulty.verilog, linked, manifest.name)
        design = Design(stages, manifest.name, lint=LINT, masks=masks)
        model = Impatient(manifest, design=design, cache=Path(name))
        sound = verdict(manifest, model, samples, None)
        assert sound == "survived", sound
        cycles, survivors = model.times, list(rest)
        for number, fault in enumerate(faulty.faults, 1):
            if names[number - 1] not in rest:
                continue
            os.environ[NUMBER] = str(number)
            found = verdict(manifest, model, samples, cycles)
            if (
                found == "survived"
                and number <= faulty.gates
                and _proved(manifest, plan, verilog, fault, Path(name))
            ):
                found = "equivalent"
            if found == "survived" and any(re.search(tested, fault) for tested in TESTED):
                found = "killed by a test of its own"
            if found != "survived":
                counts[found] += 1
                survivors.remove(names[number - 1])
            print(
                f"{manifest.name} {number}/{len(names)}, {time.monotonic() - began:.0f} s: {found}",
                file=sys.stderr,
            )
            yield {
                "faults": len(names),
                **dict(sorted(counts.items())),
                "survived": len(survivors),
                "not known": list(survivors),
            }


def _proved(manifest: Manifest, plan: Plan, verilog: str, fault: str, folder: Path) -> bool:
    """As `proved_equal`; False also where Yosys does not read the stages in time."""
    try:
        return proved_equal(manifest, plan, verilog, fault, folder)
    except SsmHdlError as error:
        if "stopped after" not in str(error):
            raise
        return False


def main() -> None:
    """Count the verdicts of every manifest, and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("--gates", type=int, default=GATES)
    parser.add_argument("--bits", type=int, default=BITS)
    given = parser.parse_args()
    rows = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else {}
    for path in given.manifests:
        for row in faults_of(Manifest.load(path), given.gates, given.bits, rows.get(path.name, {})):
            rows[path.name] = row
            given.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
