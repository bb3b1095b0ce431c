"""``make mutants``: faults in the Verilog of small models, run against what ``ssm-hdl simulate`` does; as JSON.

A mutant is killed if ``simulate`` with its defaults fails. Of the survivors, some give the same bits in other cycles (`timing`),
some are proved to be equal in every cycle (`equivalent`), and the others are listed: each is a hole, or not known to be one.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from mutants.equal import proved_equal
from mutants.faults import NUMBER, with_faults
from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.fixed import Codes
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate
from ssm_hdl.sim.compare import judge, stress
from ssm_hdl.sim.compiler import Design
from ssm_hdl.sim.verilated import Run, VerilatedModel
from ssm_hdl.sw.cli.samples import samples_of

GATES, BITS = 160, 30
"""Faults in each model."""

LINT = "lint_off -rule UNOPTFLAT\n"
"""A fault may make one bit of a wire depend on another one, which looks like a loop."""

PATIENCE = 1 << 14
"""Cycles without a transfer after which a mutant is stuck; its longest pause has a fraction of them."""


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


def faults_of(manifest: Manifest, gates: int, bits: int) -> dict[str, object]:
    """Counts of verdicts, and the survivors."""
    began, verilog = time.monotonic(), generate(manifest, plan_for(manifest).plan)
    samples = samples_of(manifest, "random", None, None).codes
    counts, rest = Counter[str](), list[str]()
    with tempfile.TemporaryDirectory() as name:
        faulty = with_faults(verilog, manifest.name, gates, bits, Path(name))
        os.environ[NUMBER] = "0"
        model = Impatient(manifest, design=Design(faulty.verilog, manifest.name, lint=LINT, optimise=1), cache=Path(name))
        sound = verdict(manifest, model, samples, None)
        assert sound == "survived", sound
        cycles = model.times
        for number, fault in enumerate(faulty.faults, 1):
            os.environ[NUMBER] = str(number)
            found = verdict(manifest, model, samples, cycles)
            if found == "survived" and number <= faulty.gates and proved_equal(verilog, manifest.name, fault, Path(name)):
                found = "equivalent"
            counts[found] += 1
            rest += [fault.partition(" -src ")[0]] if found == "survived" else []
            print(f"{manifest.name} {number}/{len(faulty.faults)}, {time.monotonic() - began:.0f} s: {found}", file=sys.stderr)
    return {"faults": len(faulty.faults), **dict(sorted(counts.items())), "not known": rest}


def main() -> None:
    """Count the verdicts of every manifest, and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("manifests", nargs="+", type=Path)
    parser.add_argument("--gates", type=int, default=GATES)
    parser.add_argument("--bits", type=int, default=BITS)
    given = parser.parse_args()
    rows = {path.name: faults_of(Manifest.load(path), given.gates, given.bits) for path in given.manifests}
    given.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
