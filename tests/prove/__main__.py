"""``make prove``: every component, property by property, and faults in it that a property has
to find; as JSON."""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from prove.cases import LARGE, SMALL
from prove.checker import Verdict, mutants, prove

MUTANTS = 12
"""Faults in each of the small components."""


def said(verdict: Verdict) -> str:
    """A verdict in words."""
    if verdict.proved:
        return "proved"
    return (
        f"fails in cycle {verdict.depth}" if verdict.failed else f"holds for {verdict.depth} cycles"
    )


def answer(name: str) -> dict[str, object]:
    """What is known of a component."""
    found = prove((SMALL | LARGE)[name]())
    row: dict[str, object] = {each: said(verdict) for each, verdict in found.items()}
    row["seconds"] = round(sum(verdict.seconds for verdict in found.values()), 1)
    if name in SMALL:
        faults = mutants(SMALL[name](), MUTANTS)
        row["mutants"] = {
            "found": sum(verdict.failed for verdict in faults.values()),
            "harmless": sum(verdict.proved for verdict in faults.values()),
            "unknown": [
                fault
                for fault, verdict in faults.items()
                if not verdict.failed and not verdict.proved
            ],
        }
    print(name, row, file=sys.stderr, flush=True)
    return row


def main() -> None:
    """Prove all, and write a file; exit status 1 if a property fails."""
    names = [*SMALL, *LARGE]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = dict(zip(names, pool.map(answer, names), strict=True))
    Path(sys.argv[1]).write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    sys.exit(any(str(value).startswith("fails") for row in rows.values() for value in row.values()))


if __name__ == "__main__":
    main()
