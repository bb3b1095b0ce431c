"""The start of a search for mixed precision: its space, and recipes that are good guesses."""

from collections.abc import Iterable, Mapping
from dataclasses import astuple
from itertools import pairwise
from typing import Any

from ssm_hdl.sw.quantize.bench import Measured
from ssm_hdl.sw.quantize.sensitivity import Report

Params = Mapping[str, Any]
"""Widths by part."""

Space = Mapping[str, tuple[int, int]]
"""Fewest and most bits by part."""

_WIDEST = {"weights": 8, "activations": 10, "transition": 10, "state": 12}

UNIFORM = ((8, 8, 8, 8), (6, 8, 8, 8), (4, 6, 8, 8), (4, 6, 6, 6), (3, 6, 6, 6), (2, 4, 4, 6))
"""Bits of weights, activations, transition and state of recipes to start from;
some are from the S4D paper."""

TARGETS = (1.15, 1.05, 1.0, 0.95, 0.9, 0.8)
"""Memory of the recipes that a sensitivity report suggests, relative to the budget."""


def space_of(parts: Iterable[str]) -> Space:
    """The search space of the parts of a model. Biases,
    pool and output are small and stay as in the base."""
    return {
        part: (2, _WIDEST[kind]) for part in parts if (kind := part.partition(".")[0]) in _WIDEST
    }


def starts(
    space: Space, budget: float, attribute: str, report: Report | None = None
) -> list[dict[str, Any]]:
    """Parameters of the first trials.

    Args:
        space: the search space.
        budget: bytes.
        attribute: of `Measured`, for the accounting of the budget.
        report: the sensitivity of the model, if known.
    """
    points = []
    for widths in UNIFORM:
        by_kind = dict(zip(_WIDEST, widths, strict=True))
        points.append({part: by_kind[part.partition(".")[0]] for part in space})
    if report is not None:
        points += [allocate(space, report, attribute, target * budget) for target in TARGETS]
    return points


def allocate(space: Space, report: Report, attribute: str, target: float) -> dict[str, int]:
    """Widths that add least noise to the logits for ``target`` bytes,
    if noise and memory of the parts simply add up.

    It is greedy. All parts start at their widest. The part whose lower width adds least noise per
    byte saved is narrowed, until the target is met.
    """
    tried = {
        part: {w: m for w, m in report.measured(part).items() if w <= space[part][1]}
        for part in space
    }
    tried = {
        part: _every_width(cells or {space[part][1]: report.base}) for part, cells in tried.items()
    }
    widths = {part: max(cells) for part, cells in tried.items()}

    def bytes_(measured: Measured) -> float:
        return float(getattr(measured, attribute))

    memory = bytes_(report.base) + sum(
        bytes_(tried[p][w]) - bytes_(report.base) for p, w in widths.items()
    )
    while memory > target:
        best: tuple[float, str, int] | None = None
        for part, width in widths.items():
            for lower in (w for w in tried[part] if w < width):
                saved = bytes_(tried[part][width]) - bytes_(tried[part][lower])
                noise = _noise(tried[part][lower]) - _noise(tried[part][width])
                if saved > 0 and (best is None or noise / saved < best[0]):
                    best = noise / saved, part, lower
        if best is None:
            break
        _, part, lower = best
        memory -= bytes_(tried[part][widths[part]]) - bytes_(tried[part][lower])
        widths[part] = lower
    return widths


def _every_width(cells: Mapping[int, Measured]) -> dict[int, Measured]:
    """Fill in the widths between the measured ones, linear in decibels and bytes."""
    every = dict(cells)
    for low, high in pairwise(sorted(cells)):
        for width in range(low + 1, high):
            p = (width - low) / (high - low)
            pairs = zip(astuple(cells[low])[:-1], astuple(cells[high])[:-1], strict=True)
            every[width] = Measured(*((1 - p) * a + p * b for a, b in pairs))
    return every


def _noise(measured: Measured) -> float:
    """Noise of the logits, relative to their power."""
    return float(10 ** (-measured.sqnr_db / 10))
