"""Plots of studies: heat maps of sensitivity, and the Pareto front of score and memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from ssm_hdl.sw.figures import ACCENT, FAINT, INK, plain, save
from ssm_hdl.sw.quantize.bench import Measured
from ssm_hdl.sw.quantize.parts import PARTS, width_of
from ssm_hdl.sw.quantize.sensitivity import Report
from ssm_hdl.sw.score import TITLES, loss_unit, score_text

if TYPE_CHECKING:
    from ssm_hdl.sw.quantize.search import Outcome
    from ssm_hdl.sw.quantize.study import Trial

LOST: Colormap = LinearSegmentedColormap.from_list(
    "lost", ["#f5f7fa", "#e8c07d", "#b4483f", "#4a1c2a"]
)
RATIO: Colormap = LinearSegmentedColormap.from_list(
    "ratio", ["#4a1c2a", "#b4483f", "#e8c07d", "#dfe9e4", "#2f6690"]
)

MAX_LOST = 0.2
"""Share of the score lost at the end of the colour scale."""


def heat_map(report: Report, path: Path) -> Path:
    """The loss of score and SQNR of the logits, part by width; a frame marks the base recipe,
    a dash what cannot work."""
    parts = [part for part in PARTS if any(name == part for name, _ in report.cells)]
    title, factor, digits = loss_unit(report.base.name)
    loss, ratio = np.full((2, len(parts), len(report.widths)), np.nan)
    for (part, width), cell in report.cells.items():
        if isinstance(cell, Measured):
            at = parts.index(part), report.widths.index(width)
            loss[at], ratio[at] = factor * (report.base.score - cell.score), cell.sqnr_db
    height = 1.5 + 0.3 * len(parts)
    figure = Figure(figsize=(2.6 + 1.16 * len(report.widths), height), layout="constrained")
    lost_axes, ratio_axes = figure.subplots(1, 2, sharey=True)
    _map(lost_axes, loss, title, LOST, (0, factor * MAX_LOST), digits)
    _map(
        ratio_axes,
        ratio,
        "SQNR of the logits, dB",
        RATIO,
        (0, max(20.0, float(np.nanmax(ratio)))),
        "z.1f",
    )
    for ax in (lost_axes, ratio_axes):
        ax.set_xticks(range(len(report.widths)), [str(width) for width in report.widths])
        ax.set_xlabel("bits", color=INK)
        for row, part in enumerate(parts):
            if (width := width_of(report.recipe, part)) in report.widths:
                column = report.widths.index(width)
                ax.add_patch(_frame(column, row))
    lost_axes.set_yticks(range(len(parts)), parts)
    images = report.identity["images"]
    figure.suptitle(
        f"{report.model}: one part at a time, the rest as in {report.recipe.name} "
        f"({report.base.shown}, {report.base.sqnr_db:.1f} dB; "
        f"float {score_text(report.base.name, report.float_score)}); {images} validation samples",
        size=9.5, color=INK,
    )  # fmt: skip
    return save(figure, path)


def score_memory(result: "Outcome", path: Path) -> Path:
    """Plot all trials of a search, the front, the budget and the chosen trial."""
    task, chosen, name = result.task, result.finalists[0][0], result.task.subject.score
    unit = loss_unit(name)[1]
    unquantized = unit * result.float_score
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    ax = figure.subplots()

    def place(trials: "Sequence[Trial]") -> tuple[list[float], list[float]]:
        return (
            [task.bytes_of(t.measured) / 1e3 for t in trials],
            [unit * t.measured.score for t in trials],
        )

    ax.scatter(
        *place(result.trials),
        s=14,
        color=FAINT,
        alpha=0.35,
        lw=0,
        label=f"{len(result.trials)} trials",
    )
    ax.plot(
        *place(result.front),
        color=RATIO(1.0),
        marker="o",
        ms=4,
        lw=1.2,
        drawstyle="steps-post",
        label="front",
    )
    ax.scatter(
        *place([chosen]),
        s=130,
        marker="*",
        color=ACCENT,
        zorder=5,
        label="chosen, by all validation samples",
    )
    ax.axvline(task.budget / 1e3, color=ACCENT, lw=1, ls="--")
    ax.axhline(unquantized, color=INK, lw=0.8, ls=":")
    ax.text(
        0.995,
        unquantized,
        "float",
        size=8,
        color=INK,
        ha="right",
        va="bottom",
        transform=ax.get_yaxis_transform(),
    )
    ax.text(
        task.budget / 1e3, 0.02, " budget", size=8, color=ACCENT, transform=ax.get_xaxis_transform()
    )
    # Trials far below the chosen one would flatten the front.
    inside = [
        unquantized,
        *(
            y
            for y in place([chosen, *result.trials])[1]
            if y > min(unit / 2, *place([chosen])[1]) - unit / 100
        ),
    ]
    ax.set_ylim(min(inside) - unit / 100, max(inside) + unit / 100)
    counted = "the paper's count" if task.accounting == "paper" else "every bit in hardware"
    ax.set_xlabel(f"memory, kB ({counted})", color=INK)
    ax.set_ylabel(
        f"{TITLES[name]} on {task.subject.images} validation samples{', %' * (unit == 100)}",
        color=INK,
    )
    plain(ax)
    ax.tick_params(labelsize=8, labelcolor=INK)
    ax.legend(fontsize=8, frameon=False, loc="lower right")
    return save(figure, path)


def _map(
    ax: Axes,
    values: NDArray[np.float64],
    title: str,
    colours: Colormap,
    limits: tuple[float, float],
    digits: str,
) -> None:
    ax.imshow(np.clip(values, *limits), cmap=colours, vmin=limits[0], vmax=limits[1], aspect="auto")
    ax.set_title(title, size=9, color=INK)
    ax.tick_params(length=0, labelsize=8, labelcolor=INK)
    for (row, column), value in np.ndenumerate(values):
        if np.isnan(value):
            ax.text(column, row, "–", ha="center", va="center", size=7.5, color=FAINT)
            continue
        red, green, blue, _ = colours(
            (np.clip(value, *limits) - limits[0]) / (limits[1] - limits[0])
        )
        # White text on dark colours; the factors are roughly the eye's sensitivity.
        ink = "white" if 0.3 * red + 0.6 * green + 0.1 * blue < 0.55 else INK
        ax.text(column, row, f"{value:{digits}}", ha="center", va="center", size=7.5, color=ink)
    ax.spines[:].set_visible(False)


def _frame(column: int, row: int) -> Rectangle:
    return Rectangle((column - 0.47, row - 0.45), 0.94, 0.9, fill=False, ec=INK, lw=1.1)
