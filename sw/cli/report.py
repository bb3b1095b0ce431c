"""``ssm-hdl report``: a manifest or a build as one HTML page."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssm_hdl.errors import UsageError
from ssm_hdl.extras import need
from ssm_hdl.sw.cli import sizing
from ssm_hdl.sw.cli.console import (
    Folder,
    Json,
    Window,
    facts,
    inputs_of,
    need_apart,
    need_writable,
    progress,
    show,
)
from ssm_hdl.sw.cli.samples import samples_of

if TYPE_CHECKING:
    from ssm_hdl import Manifest
    from ssm_hdl.gen.size.planner import Sized
    from ssm_hdl.sw.virtual import Target

NAME = "report"
EXAMPLE = (
    "ssm-hdl report manifests/digits --device up5k --samples test --float "
    "checkpoints/digits.safetensors -o digits.html"
)

TRACED = 8
"""Sequences whose edges are compared."""


@sizing.sized
def command(
    path: Annotated[
        Path,
        typer.Argument(metavar="MANIFEST", help="A manifest, or the folder that `build` wrote."),
    ],
    size: sizing.Size,
    device: sizing.DeviceName = "generic",
    samples: Annotated[
        str | None,
        typer.Option(
            help="With the figures of these samples: test, val, train, all, random, or a .npy file."
        ),
    ] = None,
    data: Folder = None,
    window: Window = None,
    count: Annotated[
        int | None, typer.Option(min=1, help="Sequences; all, or 10 random ones, if left out.")
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--float", metavar="CHECKPOINT", help="The float model, to be compared edge by edge."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; NAME.html if left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write one HTML page: picture, plan, roofline, memories, bit widths; accuracy of samples;
    the critical path of a build."""
    need("matplotlib", *(["torch", "numba"] if checkpoint else []))
    from ssm_hdl import Manifest
    from ssm_hdl.families import find_device
    from ssm_hdl.files import write_atomically
    from ssm_hdl.sw.page import page
    from ssm_hdl.sw.virtual import built

    manifest = Manifest.load(path)
    samples = samples or ("test" if data is not None else None)
    if checkpoint is not None and samples is None:
        raise UsageError("--float compares samples; name them with --samples or --data")
    out = out or Path(f"{manifest.name}.html")
    need_writable(out)
    need_apart("--out", out, *inputs_of(path, ".html", data, checkpoint, samples))
    target = built(path, manifest)
    if target is not None and (size.words() or device != "generic"):
        raise UsageError(
            f"{path} has its plan, that of the {target.board.title}; "
            "leave --device and the options of size out"
        )
    sized = size.plan(manifest, find_device(device)) if target is None else target.sized(manifest)
    sections = _hardware(manifest, sized, target, path)
    if samples is not None:
        sections |= _samples(manifest, samples, data, count, window, checkpoint)
    write_atomically(
        out,
        page(f"{manifest.name}, {target.board.title if target else sized.device.title}", sections),
    )
    answer = {"report": str(out), "sections": [name for name, body in sections.items() if body]}
    show(
        as_json, answer, facts(manifest.name, answer | {"sections": ", ".join(answer["sections"])})
    )


def _hardware(
    manifest: "Manifest", sized: "Sized", target: "Target | None", folder: Path
) -> dict[str, list[str]]:
    """What needs no samples."""
    from ssm_hdl.boards.critical import critical_path
    from ssm_hdl.sw import draw, figures
    from ssm_hdl.sw.cli import build, generate, info
    from ssm_hdl.sw.page import figure, html, memories, path, weights

    summary, *rest = info.tables(info.describe(manifest))
    sections = {"Model": [html(summary)], "Pipeline": [figure(draw.svg(manifest, sized.plan))]}
    sections["Plan"] = [
        html(table) for table in generate.tables(sized.report, generate.taken(sized))
    ]
    if sized.device.bounded:
        from ssm_hdl.sw.roofline import roofline

        with draw.style(manifest):
            sections["Roofline"] = [figure(figures.svg(roofline(sized)))]
    if target is not None and target.built is not None:
        log = folder / "nextpnr.log"
        segments = (
            critical_path(log.read_text(encoding="utf-8", errors="replace")) if log.exists() else []
        )
        sections["Build"] = [html(facts(f"{target.board.title}", build.rows(target.built)))]
        sections["Critical path"] = [path(segments)] if segments else []
    sections["Memories"] = [html(rest.pop()), memories(manifest, sized)]
    return sections | {"Operations": [html(rest[0])], "Weights": [weights(manifest)]}


def _samples(
    manifest: "Manifest",
    samples: str,
    data: Path | None,
    count: int | None,
    window: int | None,
    checkpoint: Path | None,
) -> dict[str, list[str]]:
    """What samples tell."""
    from ssm_hdl.sw.cli import evaluate
    from ssm_hdl.sw.evaluate import evaluate_float, evaluate_integer
    from ssm_hdl.sw.page import html, paragraph, traced

    split, model = samples_of(manifest, samples, data, count, window=window), None
    with progress(f"{manifest.name}, integer", len(split)) as advance:
        evaluations = {"integer": evaluate_integer(manifest, split, progress=advance)}
    if checkpoint is not None:
        from ssm_hdl.sw.checkpoint import load

        model = load(checkpoint).unscaled()
        if manifest.graph.samples is not None:
            model.inputs.check_fits(manifest.graph.samples)
        evaluations["float"] = evaluate_float(model, split)
    scores = [
        html(shown)
        for kind, each in evaluations.items()
        for shown in evaluate.rows(each, {"arithmetic": kind, "split": samples})
    ]
    few = split.head(TRACED)
    said = paragraph(f"Of the first {len(few)} of {len(split):,} sequences.")
    return {"Samples": scores, "States and activations": [said, *traced(manifest, few, model)]}
