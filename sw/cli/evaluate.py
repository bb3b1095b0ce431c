"""``ssm-hdl eval``: accuracy of a float model or of its integer program."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssm_hdl.sw.cli.console import Folder, Json, facts, need, progress, show, table
from ssm_hdl.sw.cli.info import is_checkpoint
from ssm_hdl.sw.cli.samples import dataset_of, split_of

if TYPE_CHECKING:
    from ssm_hdl.sw.evaluate import Evaluation

NAME = "eval"
EXAMPLE = "ssm-hdl eval manifests/s4d-16h --data data/mnist"


def command(
    path: Annotated[
        Path,
        typer.Argument(metavar="MANIFEST|CHECKPOINT", help="A manifest (integer, by the golden model) or a checkpoint (float)."),
    ],
    data: Folder = None,
    split: Annotated[str, typer.Option(help="Part of the data set: train, val or test.")] = "test",
    count: Annotated[int | None, typer.Option(min=1, help="Number of samples, from the first on; all if left out.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes that the golden model works in.")] = min(
        os.cpu_count() or 1, 8
    ),
    as_json: Json = False,
) -> None:
    """Classify the samples of a data set: accuracy, and what saturated on the way."""
    began = time.monotonic()
    evaluation = _float(path, data, split, count) if is_checkpoint(path) else _integer(path, data, split, count, processes)
    answer: dict[str, Any] = {
        "path": str(path),
        "arithmetic": "float" if is_checkpoint(path) else "integer",
        "split": split,
        **evaluation.to_json(),
        "seconds": round(time.monotonic() - began, 1),
    }
    summary = {
        "accuracy": f"{evaluation.accuracy:.2%}  ({evaluation.correct:,} of {evaluation.sequences:,})",
        "arithmetic": answer["arithmetic"],
        "samples": f"{split}, {evaluation.sequences:,}",
        "seconds": answer["seconds"],
    }
    rows = table("operation", ">elements", ">of")
    for name, saturated in evaluation.saturations.items():
        if saturated:
            rows.add_row(name, f"{saturated:,}", f"{evaluation.elements[name]:,}")
    show(as_json, answer, facts(evaluation.name, summary), *([rows] if rows.row_count else []))


def _float(path: Path, data: Path | None, split: str, count: int | None) -> "Evaluation":
    need("torch", "numba", "sklearn")
    from ssm_hdl.sw.checkpoint import load
    from ssm_hdl.sw.data import load as load_data
    from ssm_hdl.sw.evaluate import evaluate_float

    checkpoint = load(path)
    samples = split_of(load_data(checkpoint.inputs.name, data, progress=True), split, count)
    with progress(f"{path.stem}, float", len(samples)) as advance:
        return evaluate_float(checkpoint, samples, progress=advance)


def _integer(path: Path, data: Path | None, split: str, count: int | None, processes: int) -> "Evaluation":
    from ssm_hdl import Manifest
    from ssm_hdl.sw.evaluate import evaluate_integer

    manifest = Manifest.load(path)
    samples = split_of(dataset_of(manifest, data), split, count)
    with progress(f"{manifest.name}, integer", len(samples)) as advance:
        return evaluate_integer(manifest, samples, min(processes, 1 + len(samples) // 500), advance)
