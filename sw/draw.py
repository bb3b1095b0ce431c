"""The picture of a pipeline: a box for every stage, the streams between them, and how busy each stage is."""

import math
from collections import defaultdict
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
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
from ssm_hdl.sw.layout import Layout, Place

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
BOX, GAP, LANE, GUTTER, MARGIN, INDENT, HEAD = (1.95, 1.16), 0.86, 0.2, 0.74, 0.3, 0.2, 0.86
"""Inches: a box; between columns, lanes and lines; around everything, left of the first column, above the first line."""
TRACK, PORT = 0.15, 0.2
"""Inches between two edges that run side by side, and between two that enter one box."""
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


def _stream(edge: Edge) -> str:
    """What flows over an edge, in a few characters."""
    return f"{edge.size} × {'2·' if edge.is_complex else ''}{edge.format.width} bit"


@dataclass
class _Tracks:
    """Hands out parallel tracks, so that no two edges run on top of each other."""

    used: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def take(self, kind: str, owner: str) -> float:
        """Offset in inches of the next free track of this kind at its owner: a line, or a stage."""
        self.used[kind, owner] += 1
        return (self.used[kind, owner] - 1) * TRACK


class _Picture:
    """One figure, in inches from its lower left corner."""

    def __init__(self, manifest: Manifest, plan: Plan) -> None:
        self.manifest, self.plan = manifest, plan
        self.report = estimate(manifest, plan)
        self.layout = Layout(manifest)
        self.tracks = _Tracks()
        width = 2 * MARGIN + self.layout.columns * BOX[0] + self.layout.columns * GAP
        self.tops = self._tops()
        height = HEAD + self.tops[-1] + MARGIN
        self.height = height
        self.figure = Figure(figsize=(width, height), facecolor=PAPER)
        self.ax: Axes = self.figure.add_axes((0, 0, 1, 1))
        self.ax.set(xlim=(0, width), ylim=(0, height))
        self.ax.axis("off")
        self._heading(width)
        for source in self.layout.places:
            self._edges(source)
        served = Structure.of(manifest, plan.share_layers, plan.family).stages
        for stage in self.report.stages:
            for node in served[stage.name].nodes:  # a box for each layer, also where they share a stage
                self._stage(replace(stage, name=node.name, multiplications=node.multiplications))
        self._port(manifest.input.name, f"in: {manifest.input.name}", f"{manifest.input.size} × {manifest.input.format}")
        self._port("", f"out: {manifest.output.name}", f"{manifest.output.size} × {manifest.output.format}")

    def _tops(self) -> list[float]:
        """Distance of the top of each line from the heading, and of the end of the last."""
        tops = [0.0]
        for lanes in self.layout.lanes:
            tops.append(tops[-1] + lanes * BOX[1] + (lanes - 1) * LANE + GUTTER)
        tops[-1] -= GUTTER
        return tops

    def _corner(self, place: Place) -> tuple[float, float]:
        """Lower left corner of a box."""
        x = MARGIN + INDENT + place.column * (BOX[0] + GAP)
        y = self.height - HEAD - self.tops[place.line] - place.lane * (BOX[1] + LANE) - BOX[1]
        return x, y

    def _heading(self, width: float) -> None:
        edge, report = self.manifest.input, self.report
        self.ax.text(MARGIN + INDENT, self.height - 0.34, self.manifest.name, size=15, weight="bold", color=INK, va="center")
        text = (
            f"{report.cycles:,} cycles per step of {edge.size} × {edge.format.width} bit, up to {self.manifest.steps} steps"
            f"   ·   {report.multiplications:,} multiplications a step"
            f"   ·   {report.dsp_multipliers} multipliers in {report.dsp} DSP blocks"
            f", {report.utilisation:.0%} of their cycles used"
            f"{f'   ·   {report.layers} layers share stages' if report.layers > 1 else ''}"
        )
        self.ax.text(MARGIN + INDENT, self.height - 0.58, text, size=8.5, color=FAINT, va="center")
        x = width - MARGIN - GAP + INDENT
        self.ax.text(
            x, self.height - 0.34, "share of the time that a stage is busy", size=7.5, color=FAINT, ha="right", va="center"
        )
        self.ax.add_patch(Rectangle((x - 2.44, self.height - 0.37), 0.32, 0.06, fc=BUSY, ec="none"))

    def _stage(self, stage: StageReport) -> None:
        """The box of one operation."""
        name, op, node = stage.name, stage.op, self.manifest.nodes[stage.name]
        x, y = self._corner(self.layout.places[name])
        w, h = BOX
        colour = COLOURS.get(op, INK)
        style = "round,pad=0,rounding_size=0.07"
        box = FancyBboxPatch((x, y), w, h, boxstyle=style, fc=PAPER, ec=colour, lw=1.1, zorder=3)
        self.ax.add_patch(box)
        head = Rectangle((x, y + h - 0.28), w, 0.28, fc=colour, ec="none", zorder=3.5)
        self.ax.add_patch(head)
        head.set_clip_path(box)
        self.ax.text(x + 0.1, y + h - 0.145, name, size=9, weight="bold", color=PAPER, va="center", zorder=4)
        self.ax.text(x + w - 0.1, y + h - 0.145, op, size=7.5, color=PAPER, alpha=0.85, va="center", ha="right", zorder=4)
        once = node.output.per_sequence and op != "pool"
        share = min(stage.busy, 1.0)
        lines = [
            f"{node.output.format}{' complex' if node.output.is_complex else ''}",
            _products(stage),
            f"{stage.cycles:,} cycles {'a sequence' if once else 'a step'}",
        ]
        for index, line in enumerate(filter(None, lines)):
            self.ax.text(x + 0.1, y + h - 0.42 - index * 0.185, line, size=7.5, color=INK, va="center", zorder=4)
        self.ax.add_patch(Rectangle((x + 0.1, y + 0.1), w - 0.56, 0.06, fc="#e4e7eb", ec="none", zorder=4))
        self.ax.add_patch(Rectangle((x + 0.1, y + 0.1), (w - 0.56) * share, 0.06, fc=BUSY, ec="none", zorder=4.1))
        percent = f"{share:.0%}" if share >= 0.01 else "< 1%"
        self.ax.text(x + w - 0.1, y + 0.13, percent, size=6.5, color=FAINT, va="center", ha="right", zorder=4)

    def _port(self, name: str, title: str, text: str) -> None:
        """The input or the output of the pipeline."""
        x, y = self._corner(self.layout.places[name])
        w, h = BOX
        style = "round,pad=0,rounding_size=0.24"
        self.ax.add_patch(FancyBboxPatch((x, y + h / 2 - 0.26), w, 0.52, boxstyle=style, fc="#f5f7fa", ec=LINE, lw=1.0, zorder=3))
        self.ax.text(x + w / 2, y + h / 2 + 0.09, title, size=8.5, weight="bold", color=INK, ha="center", va="center", zorder=4)
        self.ax.text(x + w / 2, y + h / 2 - 0.11, text, size=7.5, color=INK, ha="center", va="center", zorder=4)

    def _edges(self, name: str) -> None:
        """The stream that leaves a stage, to each of its readers."""
        if not name:
            return
        x, y = self._corner(self.layout.places[name])
        start = (x + BOX[0], y + BOX[1] / 2)
        readers = self.layout.readers(name)
        if any(self.layout.straight(name, reader) for reader in readers):
            where, text = (start[0] + GAP / 2, start[1] + 0.09), _stream(self.layout.edge(name))
            self.ax.text(*where, text, size=6.8, color=INK, ha="center", va="center", zorder=5)
        for reader in readers:
            if self.layout.straight(name, reader):
                self._ahead(reader, start)
            else:
                self._around(name, reader, start)

    def _ahead(self, reader: str, start: tuple[float, float]) -> None:
        """An edge through the free columns between, to the lane of its reader."""
        x, y = self._corner(self.layout.places[reader])
        y += BOX[1] / 2
        if math.isclose(start[1], y):
            self._line([start, (x, y)])
            return
        if len(self.layout.sources(reader)) > 1:
            y += math.copysign(PORT, start[1] - y)
        turn = x - 0.14 - self.tracks.take("into", reader)
        self._line([start, (turn, start[1]), (turn, y), (x, y)])

    def _around(self, name: str, reader: str, start: tuple[float, float]) -> None:
        """An edge through the gutter above its reader's line."""
        source, target = self.layout.places[name], self.layout.places[reader]
        x, y = self._corner(target)
        y += BOX[1] / 2 + (PORT if len(self.layout.sources(reader)) > 1 else 0.0)
        out = start[0] + GAP - 0.34 - self.tracks.take("out", name)
        into = x - 0.14 - self.tracks.take("into", reader)
        gutter = self._above(target.line)
        points = [start, (out, start[1])]
        if target.line - source.line > 1:
            first, margin = self._above(source.line + 1), MARGIN - self.tracks.take("margin", "")
            points += [(out, first), (margin, first), (margin, gutter)]
        else:
            points += [(out, gutter)]
        self._line([*points, (into, gutter), (into, y), (x, y)])
        label = f"{name}  {_stream(self.layout.edge(name))}"
        self.ax.text(into + 0.1, gutter + 0.065, label, size=6.2, color=FAINT, va="center", zorder=5)

    def _above(self, line: int) -> float:
        """The height of a free track in the gutter above a line."""
        return self.height - HEAD - self.tops[line] + 0.14 + self.tracks.take("gutter", str(line))

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
    return f"{stage.multiplications:,} × on {' + '.join(f'{number} {kind}' for number, kind in parts if number)}"


def _towards(corner: tuple[float, float], neighbour: tuple[float, float], distance: float) -> tuple[float, float]:
    """The point ``distance`` away from a corner on the way to another, or half way if that is nearer."""
    length = math.dist(corner, neighbour)
    part = min(distance / length, 0.5) if length else 0.0
    return corner[0] + (neighbour[0] - corner[0]) * part, corner[1] + (neighbour[1] - corner[1]) * part
