"""Sensitivity: score and memory of a model with one part at another width,
and the rest as in a base recipe."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ssm_hdl.errors import SsmHdlError, UsageError
from ssm_hdl.files import write_atomically
from ssm_hdl.sw.quantize.bench import Bench, Measured, Subject
from ssm_hdl.sw.quantize.parts import PARTS, WIDTHS, width_of, with_widths
from ssm_hdl.sw.quantize.recipe import Recipe
from ssm_hdl.workers import pool

FILE = "sensitivity.json"

MARGIN = 1.0
"""State margin if the base recipe has ``fit``, which would double the time of a run."""

Cell = tuple[str, int]
"""A part and its width."""


@dataclass
class Report:
    """Measured recipes that differ from a base by the width of one part.

    Attributes:
        model: name of the float model.
        dataset: its data set.
        identity: everything that the figures depend on: the checkpoint,
            the numbers of samples and the base recipe.
        float_score: of the float model on the validation samples.
        base: figures of the base recipe.
        cells: figures by part and width, or the reason why the width cannot work.
    """

    model: str
    dataset: str
    identity: Mapping[str, Any]
    float_score: float
    base: Measured
    cells: dict[Cell, Measured | str] = field(default_factory=dict)

    @property
    def recipe(self) -> Recipe:
        """The base recipe."""
        return Recipe.model_validate(self.identity["recipe"])

    @property
    def widths(self) -> list[int]:
        """All widths that were tried."""
        return sorted({width for _, width in self.cells})

    def measured(self, part: str) -> dict[int, Measured]:
        """The valid widths of a part in rising order, the width of the base included."""
        cells = {
            width: cell
            for (name, width), cell in self.cells.items()
            if name == part and isinstance(cell, Measured)
        }
        return dict(sorted((cells | {width_of(self.recipe, part): self.base}).items()))

    def to_json(self) -> dict[str, Any]:
        """The figures for JSON, cells in the order of parts and widths."""
        order = sorted(self.cells, key=lambda cell: (PARTS.index(cell[0]), cell[1]))
        cells = []
        for part, width in order:
            cell = self.cells[part, width]
            cells.append(
                {"part": part, "width": width}
                | ({"error": cell} if isinstance(cell, str) else cell.to_json())
            )
        fields = {"model": self.model, "dataset": self.dataset, "identity": dict(self.identity)}
        return fields | {
            f"float_{self.base.name}": self.float_score,
            "base": self.base.to_json(),
            "cells": cells,
        }

    def save(self, path: Path) -> Path:
        """Write the report, whole or not at all."""
        return write_atomically(path, json.dumps(self.to_json(), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> "Report":
        """Read a report.

        Raises:
            SsmHdlError: no such file, or not a report.
        """
        try:
            fields = json.loads(path.read_text(encoding="utf-8-sig"))
            cells: dict[Cell, Measured | str] = {}
            for cell in fields.pop("cells"):
                key = cell.pop("part"), cell.pop("width")
                cells[key] = cell["error"] if "error" in cell else Measured.from_json(cell)
            base = Measured.from_json(fields.pop("base"))
            report = cls(
                float_score=fields.pop(f"float_{base.name}"), base=base, cells=cells, **fields
            )
            assert report.recipe and report.to_json()
        except OSError as error:
            raise SsmHdlError(
                f"cannot read {path}: {error.strerror}; `ssm-hdl sensitivity` writes it"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
            raise SsmHdlError(
                f"{path} is not a sensitivity report, or damaged: {error}; "
                "remove it and measure again"
            ) from error
        return report


def sensitivity(
    subject: Subject,
    base: Recipe,
    widths: Iterable[int],
    path: Path,
    parts: Sequence[str] | None = None,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Measure every part at every width. The report is written after every cell,
    so a stopped run can go on.

    Args:
        subject: the model and the samples.
        base: widths of all other parts, and the rules.
        widths: to try.
        path: of the report; cells in it are not measured again.
        parts: to try; all parts of the model if left out.
        jobs: processes that work side by side.
        progress: called with the number of cells done since the last call;
            the total is parts times widths.

    Raises:
        SsmHdlError: an invalid part or width, a base recipe that cannot work,
            or a file of other figures at ``path``.
    """
    wanted = [(part, width) for part in parts or subject.parts for width in sorted(set(widths))]
    _check(subject, wanted, jobs)
    if base.state_margin == "fit":
        base = with_widths(base, {}, state_margin=MARGIN)
    identity = subject.identity() | {
        "recipe": base.model_dump(mode="json", exclude={"samples"}, exclude_none=True)
    }
    bench = None
    if path.exists():
        report = Report.load(path)
        _check_same(path, report.identity, identity)
    else:
        bench = Bench(subject)
        measured = bench.measure(base)
        name = bench.checkpoint.metadata.get("name", subject.checkpoint.stem)
        report = Report(name, bench.dataset.name, identity, bench.float_score, measured)
        report.save(path)
    tell = progress or (lambda done: None)
    recipes = {}
    for cell in wanted:
        if cell not in report.cells:
            part, width = cell
            if width == width_of(base, part):  # the base itself, measured already
                report.cells[cell] = report.base
            else:
                try:
                    recipes[cell] = with_widths(base, {part: width})
                    continue
                except SsmHdlError as error:
                    report.cells[cell] = str(error)
        tell(1)
    for cell, outcome in measure_all(subject, recipes, jobs, bench):
        report.cells[cell] = outcome
        report.save(path)
        tell(1)
    report.save(path)
    return report


