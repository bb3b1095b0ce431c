"""``ssm-hdl finetune``: quantisation-aware training of a manifest."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ssm_hdl.extras import need
from ssm_hdl.sw.cli.console import (
    Folder,
    Json,
    Seed,
    facts,
    in_words,
    need_apart,
    need_writable,
    show,
)
from ssm_hdl.sw.progress import messages

NAME = "finetune"
TRAINED = "fine-tuned (QAT)"
EXAMPLE = "ssm-hdl finetune manifests/s4d-16h-w4a6x6 --out out/s4d-16h-w4a6x6-qat"


def command(
    path: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="A manifest of `ssm-hdl quantize`.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder, which names the new manifest; out/NAME-qat if left out."),
    ] = None,
    data: Folder = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training samples.")] = 4,
    images: Annotated[
        int | None, typer.Option(min=1, help="Training samples of an epoch; all if left out.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Samples per step of the optimiser.")] = 64,
    learning_rate: Annotated[
        float, typer.Option(help="Largest step of a code, in parts of its tensor's mean size.")
    ] = 0.003,
    label_smoothing: Annotated[
        float, typer.Option(min=0, max=0.9, help="Probability given to all classes alike.")
    ] = 0.0,
    teacher: Annotated[
        Path | None,
        typer.Option(
            metavar="CHECKPOINT",
            help="Float model whose outputs are learnt in place of the labels (distillation).",
        ),
    ] = None,
    seed: Annotated[int, Seed] = 0,
    again: Annotated[
        bool, typer.Option("--again", help="Begin anew, even if a stopped run could be continued.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train the codes of a manifest (QAT), with the integer program itself as the forward pass.

    The epoch that is best on the validation samples is kept. The run is saved beside the new
    manifest after each epoch. Stop it as you like: the same command continues it,
    to the same codes.
    """
    need("torch", "numba")
    from ssm_hdl import Manifest
    from ssm_hdl.manifest import FILE, file_of
    from ssm_hdl.sw.checkpoint import load
    from ssm_hdl.sw.cli.samples import dataset_of
    from ssm_hdl.sw.qat.finetune import finetune
    from ssm_hdl.sw.qat.finetune_config import FinetuneConfig
    from ssm_hdl.sw.score import epoch_score

    manifest = Manifest.load(path)
    folder = out or Path("out") / f"{path.resolve().name}-qat"
    need_apart("--out", folder / FILE, file_of(path))
    run_file = folder / "run.safetensors"  # lets a stopped run go on; removed at the end
    for file in (folder / FILE, run_file):
        need_writable(file)
    config = FinetuneConfig(epochs, images, batch_size, learning_rate, label_smoothing, seed)
    began = time.monotonic()
    teaching = None if teacher is None else load(teacher)  # data may take a download
    dataset = dataset_of(manifest, data)
    if again:
        run_file.unlink(missing_ok=True)
    done = finetune(manifest, dataset, config, run_file, messages(), teacher=teaching)
    score = epoch_score(dataset)
    # it and the one before training have two names
    trained = done.manifest.described(TRAINED).named(folder.resolve().name)
    answer = {
        "manifest": str(trained.save(folder)),
        "name": trained.name,
        f"val_{score}_before": done.before,
        f"val_{score}": done.best,
        "seconds": round(time.monotonic() - began, 1),
    }
    run_file.unlink(missing_ok=True)
    show(as_json, answer, facts(f"fine-tuned {manifest.name}", in_words(answer)))
