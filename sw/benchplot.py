"""The plot of the benchmark: the share of the limit by model and device, and throughput against multipliers."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ssm_hdl.sw.figures import ACCENT, FAINT, INK, plain, save


def draw(answer: dict[str, Any], path: Path) -> Path:
    """Draw the figures of ``ssm-hdl bench`` as PNG."""
    figure = Figure(figsize=(10.4, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    rows = answer["rows"]
    names = [f"{row['manifest']}\n{row['device']}, {row['interval']:.0f}" for row in rows]
    shares = [100 * row["share_of_limit"] for row in rows]
    busy = [100 * (row["utilisation"] or 0) for row in rows]
    places = range(len(rows))
    left.barh([place - 0.2 for place in places], shares, 0.4, color=ACCENT, label="of the limit (DSP blocks, bare kernel)")
    left.barh([place + 0.2 for place in places], busy, 0.4, color=FAINT, label="cycles in which the DSP multipliers work")
    left.set_yticks(list(places), names, size=7)
    left.invert_yaxis()  # the first row on top
    left.set_xlabel("%", color=INK)
    left.legend(fontsize=7.5, frameon=False)
    line = answer["line"]
    if line:
        multipliers = [point["multipliers"] for point in line]
        rates = [1 / point["interval"] for point in line]
        straight = max(rate / count for rate, count in zip(rates, multipliers, strict=True))
        right.plot([0, max(multipliers)], [0, straight * max(multipliers)], "--", color=FAINT, lw=1, label="a straight line")
        right.plot(multipliers, rates, "o-", color=ACCENT, ms=4, lw=1, label="measured in simulation")
        right.legend(fontsize=7.5, frameon=False)
    right.set_xlabel("multipliers", color=INK)
    right.set_ylabel("time steps a cycle", color=INK)
    for ax in (left, right):
        plain(ax)
    return save(figure, path)
