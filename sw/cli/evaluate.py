"""``ssm-hdl eval``: scores of float models and of their integer programs."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssm_hdl.errors import UsageError
from ssm_hdl.extras import need
from ssm_hdl.sw.cli.console import (
    Folder,
    Json,
    Window,
    facts,
    need_writable,
    progress,
    save_array,
    show,
    table,
)
from ssm_hdl.sw.cli.info import is_checkpoint
from ssm_hdl.sw.cli.samples import samples_of, split_of

if TYPE_CHECKING:
    from ssm_hdl.sw.evaluate import Evaluation

NAME = "eval"
EXAMPLE = "ssm-hdl eval manifests/s4d-16h"


def command(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="MANIFEST|CHECKPOINT",
            help="Manifests (integer, by the golden model) and checkpoints (float), side by side.",
        ),
    ],
    data: Folder = None,
    split: Annotated[
        str,
        typer.Option(
            "--split",
            "--samples",
            help="Part of the data: train, val, test or all. Of manifests also random or a .npy.",
        ),
    ] = "test",
    window: Window = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="Number of samples, from the first on; all if left out."),
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, help="Processes that the golden model works in.")
    ] = min(os.cpu_count() or 1, 8),
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write the outputs into this .npy file: codes of a manifest, "
            "values of a checkpoint."
        ),
    ] = None,
    values: Annotated[
        bool, typer.Option("--values", help="Write the values of a manifest's codes.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the samples of a data set: accuracy, or R2 of a regression,
    and what saturated on the way."""
    need("sklearn")
    if out is not None:
        if len(paths) > 1:
            raise UsageError("--out takes the outputs of one model; name one")
        need_writable(out)
    elif values:
        raise UsageError("--values says what --out writes; name a file with --out")
    answers, shown = [], []
    for path in paths:
        began = time.monotonic()
        kind = "float" if is_checkpoint(path) else "integer"
        evaluation = (
            _float(path, data, split, count, window)
            if kind == "float"
            else _integer(path, data, split, count, window, processes)
        )
        answer: dict[str, Any] = {
            "path": str(path),
            "arithmetic": kind,
            "split": split,
            **evaluation.to_json(),
        }
        answer["seconds"] = round(time.monotonic() - began, 1)
        if out is not None:
            answer["outputs"] = str(
                save_array(out, evaluation.values if values else evaluation.outputs)
            )
        answers.append(answer)
        shown += rows(evaluation, answer)
    if len(answers) == 1:
        show(as_json, answers[0], *shown)
    else:
        show(as_json, {"models": answers}, *shown)


def rows(evaluation: "Evaluation", answer: dict[str, Any]) -> list[Any]:
    """What is said of a model, for people."""
    from ssm_hdl.sw.score import TITLES, score_text

    labels = "steps" if evaluation.labels.ndim > 1 else "sequences"
    told = {TITLES[name]: score_text(name, value) for name, value in evaluation.scores.items()}
    if "accuracy" in told:
        told["accuracy"] += f"  ({evaluation.correct:,} of {evaluation.labelled:,})"
    told |= {
        "arithmetic": answer["arithmetic"],
        "samples": f"{answer['split']}, {evaluation.sequences:,}",
    }
    told |= {} if evaluation.scores else {"labels": f"none of {evaluation.labels.size:,} {labels}"}
    told |= {key: answer[key] for key in ("outputs", "seconds") if key in answer}
    operations = table("operation", ">saturated", ">of")
    for name, saturated in evaluation.saturations.items():
        if saturated:
            operations.add_row(name, f"{saturated:,}", f"{evaluation.elements[name]:,}")
    targets = table("target", ">R2", ">mean squared error")
    for number, (r2, mse) in enumerate(zip(*answer.get("targets", {}).values(), strict=True)):
        targets.add_row(str(number), score_text("r2", r2), score_text("mse", mse))
    return [
        facts(evaluation.name, told),
        *(shown for shown in (targets, operations) if shown.row_count),
    ]


def _float(
    path: Path, data: Path | None, split: str, count: int | None, window: int | None
) -> "Evaluation":
    need("torch", "numba")
    from ssm_hdl.sw.checkpoint import load
    from ssm_hdl.sw.data import load_for
    from ssm_hdl.sw.evaluate import evaluate_float

    checkpoint = load(path)
    samples = split_of(
        load_for(checkpoint.inputs, data, progress=True, window=window), split, count
    )
    with progress(f"{path.stem}, float", len(samples)) as advance:
        return evaluate_float(checkpoint, samples, progress=advance)


def _integer(
    path: Path, data: Path | None, split: str, count: int | None, window: int | None, processes: int
) -> "Evaluation":
    from ssm_hdl import Manifest
    from ssm_hdl.sw.evaluate import evaluate_integer

    manifest = Manifest.load(path)
    samples = samples_of(manifest, split, data, count, window=window)
    with progress(f"{manifest.name}, integer", len(samples)) as advance:
        return evaluate_integer(manifest, samples, min(processes, 1 + len(samples) // 500), advance)
