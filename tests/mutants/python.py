"""``make python-mutants``: single changes of the Python of arithmetic, golden model and prices,
run against their tests.

The changes are those of Cosmic Ray: another operator, comparison or number, a negated condition, a
decorator or a loop left out. Its own runner starts an interpreter for every mutant and changes the
file. Here each is a fork with the libraries imported, which compiles the changed text in the
module's place: nothing on the disk changes, and folders may be mapped to packages. A later run goes
on, and looks again at survivors without a reason.
"""

import argparse
import ast
import importlib.machinery
import importlib.util
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

import hypothesis
import pytest
import yaml
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

EQUIVALENT = Path(__file__).with_name("equivalent.yaml")
"""Survivors that change nothing, by module and changed line, with the reason."""

LIBRARIES = ("amaranth.hdl", "amaranth.sim", "highspy", "numpy", "pydantic", "safetensors.numpy")
"""What the tests import, beside the project."""

PYTEST = (
    "-xq",
    "-pno:cacheprovider",
    "-pno:xdist",
    "-Wignore:Module already imported",
    "--hypothesis-seed=0",
)
"""Of Hypothesis, which comes before pytest here, pytest would warn."""

CPU_S, WALL_S = 120, 600
"""Seconds of a processor, and by the clock, after which a mutant has failed."""


@dataclass(frozen=True)
class Group:
    """Modules that the same tests concern.

    Attributes:
        modules: their names.
        tests: arguments of pytest, quick tests first.
        most: mutants that are drawn, of all.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]
    most: int


def golden(*names: str) -> tuple[str, ...]:
    """Modules of the golden model."""
    return tuple(f"ssm_hdl.sim.golden{name and '.'}{name}" for name in names)


GOLDEN = (
    "",
    "add",
    "argmax",
    "dense",
    "embedding",
    "gumbel",
    "hadamard",
    "largest",
    "last",
    "lookup",
    "mean",
    "multiply",
    "norm",
)
GROUPS = {
    "arithmetic": Group(
        ("ssm_hdl.fixed",), ("tests/ssm_hdl/test_fixed.py", "tests/sim/test_golden.py"), 150
    ),
    "golden model": Group(
        golden(*GOLDEN, "pool", "scan", "selective", "slice", "store", "taps"),
        (
            *(
                f"tests/sim/test_{name}.py"
                for name in ("golden", "golden_run", "norm", "dither", "selective")
            ),
            "tests/test_independent.py",
            "--deselect=tests/sim/test_selective.py::test_bits_of_the_netlist",
            "--deselect=tests/sim/test_selective.py::test_the_last_bit_of_a_sum_decides",
        ),
        40,
    ),
    "prices": Group(
        ("ssm_hdl.gen.costs", "ssm_hdl.gen.size.objective"),
        (
            "tests/gen/test_costs.py",
            "tests/gen/test_planner.py",
            (
                "-k=(costs and not small_pipeline) or same_sums or takes_is_that or reserved or "
                "least_hardware or flip_flops"
            ),
        ),
        30,
    ),
}


@dataclass(frozen=True)
class Mutant:
    """A change.

    Attributes:
        module: name of the changed module.
        operator: name of the kind of change.
        occurrence: which of the places in the module where it is possible.
        line: number of the line.
    """

    module: str
    operator: str
    occurrence: int
    line: int

    def survives(self, tests: tuple[str, ...]) -> dict[str, Any]:
        """What is to be said of it if no test fails, and nothing if one does."""
        text = source(self.module)
        changed = mutate_code(text, get_operator(self.operator)(), self.occurrence) or ""
        if found(self.module, changed, tests):
            return {}
        before, after = (version.splitlines()[self.line - 1].strip() for version in (text, changed))
        return {"mutant": asdict(self), "before": before, "after": after}


def source(module: str) -> str:
    """The text of a module, without importing it."""
    root = Path(str(importlib.util.find_spec("ssm_hdl").origin)).parents[1]  # type: ignore[union-attr]
    path = root / module.replace(".", "/")
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(
        encoding="utf-8"
    )


def mutants_of(module: str) -> Iterator[Mutant]:
    """Every change of a module, but those of types."""
    text = source(module)
    types = {place for node in annotations(text) for place in places(node)}
    nodes = list(ast_nodes(get_ast(text)))
    for name in operator_names():
        operator = get_operator(name)
        if not operator.arguments():
            spots = [start for node in nodes for start, _ in operator().mutation_positions(node)]
            yield from (
                Mutant(module, name, index, spot[0])
                for index, spot in enumerate(spots)
                if spot not in types
            )


def annotations(text: str) -> Iterator[ast.expr]:
    """The types in a module."""
    for node in ast.walk(ast.parse(text)):
        yield from (
            each
            for name in ("annotation", "returns")
            if isinstance(each := getattr(node, name, None), ast.expr)
        )


def places(node: ast.expr) -> Iterator[tuple[int, int]]:
    """Lines and columns of a type, which is in one line."""
    yield from (
        (node.lineno, column) for column in range(node.col_offset, node.end_col_offset or 0)
    )


def found(module: str, text: str, tests: tuple[str, ...]) -> bool:
    """Whether a test fails, or none ends in time."""
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        compiled = importlib.machinery.SourceFileLoader.get_code

        def get_code(self: importlib.machinery.SourceFileLoader, name: str) -> object:
            return compile(text, self.path, "exec") if name == module else compiled(self, name)

        importlib.machinery.SourceFileLoader.get_code = get_code  # type: ignore[method-assign,assignment]
        os._exit(pytest.main([*PYTEST, *tests]))
    end = time.monotonic() + WALL_S
    while not (done := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.killpg(child, 9)
        time.sleep(0.05)
    return done[1] != 0


def main() -> None:
    """Draw mutants of every group, run its tests, and write what survived."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--group", choices=GROUPS, action="append", help="of these groups only")
    parser.add_argument("--seed", type=int, default=1, help="chooses the mutants")
    given = parser.parse_args()
    for name in LIBRARIES:
        importlib.import_module(name)
    hypothesis.settings.register_profile("mutants", database=None, derandomize=True)
    hypothesis.settings.load_profile("mutants")
    rows = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else {}
    reasons = yaml.safe_load(EQUIVALENT.read_text(encoding="utf-8"))
    for name in given.group or GROUPS:
        group = GROUPS[name]
        assert not found("", "", group.tests), f"tests of {name} fail without a change"
        every = [mutant for module in group.modules for mutant in mutants_of(module)]
        Random(given.seed).shuffle(every)
        row = rows.setdefault(name, {"drawn": 0, "survivors": []})
        known = {
            mutant: each
            for each in row["survivors"]
            if (mutant := Mutant(**each["mutant"])) and not each["equivalent"]
        }
        for mutant in [*known, *every[row["drawn"] : group.most]]:
            row["drawn"] += mutant not in known
            row["survivors"] = [each for each in row["survivors"] if each is not known.get(mutant)]
            if survivor := mutant.survives(group.tests):
                row["survivors"].append(
                    survivor
                    | {"equivalent": reasons.get(mutant.module, {}).get(survivor["after"], "")}
                )
            row["killed"] = row["drawn"] - len(row["survivors"])
            print(f"{name}: {row['drawn']} drawn, {len(row['survivors'])} survive", file=sys.stderr)
            given.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
