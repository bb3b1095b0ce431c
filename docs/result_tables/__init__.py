"""Rows of results as tables of Markdown."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
Row = Iterable[str]


def results(name: str) -> Any:
    """A file of results."""
    return json.loads((ROOT / "results" / f"{name}.json").read_text(encoding="utf-8"))


def percent(share: float | None, digits: int = 2) -> str:
    """A share of one, or a dash."""
    return "-" if share is None else f"{100 * share:.{digits}f}"


def count(number: float | None) -> str:
    """A number with commas, or a dash."""
    return "-" if number is None else f"{number:,.0f}"


def table(*header: str) -> Callable[[Callable[[], Iterable[Row]]], Callable[[], str]]:
    """A function that yields rows becomes one that returns Markdown."""

    def decorate(rows: Callable[[], Iterable[Row]]) -> Callable[[], str]:
        def text() -> str:
            return "".join(
                f"| {' | '.join(row)} |\n" for row in (header, ["---"] * len(header), *rows())
            )

        return text

    return decorate
