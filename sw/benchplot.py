"""The plot of the benchmark: products per second by model and device,
and throughput against multipliers."""

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ssm_hdl.sw.figures import ACCENT, FAINT, INK, plain, save


def draw(answer: dict[str, Any], path: Path) -> Path:
    """Draw the figures of ``ssm-hdl bench`` as PNG."""
    figure = Figure(figsize=(10.4, 4.2), layout="constrained")
    bars, curve = figure.subplots(1, 2)
    rows = answer["rows"]
    names = [f"{row['manifest']}\n{row['device']}, {row['interval']:.0f}" for row in rows]
    places = range(len(rows))
    blocks = [row["limit"] / 1e9 for row in rows]
    products = [row["multiplications_per_second"] / 1e9 for row in rows]
    bars.hlines(places, blocks, products, color=FAINT, lw=1)
    bars.scatter(
        blocks,
        places,
        s=170,
        marker="|",
        color=INK,
        zorder=3,
        label="bare multipliers in all DSP blocks",
    )
    bars.scatter(products, places, s=36, color=ACCENT, zorder=3, label="pipeline")
    bars.set_xscale("log")
    bars.xaxis.set_major_formatter("{x:g}")
    bars.set_yticks(list(places), names, size=7)
    bars.invert_yaxis()  # the first row on top
    bars.set_xlabel("G products per second; LUTs multiply, too", color=INK)
    bars.legend(fontsize=7.5, frameon=False)
    line = answer["line"]
    if line:
        multipliers = [point["multipliers"] for point in line]
        rates = [1 / point["interval"] for point in line]
        straight = max(rate / count for rate, count in zip(rates, multipliers, strict=True))
        curve.plot(
            [0, max(multipliers)],
            [0, straight * max(multipliers)],
            "--",
            color=FAINT,
            lw=1,
            label="a straight line",
        )
        curve.plot(
            multipliers, rates, "o-", color=ACCENT, ms=4, lw=1, label="measured in simulation"
        )
        curve.legend(fontsize=7.5, frameon=False)
    curve.set_xlabel("multipliers", color=INK)
    curve.set_ylabel("time steps per cycle", color=INK)
    for ax in (bars, curve):
        plain(ax)
    return save(figure, path)