def _check(subject: Subject, cells: Sequence[Cell], jobs: int) -> None:
    for part, width in cells:
        if part not in subject.parts:
            raise UsageError(
                f"{subject.checkpoint.stem} has no part {part!r}; it has {', '.join(subject.parts)}"
            )
        if width not in WIDTHS:
            raise UsageError(
                f"a width of {width} bits cannot be tried; a sign and a magnitude need 2, "
                f"and {WIDTHS[-1]} is the most"
            )
    if not cells:
        raise UsageError("no widths or no parts to try; give one at least")
    if jobs < 1:
        raise UsageError(f"{jobs} processes do no work; give 1 or more")


def _check_same(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    changed = [
        f"{key} {old.get(key)!r} there and {new[key]!r} now"
        for key in new
        if old.get(key) != new[key]
    ]
    if changed:
        raise SsmHdlError(
            f"{path} holds figures of another run ({'; '.join(changed)}); choose another --out, "
            "or remove the file"
        )


def measure_all(
    subject: Subject, recipes: Mapping[Cell, Recipe], jobs: int, bench: Bench | None = None
) -> Iterator[tuple[Cell, Measured | str]]:
    """Measure recipes; yields their figures, or the reasons why they cannot work, as they are done.

    Args:
        subject: the model and the samples.
        recipes: by cell.
        jobs: processes; more than one are spawned, each with a bench of its own.
        bench: of the subject, if there is one already; it serves a single process.
    """
    if min(jobs, len(recipes)) <= 1:
        if recipes:
            bench = bench or Bench(subject)
            yield from ((cell, _outcome(bench, recipe)) for cell, recipe in recipes.items())
        return
    with pool(min(jobs, len(recipes)), _open, subject) as workers:
        cells = {workers.submit(_work, recipe): cell for cell, recipe in recipes.items()}
        for done in as_completed(cells):
            yield cells[done], done.result()


_benches: list[Bench] = []
"""The only bench of a spawned process; its initializer fills it."""


def _open(subject: Subject) -> None:
    _benches.append(Bench(subject))


def _work(recipe: Recipe) -> Measured | str:
    return _outcome(_benches[0], recipe)


def _outcome(bench: Bench, recipe: Recipe) -> Measured | str:
    try:
        return bench.measure(recipe)
    except SsmHdlError as error:
        return str(error)
