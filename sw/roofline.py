"""The roofline of a sized pipeline: how far its stages are from what multipliers and memories of
the device can do."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter

from ssm_hdl.gen.size.planner import Sized
from ssm_hdl.sw.figures import ACCENT, FAINT, INK, plain, save

SPRAM_BITS = 16
"""Bits per cycle of an SPRAM."""


def draw(sized: Sized, path: Path) -> Path:
    """Draw it into a file, see `roofline`.

    Raises:
        SsmHdlError: the file is of no kind that can be drawn, or cannot be written.
    """
    return save(roofline(sized), path)


def roofline(sized: Sized) -> Figure:
    """The drawing: products per second over products for each byte that is read from memory.

    The roofs are the DSP blocks at the plan's clock, those and the multipliers of LUTs that the
    plan has, and the bytes that all memories of the device give a cycle; dotted, the DSP blocks at
    the clock of a bare kernel. A point is a stage, the star the pipeline.
    """
    device, report, rate = sized.device, sized.report, sized.rate_hz
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    ax = figure.subplots()
    dsp = device.dsps * device.lanes_per_dsp * sized.clock_hz
    widest = device.family.rams.widest
    memory = (device.rams * widest + device.sprams * SPRAM_BITS) / 8 * sized.clock_hz
    points = {
        stage.name: (stage.intensity, stage.multiplications * rate)
        for stage in report.stages
        if stage.intensity
    }
    everything = sum(products for _, products in points.values())
    read = sum(products / intensity for intensity, products in points.values())
    low = min(0.2, *(intensity / 2 for intensity, _ in points.values()))
    high = max(8.0, *(2 * intensity for intensity, _ in points.values()))
    in_luts = report.lut_multipliers * sized.clock_hz
    roofs = [(dsp, f"{device.dsps} DSP blocks at {sized.clock_hz / 1e6:g} MHz", "-", "top")]
    roofs += [
        (
            device.limit,
            f"DSP blocks at {device.kernel_hz / 1e6:g} MHz, a bare kernel",
            ":",
            "bottom",
        )
    ]
    if in_luts:
        roofs.append(
            (dsp + in_luts, f"and {report.lut_multipliers} multipliers of LUTs", "--", "bottom")
        )
    for roof, name, style, side in roofs:
        ax.plot([roof / memory, high], [roof, roof], style, color=INK, lw=1.2)
        # names of close roofs do not meet
        place = high if side == "bottom" and roof == device.limit else high / 4
        ax.text(place, roof, f"{name} ", size=7.5, color=INK, ha="right", va=side)
    top = max(dsp + in_luts, device.limit)
    ax.plot([low, top / memory], [low * memory, top], color=ACCENT, lw=1.2)
    ax.text(
        low,
        low * memory,
        f"  memories, {memory / 1e9:.1f} GB/s",
        size=7.5,
        color=ACCENT,
        va="bottom",
    )
    for name, (intensity, products) in points.items():
        ax.plot(intensity, products, "o", ms=4, color=FAINT)
        ax.annotate(
            name,
            (intensity, products),
            size=6.5,
            color=FAINT,
            xytext=(4, -2),
            textcoords="offset points",
        )
    ax.plot(everything / read, everything, "*", ms=14, color=ACCENT, zorder=5)
    ax.set(xscale="log", yscale="log", xlim=(low, high))
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_xlabel("products for each byte read from memory", color=INK)
    ax.set_ylabel("products per second", color=INK)
    ax.set_title(
        f"{report.name} on the {device.title}: {rate:,.0f} time steps per second, "
        f"{everything / device.limit:.0%} of what all DSP blocks make",
        size=9.5, color=INK,
    )  # fmt: skip
    plain(ax)
    return figure
