"""The picture of a pipeline: a box for every stage, the streams between them,
and how busy each stage is."""

import math
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, PathPatch, Rectangle
from matplotlib.path import Path as Curve

from ssm_hdl import Manifest
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import StageReport, estimate
from ssm_hdl.gen.structure import Structure
from ssm_hdl.operations import Edge
from ssm_hdl.sw import figures
from ssm_hdl.sw.figures import FAINT, INK, save
from ssm_hdl.sw.layout import OUTPUT, Layout
from ssm_hdl.sw.wires import BOX, ENTRY, LABEL, Wires

COLOURS = {
    "dense": "#2f6690",
    "scan": "#9a3b52",
    "lookup": "#8a6d1f",
    "multiply": "#4c7a4c",
    "add": "#4c7a4c",
    "slice": "#6b7280",
    "pool": "#6a4c93",
    "norm": "#b0562a",
    "embedding": "#8a6d1f",
}
"""Of the heading of a box, by operation."""

LINE, BUSY, PAPER = "#9aa5b1", "#e07a1f", "#ffffff"
MARGIN, HEAD = 0.3, 0.86
"""Inches around everything, and above the first line."""
DATES: dict[str, dict[str, Any]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""Left out, so that a file is the same every time."""


def draw(manifest: Manifest, plan: Plan, path: Path | str) -> Path:
    """Draw the pipeline into a file.

    Args:
        manifest: the integer program.
        plan: the multipliers of its stages.
        path: file ending in .svg, .png or .pdf.

    Raises:
        SsmHdlError: another ending, or the file cannot be written.
    """
    path = Path(path)
    with style(manifest):
        return save(_Picture(manifest, plan).figure, path, dpi=150, metadata=DATES.get(path.suffix))


def svg(manifest: Manifest, plan: Plan) -> str:
    """The picture as the text of an SVG element."""
    with style(manifest):
        return figures.svg(_Picture(manifest, plan).figure)


def style(manifest: Manifest) -> AbstractContextManager[None]:
    """With which the names in an SVG are those of the model, and the same every time."""
    return matplotlib.rc_context({"svg.hashsalt": manifest.name, "font.family": "DejaVu Sans"})


def _shape(edge: Edge) -> str:
    """What flows over an edge, in a few characters."""
    return f"{edge.size} × {'2·' if edge.is_complex else ''}{edge.format.width} bit"


class _Picture:
    """One figure, in inches from its lower left corner."""

    def __init__(self, manifest: Manifest, plan: Plan) -> None:
        self.manifest, self.plan = manifest, plan
        self.report = estimate(manifest, plan)
        self.layout = Layout(manifest)
        self.wires = Wires(self.layout)
        width, height = self.wires.size[0] + 2 * MARGIN, self.wires.size[1] + HEAD + MARGIN
        self.height = height
        self.figure = Figure(figsize=(width, height), facecolor=PAPER)
        self.ax: Axes = self.figure.add_axes((0, 0, 1, 1))
        self.ax.set(xlim=(0, width), ylim=(0, height))
        self.ax.axis("off")
        self._heading(width)
        for source in self.layout.places:
            self._stream(source)
        served = Structure.of(manifest, plan.share_layers, plan.family).stages
        for stage in self.report.stages:
            # a box for each layer, also where they share a stage
            for node in served[stage.name].nodes:
                self._stage(replace(stage, name=node.name, multiplications=node.multiplications))
        self._port(
            manifest.input.name,
            f"in: {manifest.input.name}",
            f"{manifest.input.size} × {manifest.input.format}",
        )
        self._port(
            OUTPUT,
            f"out: {manifest.output.name}",
            f"{manifest.output.size} × {manifest.output.format}",
        )

    def _at(self, x: float, y: float) -> tuple[float, float]:
        """A point of the wires in the figure."""
        return MARGIN + x, self.height - HEAD - y

    def _corner(self, name: str) -> tuple[float, float]:
        """Lower left corner of a box."""
        x, y = self._at(*self.wires.corner(name))
        return x, y - BOX[1]

    def _heading(self, width: float) -> None:
        edge, report = self.manifest.input, self.report
        self.ax.text(
            MARGIN + ENTRY,
            self.height - 0.34,
            self.manifest.name,
            size=15,
            weight="bold",
            color=INK,
            va="center",
        )
        text = (
            f"{report.cycles:,} cycles per step of {edge.size} × {edge.format.width} bit, up to "
            f"{self.manifest.steps} steps   ·   {report.multiplications:,} multiplications per step"
            f"   ·   {report.dsp_multipliers} multipliers in {report.dsp} DSP blocks, "
            f"{report.utilisation:.0%} of their cycles used"
            f"{f'   ·   {report.layers} layers share stages' if report.layers > 1 else ''}"
        )
        self.ax.text(MARGIN + ENTRY, self.height - 0.58, text, size=8.5, color=FAINT, va="center")
        x = width - MARGIN
        self.ax.text(
            x,
            self.height - 0.34,
            "share of the time that a stage is busy",
            size=7.5,
            color=FAINT,
            ha="right",
            va="center",
        )
        self.ax.add_patch(Rectangle((x - 2.44, self.height - 0.37), 0.32, 0.06, fc=BUSY, ec="none"))

    def _stage(self, stage: StageReport) -> None:
        """The box of one operation."""
        name, op, node = stage.name, stage.op, self.manifest.nodes[stage.name]
        x, y = self._corner(name)
        w, h = BOX
        colour = COLOURS.get(op, INK)
        style = "round,pad=0,rounding_size=0.07"
        box = FancyBboxPatch((x, y), w, h, boxstyle=style, fc=PAPER, ec=colour, lw=1.1, zorder=3)
        self.ax.add_patch(box)
        head = Rectangle((x, y + h - 0.28), w, 0.28, fc=colour, ec="none", zorder=3.5)
        self.ax.add_patch(head)
        head.set_clip_path(box)
        self.ax.text(
            x + 0.1, y + h - 0.145, name, size=9, weight="bold", color=PAPER, va="center", zorder=4
        )
        self.ax.text(
            x + w - 0.1,
            y + h - 0.145,
            op,
            size=7.5,
            color=PAPER,
            alpha=0.85,
            va="center",
            ha="right",
            zorder=4,
        )
        once = node.output.per_sequence and op != "pool"
        share = min(stage.busy, 1.0)
        lines = [
            f"{node.output.format}{' complex' if node.output.is_complex else ''}",
            _products(stage),
            f"{stage.cycles:,} cycles per {'sequence' if once else 'step'}",
        ]
        for index, line in enumerate(filter(None, lines)):
            self.ax.text(
                x + 0.1,
                y + h - 0.42 - index * 0.185,
                line,
                size=7.5,
                color=INK,
                va="center",
                zorder=4,
            )
        self.ax.add_patch(
            Rectangle((x + 0.1, y + 0.1), w - 0.56, 0.06, fc="#e4e7eb", ec="none", zorder=4)
        )
        self.ax.add_patch(
            Rectangle((x + 0.1, y + 0.1), (w - 0.56) * share, 0.06, fc=BUSY, ec="none", zorder=4.1)
        )
        percent = f"{share:.0%}" if share >= 0.01 else "< 1%"
        self.ax.text(
            x + w - 0.1, y + 0.13, percent, size=6.5, color=FAINT, va="center", ha="right", zorder=4
        )

    def _port(self, name: str, title: str, text: str) -> None:
        """The input or the output of the pipeline."""
        x, y = self._corner(name)
        w, h = BOX
        style = "round,pad=0,rounding_size=0.24"
        self.ax.add_patch(
            FancyBboxPatch(
                (x, y + h / 2 - 0.26),
                w,
                0.52,
                boxstyle=style,
                fc="#f5f7fa",
                ec=LINE,
                lw=1.0,
                zorder=3,
            )
        )
        self.ax.text(
            x + w / 2,
            y + h / 2 + 0.09,
            title,
            size=8.5,
            weight="bold",
            color=INK,
            ha="center",
            va="center",
            zorder=4,
        )
        self.ax.text(
            x + w / 2,
            y + h / 2 - 0.11,
            text,
            size=7.5,
            color=INK,
            ha="center",
            va="center",
            zorder=4,
        )

    def _stream(self, name: str) -> None:
        """What leaves a stage, to each of its readers: its shape beside the stage,
        its name where it comes from far."""
        if name == OUTPUT:
            return
        x, y = self._corner(name)
        where = x + BOX[0] + LABEL / 2, y + BOX[1] / 2 + 0.09
        self.ax.text(
            *where,
            _shape(self.layout.edge(name)),
            size=6.8,
            color=INK,
            ha="center",
            va="center",
            zorder=5,
        )
        for reader in self.layout.readers(name):
            wire = self.wires.wire(name, reader)
            self._line([self._at(*point) for point in wire.points])
            if wire.name_at is not None:
                *point, side = wire.name_at
                x, y = self._at(*point)
                self.ax.text(
                    x, y + 0.065, name, size=6.2, color=FAINT, ha=side, va="center", zorder=5
                )

    def _line(self, points: list[tuple[float, float]], radius: float = 0.07) -> None:
        """A line through right angles, rounded, with an arrow head."""
        vertices, codes = [points[0]], [Curve.MOVETO]
        for before, corner, after in zip(points, points[1:], points[2:], strict=False):
            vertices += [_towards(corner, before, radius), corner, _towards(corner, after, radius)]
            codes += [Curve.LINETO, Curve.CURVE3, Curve.CURVE3]
        x, y = points[-1]
        vertices.append((x - 0.05, y))
        codes.append(Curve.LINETO)
        self.ax.add_patch(PathPatch(Curve(vertices, codes), fc="none", ec=LINE, lw=1.3, zorder=1))
        self.ax.fill([x - 0.09, x, x - 0.09], [y - 0.045, y, y + 0.045], color=LINE, lw=0, zorder=2)


def _products(stage: StageReport) -> str:
    """The work of a stage and what does it."""
    if not stage.multiplications:
        return ""
    parts = (stage.dsp_multipliers, "DSP"), (stage.multipliers - stage.dsp_multipliers, "LUT")
    return (
        f"{stage.multiplications:,} × on "
        f"{' + '.join(f'{number} {kind}' for number, kind in parts if number)}"
    )


def _towards(
    corner: tuple[float, float], neighbour: tuple[float, float], distance: float
) -> tuple[float, float]:
    """The point ``distance`` away from a corner on the way to another,
    or half way if that is nearer."""
    length = math.dist(corner, neighbour)
    part = min(distance / length, 0.5) if length else 0.0
    return (
        corner[0] + (neighbour[0] - corner[0]) * part,
        corner[1] + (neighbour[1] - corner[1]) * part,
    )
