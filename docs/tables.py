"""Tables in README.md and docs/: of results, from results/*.json, and of what the code lists.

``python docs/tables.py`` writes them between their marks. With ``--check``,
exit status 1 says that a page is stale.
"""

import re
import sys

from result_tables import ROOT, checks, estimates, models, pipelines

TABLES = {
    "digest": pipelines.digest,
    "floats": models.floats,
    "equality": checks.equality,
    "errors": estimates.errors,
    "har": models.har,
    "ablation": models.ablation,
    "seeds": models.seeds,
    "latching": models.latching,
    "built": pipelines.built,
    "mambas": pipelines.mambas,
    "accuracy": models.accuracy,
    "headlines": models.headlines,
    "memory": models.memory,
    "hardware": pipelines.hardware,
    "shared": pipelines.shared,
    "speed": pipelines.speed,
    "size": pipelines.size,
    "limit": pipelines.limit,
    "largest": pipelines.largest,
    "estimates": estimates.estimates,
    "stages": estimates.stages,
    "bitstreams": pipelines.bitstreams,
    "proofs": checks.proofs,
    "mutants": checks.mutants,
    "python_mutants": checks.python_mutants,
    "fuzz": checks.fuzz,
    "soak": checks.soak,
    "soak_shell": checks.soak_shell,
    "presets": models.presets,
}
"""By the name in their mark."""


def filled(page: str) -> str:
    """A page with its tables."""
    return re.sub(
        r"(<!-- results: (\w+) -->\n).*?(<!-- end -->)",
        lambda mark: mark[1] + TABLES[mark[2]]() + mark[3],
        page,
        flags=re.DOTALL,
    )


def main() -> int:
    """Write or check every page."""
    stale = []
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        page = path.read_text(encoding="utf-8")
        if (text := filled(page)) != page:
            stale.append(path.relative_to(ROOT))
            if "--check" not in sys.argv:
                path.write_text(text, encoding="utf-8")
    print(
        *(f"{path}: {'stale' if '--check' in sys.argv else 'written'}" for path in stale), sep="\n"
    )
    return int("--check" in sys.argv and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
