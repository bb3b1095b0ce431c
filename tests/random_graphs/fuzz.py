"""Random graphs for as long as there is time: batches of Hypothesis, each with its number as seed,
on all cores.

What a batch finds is shrunk by Hypothesis and kept in ``tests/found/``, where
`tests/test_random_graphs.py` runs it from then on. A run goes on after the last batch that is
counted in the results. Runs of other levels may go on at the same time.
"""

import argparse
import atexit
import fcntl
import os
import time
import traceback
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, Phase, given, seed, settings

from random_graphs import DICE, random_manifest, random_plan
from random_graphs.check import Finding, check_models, check_netlist, check_rtl
from random_graphs.stored import save
from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.ending import ending
from ssm_hdl.families import FAMILIES
from ssm_hdl.files import read_json, scratch, update_json
from ssm_hdl.gen.plan import Plan
from ssm_hdl.sim.compiler import cache_folder
from ssm_hdl.workers import pool

GRAPHS = 10
"""Graphs of a batch."""

MOST = {"models": (30,), "rtl": (6, 12, 12, 30), "netlists": (4, 6, 12)}
"""Operations of a graph at the most, each as likely:
the time that a graph takes in hardware grows with them."""

SYNTHESISED = sorted(name for name, family in FAMILIES.items() if family.synthesis)
FOUND = Path(__file__).parents[1] / "found"
KINDS = {"difference": "differences", "hang": "hangs", "figure": "figures unequal"}
COUNTS = (
    "graphs",
    "shared",
    "operations",
    "outputs",
    "netlists",
    "refused",
    *KINDS.values(),
    "tracebacks",
)
NAMED = ("netlists: ", "refused: ")
"""Beginnings of counts that are there if they are not 0."""


def one(dice: Random, counts: Counter[str], level: str) -> tuple[Manifest, Plan | None]:
    """Draw a graph and count what it does; raises what it finds, with the graph."""
    manifest = random_manifest(dice, dice.choice(MOST[level]))
    plan: Plan | None = None
    try:
        outputs = check_models(manifest)
        if level != "models":
            plan = random_plan(manifest, dice)
            if level == "netlists" and plan.family.name not in SYNTHESISED:
                plan = random_plan(manifest, dice, family=dice.choice(SYNTHESISED))
            outputs += check_rtl(manifest, plan, own_cache())
            if level == "netlists":
                outputs += check_netlist(manifest, plan, own_cache())
                counts.update(["netlists", f"netlists: {plan.family.name}"])
            counts["shared"] += plan.share_layers
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


@cache
def own_cache() -> Path:
    """Where this process compiles: two could remove what both have compiled.
    A killed one's folder goes when the next begins."""
    folder = ExitStack()
    atexit.register(folder.close)
    return folder.enter_context(scratch(cache_folder()))


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
    parser.add_argument(
        "--level", choices=("models", "rtl", "netlists"), default="rtl", help="where the graphs run"
    )
    parser.add_argument(
        "--graphs", type=int, default=2000, help="graphs at most, those of earlier runs included"
    )
    parser.add_argument(
        "--seconds", type=float, default=1e9, help="time after which no batch starts"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="batches at a time")
    parser.add_argument("--results", type=Path, default=Path("results/fuzz.json"))
    asked = parser.parse_args()
    state = Counter(read_json(asked.results).get(asked.level, {}))
    end, numbers = (
        time.monotonic() + asked.seconds,
        range(state["batches"], -(-asked.graphs // GRAPHS)),
    )
    with ending(), pool(asked.jobs) as workers:
        for counts in workers.map(partial(batch, asked.level), numbers):
            state.update(counts, batches=1)
            fields = {name: state[name] for name in ("batches", *COUNTS)}
            fields |= {name: state[name] for name in sorted(state) if name.startswith(NAMED)}
            record(asked.results, {asked.level: fields})
            if time.monotonic() > end:
                workers.shutdown(cancel_futures=True)
                break


def record(path: Path, rows: Mapping[str, object]) -> None:
    """Write rows into the results, where other levels have theirs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        update_json(path, rows)
    finally:
        os.close(folder)


if __name__ == "__main__":
    main()
