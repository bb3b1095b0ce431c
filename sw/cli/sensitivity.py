"""``ssm-hdl sensitivity``: the loss for each part of a model at each width."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssm_hdl.errors import UsageError
from ssm_hdl.extras import need
from ssm_hdl.sw.cli.console import Folder, Json, facts, need_writable, progress, show, table

if TYPE_CHECKING:
    from rich.table import Table

    from ssm_hdl.sw.quantize.sensitivity import Report

NAME = "sensitivity"
EXAMPLE = "ssm-hdl sensitivity checkpoints/s4d-16h.safetensors --out out/s4d-16h"


def command(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Checkpoint of `ssm-hdl train`.")
    ],
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Base recipe: widths of all parts but the one that is tried. "
            "w8a8x8 if left out, of a Mamba mamba-w8a8x8."
        ),
    ] = None,
    widths: Annotated[
        str, typer.Option(help="Bits to try, with commas between.")
    ] = "2,3,4,5,6,8,12,16",
    parts: Annotated[
        str | None, typer.Option(help="Parts to try, with commas between; all if left out.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Training samples to calibrate on.")] = 128,
    images: Annotated[int, typer.Option(min=1, help="Validation samples to measure on.")] = 500,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that work side by side.")] = 1,
    data: Folder = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the report and the plot; out/NAME if left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Narrow one part of a base recipe after the other: score and SQNR on validation samples,
    as a table and as a heat map.

    A stopped run goes on when the same command is given again.
    A width that cannot work is an entry with its reason.
    """
    need("torch", "numba", "matplotlib")
    from ssm_hdl.sw.plot import heat_map
    from ssm_hdl.sw.quantize import Recipe, usual
    from ssm_hdl.sw.quantize.bench import Subject
    from ssm_hdl.sw.quantize.sensitivity import FILE, sensitivity
    from ssm_hdl.sw.score import TITLES, score_text

    bits = numbers(widths)
    path = (out or Path("out") / checkpoint.stem) / FILE
    need_writable(path)
    subject = Subject(checkpoint, data, samples, images)
    base = Recipe.load(usual("w8a8x8", subject.family) if recipe is None else recipe)
    chosen = [part.strip() for part in parts.split(",")] if parts else list(subject.parts)
    with progress(f"sensitivity of {checkpoint.stem}", len(chosen) * len(bits)) as advance:
        report = sensitivity(subject, base, bits, path, chosen, jobs, advance)
    picture = heat_map(report, path.with_suffix(".png"))
    summary = {
        "base": f"{report.recipe.name}: {report.base.shown}, {report.base.sqnr_db:.1f} dB, "
        f"{report.base.paper_bytes:,.0f} bytes by the paper's count, "
        f"{report.base.hardware_bytes:,.0f} in hardware",
        "float": f"{TITLES[subject.score]} {score_text(subject.score, report.float_score)}",
        "report": path,
        "plot": picture,
    }
    show(
        as_json,
        report.to_json(),
        facts(f"{report.model}  {images} validation samples", summary),
        cells(report),
    )


def numbers(text: str) -> list[int]:
    """Numbers from text with commas between them, sorted, without repetitions."""
    try:
        return sorted({int(number) for number in text.split(",")})
    except ValueError as error:
        raise UsageError(f"{text!r} is no list of widths; write for example 4,6,8") from error


def cells(report: "Report") -> "Table":
    """A table of the loss of score and SQNR, part by width."""
    from ssm_hdl.sw.quantize.bench import Measured
    from ssm_hdl.sw.quantize.parts import PARTS
    from ssm_hdl.sw.score import loss_unit

    title, factor, digits = loss_unit(report.base.name)
    rows = table(f"{title} | dB", *(f">{width} bits" for width in report.widths))
    for part in PARTS:
        if not any(name == part for name, _ in report.cells):
            continue
        texts = []
        for width in report.widths:
            cell = report.cells.get((part, width))
            if isinstance(cell, Measured):
                texts.append(
                    f"{factor * (report.base.score - cell.score):{digits}} | {cell.sqnr_db:.1f}"
                )
            else:
                texts.append("–")
        rows.add_row(part, *texts)
    return rows
