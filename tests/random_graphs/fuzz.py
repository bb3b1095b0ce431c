"""Random graphs for as long as there is time: batches of Hypothesis, each with its number as seed, on all cores.

What a batch finds is shrunk by Hypothesis and kept in ``tests/found/``, where `tests/test_random_graphs.py` runs it from then on.
A run goes on after the last batch that is counted in the results.
"""

import argparse
import json
import os
import time
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, Phase, given, seed, settings

from random_graphs import DICE, random_manifest, random_plan
from random_graphs.check import Finding, check_models, check_netlist, check_rtl
from random_graphs.stored import save
from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.families import FAMILIES
from ssm_hdl.gen.plan import Plan
from ssm_hdl.sim.compiler import cache_folder

GRAPHS = 10
"""Graphs of a batch."""

FOUND = Path(__file__).parents[1] / "found"
KINDS = {"difference": "differences", "hang": "hangs", "figure": "figures unequal"}
COUNTS = ("graphs", "shared", "operations", "outputs", "netlists", "refused", *KINDS.values(), "tracebacks")


def one(dice: Random, counts: Counter[str], level: str) -> tuple[Manifest, Plan | None]:
    """Draw a graph and count what it does; raises what it finds, with the graph."""
    manifest = random_manifest(dice)
    plan: Plan | None = None
    try:
        outputs = check_models(manifest)
        if level != "models":
            plan = random_plan(manifest, dice)
            counts["shared"] += plan.share_layers
            outputs += check_rtl(manifest, plan)
            if level == "netlists" and FAMILIES[plan.family.name].synthesis:
                outputs += check_netlist(manifest, plan)
                counts["netlists"] += 1
    except SsmHdlError as error:
        counts["refused"] += 1
        counts[f"refused: {str(error)[:60]}"] += 1
        outputs = 0
    except Exception as error:
        error.graph = manifest, plan  # type: ignore[attr-defined]
        raise
    counts["graphs"] += 1
    counts["operations"] += len(manifest.nodes)
    counts["outputs"] += outputs
    return manifest, plan


def batch(level: str, number: int, shrink: bool = True) -> Counter[str]:
    """The counts of a batch; what it finds is kept."""
    counts, last = Counter[str](), list[Exception]()

    @seed(number)
    @settings(
        max_examples=GRAPHS,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        print_blob=False,
    )
    @given(DICE)
    def graphs(dice: Random) -> None:
        try:
            one(dice, Counter() if last else counts, level)
        except Exception as error:
            last.append(error)
            raise

    try:
        graphs()
    except Exception:
        error = last[-1]
        counts[KINDS[error.kind] if isinstance(error, Finding) else "tracebacks"] += 1
        manifest, plan = getattr(error, "graph", (None, None))
        text = "".join(traceback.format_exception(error)[-4:])
        folder = FOUND / f"{level}-{number}"
        if manifest is not None:
            save(folder, manifest, plan, text)
        print(f"batch {number}, {folder}: {text}", flush=True)
    return counts


def main() -> None:
    """Run batches until the time or the graphs are over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--level", choices=("models", "rtl", "netlists"), default="rtl", help="where the graphs run")
    parser.add_argument("--graphs", type=int, default=2000, help="graphs at most, those of earlier runs included")
    parser.add_argument("--seconds", type=float, default=1e9, help="time after which no batch starts")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="batches at a time")
    parser.add_argument("--results", type=Path, default=Path("results/fuzz.json"))
    asked = parser.parse_args()
    results = json.loads(asked.results.read_text()) if asked.results.exists() else {}
    state = Counter(results.get(asked.level, {}))
    cache_folder().mkdir(parents=True, exist_ok=True)
    end, total = time.monotonic() + asked.seconds, -(-asked.graphs // GRAPHS)
    with ProcessPoolExecutor(asked.jobs) as pool:
        numbers = range(state["batches"], total)
        for start in range(numbers.start, total, asked.jobs):
            if time.monotonic() > end:
                break
            for counts in pool.map(partial(batch, asked.level), numbers[start - numbers.start :][: asked.jobs]):
                state.update(counts, batches=1)
            fields = {name: state[name] for name in ("batches", *COUNTS)}
            fields |= {name: state[name] for name in sorted(state) if name.startswith("refused: ")}
            results[asked.level] = fields
            asked.results.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
