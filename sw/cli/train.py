"""``ssm-hdl train``: trains a float model on a data set."""

import dataclasses
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ssm_hdl.errors import SsmHdlError, UsageError
from ssm_hdl.extras import need
from ssm_hdl.sw.cli.console import (
    Folder,
    Hop,
    Json,
    Seed,
    Window,
    facts,
    in_words,
    need_device,
    need_writable,
    show,
    table,
)
from ssm_hdl.sw.progress import messages

NAME = "train"
EXAMPLE = "ssm-hdl train digits --out out/digits.safetensors"


def command(
    preset: Annotated[
        str | None,
        typer.Argument(
            metavar="PRESET",
            help="A model and its training, such as digits (a minute), s4d-16h (MNIST, an hour), "
            "har (HAPT, minutes), or small, for your own samples; --presets lists all.",
        ),
    ] = None,
    data: Folder = None,
    window: Window = None,
    hop: Hop = None,
    options: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="An option of the model, such as width=32 or layers=2; may be repeated.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Checkpoint to write; out/PRESET.safetensors if left out.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Passes over the training samples.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Samples per step of the optimiser.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Highest rate of the one-cycle schedule.")
    ] = None,
    ssm_learning_rate: Annotated[
        float | None, typer.Option(help="The same for the recurrence: A and dt, of an S5 B too.")
    ] = None,
    seed: Annotated[int | None, Seed] = None,
    device: Annotated[str, typer.Option(help="Of torch, such as cuda.")] = "cpu",
    listing: Annotated[bool, typer.Option("--presets", help="List all presets, and end.")] = False,
    as_json: Json = False,
) -> None:
    """Train a float model and write its checkpoint; the epoch that is best on the validation
    samples is kept."""
    need("torch", "numba")
    import torch

    from ssm_hdl.sw.data import is_file, load
    from ssm_hdl.sw.presets import COLUMNS, OWN, rows
    from ssm_hdl.sw.presets import preset as find
    from ssm_hdl.sw.score import main_score
    from ssm_hdl.sw.train import train
    from ssm_hdl.sw.train_config import change

    if listing:
        listed = table(*COLUMNS)
        for row in rows():
            listed.add_row(*row)
        show(as_json, {"presets": [dict(zip(COLUMNS, row, strict=True)) for row in rows()]}, listed)
        return
    if preset is None:
        raise UsageError("name a preset, such as small; --presets lists all")
    rates: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
    }
    rates |= {"ssm_learning_rate": ssm_learning_rate, "seed": seed}
    given = {name: value for name, value in rates.items() if value is not None}
    config = change(dataclasses.replace(find(preset), **given), options or [])
    target = out or Path("out") / f"{preset}.safetensors"
    need_writable(target)
    need_device(device)
    if config.dataset == OWN and (data is None or not is_file(data)):
        got = f", not {data}" if data else ""
        raise UsageError(
            f"{preset} is for samples of your own; give them with --data FILE.npz or FILE.txt{got} "
            "(docs/data.md)"
        )
    words = "".join(f" --{name.replace('_', '-')} {value}" for name, value in given.items())
    words += f" --device {device}" * (device != "cpu")
    began = time.monotonic()
    dataset = load(config.dataset, data, progress=True, window=window, hop=hop)
    if dataset.name != config.dataset:  # a user's file in its place
        config = dataclasses.replace(config, name=target.stem, dataset=dataset.name, curriculum=())
        cut = {"window": window, "hop": hop}
        words += f" --data {dataset.name}" + "".join(
            f" --{name} {steps}" for name, steps in cut.items() if steps
        )
    words += "".join(f" --set {option}" for option in options or [])
    try:
        with torch.device("meta"):
            config.model.build(dataset)
    except SsmHdlError as error:
        # the options, or the options and the samples, contradict each other
        raise UsageError(str(error)) from error
    first = [load(config.dataset, data, progress=True, window=steps) for steps in config.curriculum]
    told = f"ssm-hdl train {preset}{words}"
    checkpoint = train(
        dataset, config, progress=messages(), command=told, device=device, first=first
    )
    checkpoint.save(target)
    answer = {
        "checkpoint": str(target),
        "dataset": config.dataset,
        "model": config.model.family,
        **checkpoint.model.config.model_dump(),
        "parameters": sum(parameter.numel() for parameter in checkpoint.model.parameters()),
        **{
            name: float(value)
            for name, value in checkpoint.metadata.items()
            if name.endswith(("accuracy", "r2"))
        },
        "seconds": round(time.monotonic() - began, 1),
        "command": checkpoint.metadata["command"],
    }
    score = main_score(dataset)  # of the test samples
    named = {f"test_{name}" if name == score else name: value for name, value in answer.items()}
    show(as_json, answer, facts(f"trained {preset}", in_words(named)))
