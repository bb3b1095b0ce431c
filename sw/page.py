# amaranth: UnusedElaboratable=no
"""A model, its hardware and its figures as one HTML page that needs no other file."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from itertools import groupby
from string import Template
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table

from ssm_hdl import Manifest
from ssm_hdl.boards.critical import Segment
from ssm_hdl.fixed import Codes, Format
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.size.planner import Sized
from ssm_hdl.operations import Scan
from ssm_hdl.sim.golden import run
from ssm_hdl.sw.data import Split

if TYPE_CHECKING:
    from ssm_hdl.sw.checkpoint import Checkpoint

_BATCH = 4
"""Sequences whose states are in memory at once."""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"/><title>$title</title><style>
body { font: 14px/1.45 system-ui, sans-serif; color: #1f2933; margin: 2em auto; max-width: 1200px;
  padding: 0 1em }
h2 { border-bottom: 1px solid #e4e7eb; margin-top: 2em } p { max-width: 50em }
table { border-collapse: collapse; margin: 1em 0; font-variant-numeric: tabular-nums }
th { text-align: left } th, td { padding: 1px 14px 1px 0; vertical-align: top }
tbody tr:hover { background: #f5f7fa }
.right { text-align: right } figure { margin: 0; overflow-x: auto }
rect.bar { fill: #2f6690 } rect.full { fill: #9a3b52 }
</style></head><body><h1>$title</h1>
$sections
</body></html>
""")


class Raw(str):
    """HTML as it is."""

    __slots__ = ()


def page(title: str, sections: Mapping[str, Sequence[str]]) -> str:
    """A page of sections, each with its parts in HTML; those without any are left out."""
    parts = (
        f"<h2>{escape(name)}</h2>\n" + "\n".join(body) for name, body in sections.items() if body
    )
    return _PAGE.substitute(title=escape(title), sections="\n".join(parts))


def html(shown: RenderableType) -> str:
    """What a command prints, as HTML."""
    if isinstance(shown, Group):
        return "\n".join(map(html, shown.renderables))
    if not isinstance(shown, Table):
        return f"<h3>{escape(str(shown))}</h3>"
    columns = [f"{'>' * (column.justify == 'right')}{column.header}" for column in shown.columns]
    return grid(
        columns,
        zip(
            *([str(cell).strip() for cell in column.cells] for column in shown.columns), strict=True
        ),
    )


