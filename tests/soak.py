"""``make soak``: the RTL of every committed manifest against the golden model, with stalls,
lengths and resets at random.

A run goes on where the results end. Each round takes a manifest that has the fewest cycles so far,
and is drawn from its number.
"""

import argparse
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.sim.compare import judge
from ssm_hdl.sim.verilated import VerilatedModel

CYCLES = 1 << 22
"""Of a round, about."""

BATCH = 4
"""Sequences of a run; the longest has all steps of the manifest,
or what fits into the cycles of a round."""


def compiled(manifest: Manifest) -> VerilatedModel:
    """The pipeline of a manifest, on as few DSP blocks as it can do with."""
    for blocks in (8, 28, 156):
        try:
            return VerilatedModel(manifest, plan_for(manifest, dsp=blocks).plan)
        except SsmHdlError as error:
            refusal = error
    raise refusal


def soaked(manifest: Manifest, model: VerilatedModel, number: int) -> Counter[str]:
    """Counts of a round: runs of random lengths, stalled,
    some of them after a reset in their middle."""
    dice, counts = np.random.default_rng(number), Counter[str]()
    edge, most, interval = manifest.input, manifest.steps, 1000.0
    while counts["cycles"] < CYCLES:
        fits = int((CYCLES - counts["cycles"]) / interval / BATCH)
        steps = int(dice.integers(1, max(1, min(most, fits)) + 1))
        samples = dice.integers(edge.format.min, edge.format.max + 1, (BATCH, steps, edge.size))
        stalls, reset = float(dice.choice([0, 0.1, 0.5, 0.9])), bool(dice.random() < 0.5)
        after = int(dice.integers(1, max(2, int(steps * BATCH * interval)))) if reset else None
        run = model.run(samples, stalls=stalls, seed=int(dice.integers(1 << 31)), reset_after=after)
        interval = max(1.0, run.cycles / (steps * BATCH))
        compared = judge(manifest, samples, [run])
        counts.update(
            cycles=run.cycles, sequences=BATCH, elements=compared.elements, resets=int(reset)
        )
        counts["differences"] += compared.differences
    return counts


def main() -> None:
    """Run rounds until there are as many cycles as asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--cycles", type=float, default=1e9, help="of all manifests together, earlier runs included"
    )
    parser.add_argument(
        "--seconds", type=float, default=1e9, help="time after which no round starts"
    )
    asked = parser.parse_args()
    rows = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.exists() else {}
    names, end = (
        sorted(path.parent.name for path in Path("manifests").glob("*/manifest.yaml")),
        time.monotonic() + asked.seconds,
    )
    counts = {name: Counter[str](rows.get(name, {})) for name in names}
    models = dict[str, VerilatedModel]()
    while (
        done := sum(each["cycles"] for each in counts.values())
    ) < asked.cycles and time.monotonic() < end:
        name = min(names, key=lambda each: counts[each]["cycles"])
        manifest = Manifest.load(Path("manifests") / name)
        models[name] = models.get(name) or compiled(manifest)
        counts[name].update(soaked(manifest, models[name], counts[name]["rounds"]), rounds=1)
        rows = {each: dict(count) for each, count in counts.items() if count}
        asked.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
        print(
            f"{name}: {counts[name]['cycles']:,} cycles, "
            f"differences {counts[name]['differences']}; {done:,} of all",
            flush=True,
        )


if __name__ == "__main__":
    main()