def grid(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, with columns as `ssm_hdl.sw.cli.console.table` has them."""
    sides = [' class="right"' * column.startswith(">") for column in columns]

    def row(tag: str, cells: Sequence[str]) -> str:
        texts = (cell if isinstance(cell, Raw) else escape(cell) for cell in cells)
        return (
            "<tr>"
            + "".join(
                f"<{tag}{side}>{text}</{tag}>" for side, text in zip(sides, texts, strict=True)
            )
            + "</tr>"
        )

    names = [column.removeprefix(">") for column in columns]
    head = f"<thead>{row('th', names)}</thead>" if any(names) else ""
    return f"<table>{head}<tbody>{''.join(row('td', cells) for cells in rows)}</tbody></table>"


def paragraph(text: str) -> str:
    """A paragraph."""
    return f"<p>{escape(text)}</p>"


def figure(svg: str) -> str:
    """A drawing, which scrolls where it is wider than the page."""
    return f"<figure>{svg}</figure>"


def used_bits(codes: Codes, format: Format) -> NDArray[np.int64]:
    """How many codes need how many bits, from 0 to all of the format, the sign included."""
    magnitudes = np.where(codes < 0, ~codes, codes).ravel()
    needed = np.frexp(magnitudes.astype(np.float64))[1] + format.signed * (codes.ravel() != 0)
    return np.bincount(np.minimum(needed, format.width), minlength=format.width + 1)


def bars(counts: NDArray[np.int64]) -> Raw:
    """A histogram of used bits; the last bar is all bits of the format."""
    total, width, height, rects = max(int(counts.sum()), 1), 9, 26, []
    for bits, count in enumerate(counts.tolist()):
        tall = height * count / max(int(counts.max()), 1)
        kind = "full" if bits == len(counts) - 1 else "bar"
        rects.append(
            f'<rect class="{kind}" x="{bits * width}" y="{height - tall:.2f}" width="{width - 1}" '
            f'height="{tall:.2f}"><title>{bits} bits: {count / total:.2%}</title></rect>'
        )
    return Raw(
        f'<svg width="{len(counts) * width}" height="{height}" role="img">{"".join(rects)}</svg>'
    )


def _widths(rows: Iterable[tuple[str, Format, NDArray[np.int64]]], what: str) -> str:
    columns = (
        what,
        "format",
        ">numbers",
        "bits that they need, from 0 on; the last bar is all bits",
        ">all bits",
    )
    cells = (
        (n, str(f), f"{c.sum():,}", bars(c), f"{c[-1] / max(c.sum(), 1):.1%}") for n, f, c in rows
    )
    return grid(columns, cells)


def weights(manifest: Manifest) -> str:
    """The bits that weights need."""
    stored = manifest.tensors
    return _widths(
        (
            (name, format, used_bits(stored.codes[name], format))
            for name, format in stored.formats.items()
        ),
        "tensor",
    )


def memories(manifest: Manifest, sized: Sized) -> str:
    """The memories of the stages."""
    family = sized.plan.family
    rows = []
    for name, stage in Pipeline(manifest, sized.plan).stages.items():
        for storage in stage.storage:
            kind = "SPRAM" if storage.spram else f"{family.rams.blocks(storage) or ''}"
            words = f"{storage.depth:,}", f"{storage.width:,}", f"{storage.bits:,}"
            rows.append((name, storage.name, "RAM" if storage.written else "table", *words, kind))
    return grid(
        ("stage", "memory", "kind", ">words", ">bits of a word", ">bits", ">block RAMs"), rows
    )


def traced(manifest: Manifest, split: Split, checkpoint: "Checkpoint | None" = None) -> list[str]:
    """The bits that the values of every edge need on samples,
    and how far they are from the float model."""
    edges = {manifest.input.name: manifest.input} | {
        name: node.output for name, node in manifest.nodes.items()
    }
    counts = {name: np.zeros(edge.format.width + 1, np.int64) for name, edge in edges.items()}
    sums, saturated, elements = (
        dict[str, NDArray[np.float64]](),
        dict.fromkeys(edges, 0),
        dict.fromkeys(edges, 0),
    )
    for _, codes in split.batches(_BATCH):
        result = run(manifest, codes, trace=True)
        for name, edge in edges.items():
            counts[name] += used_bits(result.trace[name], edge.format)
        for name, count in result.saturations.items():
            saturated[name] += count
            elements[name] += result.elements[name]
        for name, real in _floats(checkpoint, codes).items() if checkpoint is not None else ():
            if name in edges and result.trace[name].size == real.size:
                ours = (result.trace[name] * edges[name].format.lsb).reshape(-1, real.shape[-1])
                theirs = real.reshape(-1, real.shape[-1])
                squares = np.stack([(ours**2).sum(0), (ours * theirs).sum(0), (theirs**2).sum(0)])
                sums[name] = sums.get(name, 0.0) + squares
    states = {node.name for node in manifest.nodes.values() if isinstance(node.op, Scan)}
    body = [
        _widths(
            ((f"{n}, states" if n in states else n, edges[n].format, c) for n, c in counts.items()),
            "edge",
        )
    ]
    if sums:
        rows = (
            (
                name,
                str(edges[name].format),
                _sqnr(parts),
                f"{saturated[name] / max(elements[name], 1):.4%}",
            )
            for name, parts in sums.items()
        )
        body += [
            "<h3>Float against integer</h3>",
            paragraph(
                "Each element is compared after the gain that fits it best, "
                "since quantization rescales channels."
            ),
            grid(("edge", "format", ">SQNR, dB", ">saturated"), rows),
        ]
    return body


def _floats(checkpoint: "Checkpoint", codes: NDArray[np.integer]) -> dict[str, NDArray[np.float64]]:
    """The edges of the float model."""
    import torch

    from ssm_hdl.sw.quantize import FAMILIES
    from ssm_hdl.sw.quantize.lowering import DeepLowering

    kind, x = (
        FAMILIES[checkpoint.model.config.family],
        torch.from_numpy(checkpoint.inputs.normalise(codes)),
    )
    with torch.no_grad():
        seen = (
            kind.trace(checkpoint.model, x)
            if issubclass(kind, DeepLowering)
            else checkpoint.model.trace(x)
        )
    return {
        name: values.double().numpy()
        for name, values in seen.items()
        if values.ndim > 1 and not values.is_complex()
    }


def _sqnr(sums: NDArray[np.float64]) -> str:
    """In dB, from the sums of integer squares, products and float squares of each element."""
    integer, both, floating = sums
    signal = both**2 / np.maximum(floating, 1e-300)
    return f"{10 * np.log10(max(signal.sum(), 1e-30) / max((integer - signal).sum(), 1e-30)):.1f}"


def path(segments: Sequence[Segment]) -> str:
    """The critical path, by the parts that it goes through."""
    rows = []
    for part, group in groupby(segments, key=lambda segment: segment.part):
        within = list(group)
        wires = sum(segment.ns for segment in within if segment.kind == "routing")
        rows.append(
            (part, f"{sum(segment.ns for segment in within):.2f}", f"{wires:.2f}", within[0].name)
        )
    return grid(("part", ">ns", ">of it routing", "from"), rows)
