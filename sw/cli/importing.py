"""``ssm-hdl import``: converts a public checkpoint to ours."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssm_hdl.errors import UsageError
from ssm_hdl.extras import need
from ssm_hdl.sw.cli.console import Folder, Json, Window, facts, need_writable, show, table
from ssm_hdl.sw.progress import messages

if TYPE_CHECKING:
    from ssm_hdl.sw.checkpoint import Checkpoint
    from ssm_hdl.sw.data import InputSpec

NAME = "import"
EXAMPLE = (
    "ssm-hdl import public.pth --inputs mnist --norm-order postnorm --out out/public.safetensors"
)


def command(
    path: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Safetensors, .npz of NumPy, or a torch state dict."),
    ],
    inputs: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET|FILE",
            help="What it was trained on: digits, mnist, ..., samples in an .npz file or a text.",
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="LAYOUT",
            help="Who wrote it: s4d, s5-jax, s5-pytorch or mamba; recognised if left out.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Checkpoint to write; out/FILE.safetensors if left out.")
    ] = None,
    data: Folder = None,
    mean: Annotated[
        str | None,
        typer.Option(
            help="What it was trained to see subtracted, from the value of a code or from x of a "
            "file: a number, or one per channel with commas; of a data set ours if left out, "
            "0 for nothing."
        ),
    ] = None,
    std: Annotated[
        str | None,
        typer.Option(
            help="What divides that; of a data set ours if left out, "
            "1 for nothing (0.99609375 makes MNIST's bytes / 256 bytes / 255)."
        ),
    ] = None,
    norm_order: Annotated[
        str | None,
        typer.Option(help="prenorm: the norm is before the SSM; postnorm: after the residual."),
    ] = None,
    activation: Annotated[
        str | None, typer.Option(help="After the SSM: gelu, the exact one, or gelu_tanh.")
    ] = None,
    pooling: Annotated[
        str | None,
        typer.Option(help="Of the steps: mean, last, max or none; measured with --data."),
    ] = None,
    gate: Annotated[
        str | None,
        typer.Option(help="Of s5-jax with one dense in its gate: half_glu1 or half_glu2."),
    ] = None,
    discretization: Annotated[
        str | None,
        typer.Option(help="zoh or bilinear; the one of the code that wrote the file if left out."),
    ] = None,
    clip: Annotated[
        bool, typer.Option("--clip-eigs", help="Of s5-jax: it was trained with --clip_eigs.")
    ] = False,
    residual: Annotated[
        str | None,
        typer.Option(
            help="Of a mamba of one block, or with blocks of its own: yes, "
            "a block adds its input, or no."
        ),
    ] = None,
    renamed: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="OLD=NEW",
            help="Another name for an array, or for a part of names; OLD= leaves it out. "
            "May be repeated.",
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Of the state dict, if the file holds several.")
    ] = None,
    window: Window = None,
    as_json: Json = False,
) -> None:
    """Convert a public checkpoint to ours. Every array is checked, and no code in the file is run.

    What the arrays do not tell has to be given. With --data,
    all readings are measured on its samples, and the best is taken.
    """
    need("torch", "numba")
    from ssm_hdl.sw import importers
    from ssm_hdl.sw.data import SPECS, is_file, load
    from ssm_hdl.sw.data.npz import is_samples
    from ssm_hdl.sw.importers.readings import measure, only
    from ssm_hdl.sw.score import TITLES, main_score, score_text

    if is_samples(path):
        raise UsageError(
            f"{path} is samples, not a checkpoint; name the file of a model, "
            f"and give samples with --data {path}"
        )
    if inputs is None and (data is None or not (is_file(data) or data.is_file())):
        raise UsageError(
            f"say what {path.name} was trained on: give --inputs {', '.join(SPECS)}, "
            "FILE.npz or FILE.txt"
        )
    name = inputs or str(data)
    if window and name in SPECS and data is None:
        raise UsageError(
            f"--window cuts a recording in an .npz file, and {name} is not read; leave it out"
        )
    samples = (
        None if name in SPECS and data is None else load(name, data, progress=True, window=window)
    )
    spec = SPECS[name] if samples is None else samples.spec
    normalised = mean is not None and std is not None
    if (
        samples is not None
        and data is None
        and not (normalised or spec.tokens)
        and name not in SPECS
    ):
        raise UsageError(
            f"{path.name} does not tell its normalisation: give --mean and --std (0 and 1 for "
            f"nothing), or measure it with --data {name}"
        )
    spec = dataclasses.replace(
        spec,
        mean=spec.mean if mean is None else numbers("mean", mean, spec),
        std=spec.std if std is None else numbers("std", std, spec),
    )
    options = {
        "gate": gate,
        "discretization": discretization,
        "clip_eigs": clip or None,
        "norm_order": norm_order,
    }
    options |= {"activation": activation, "pooling": pooling, "residual": residual}
    given = {name: value for name, value in options.items() if value is not None}
    pairs = dict(_pair(text) for text in renamed or ())
    target = out or Path("out") / f"{path.stem}.safetensors"
    need_writable(target)

    def read(spec: "InputSpec", options: Any) -> "Checkpoint":
        return importers.load(path, layout, spec, key, pairs, **options)

    fixed = mean is not None or std is not None or bool(spec.tokens)
    readings = (
        [] if data is None or samples is None else measure(read, spec, given, samples.all(), fixed)
    )
    checkpoint = readings[0].checkpoint if readings else only(read, spec, given)
    if not readings and not normalised and not spec.tokens:
        messages().print(
            f"normalisation: that of {spec.name}; give --mean and --std if the code that "
            "trained it differs"
        )
    if not readings and pooling is None and not spec.per_step:  # else it would have been asked for
        messages().print(
            "pooling: mean; give --pooling last or max if the code that trained it differs"
        )
    checkpoint.save(target)
    spec, kind = checkpoint.inputs, main_score(checkpoint.inputs)
    answer = {
        "checkpoint": str(target),
        "model": checkpoint.model.config.family,
        **checkpoint.model.config.model_dump(),
        "dataset": spec.name,
        "mean": list(spec.mean),
        "std": list(spec.std),
        "parameters": sum(parameter.numel() for parameter in checkpoint.model.parameters()),
    }
    measured = [{**one.options, kind: one.score, "samples": one.samples} for one in readings]
    answer |= {"readings": measured} if measured else {}
    shown = [
        facts(
            f"imported {path.name}",
            {key: value for key, value in answer.items() if key != "readings"},
        )
    ]
    if readings:
        rows = table("reading", f">{TITLES[kind]}", ">samples")
        for reading in readings:
            told = ", ".join(f"{key} {value}" for key, value in reading.options.items())
            rows.add_row(told, score_text(kind, reading.score), f"{reading.samples:,}")
        shown.append(rows)
    show(as_json, answer, *shown)


def _pair(text: str) -> tuple[str, str]:
    old, equals, new = text.partition("=")
    if not (old and equals):
        raise UsageError(
            f"--map {text} is not OLD=NEW, such as --map head=decoder, "
            "or OLD= to leave an array out"
        )
    return old, new


def numbers(name: str, text: str, spec: "InputSpec") -> tuple[float, ...]:
    """The numbers of ``--mean`` or ``--std``, one for all channels or one for each,
    in the unit of the data.

    Raises:
        SsmHdlError: it is not that.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(
            f"--{name} {text} is no number, and no list of numbers with commas"
        ) from error
    if not all(map(math.isfinite, values)):
        raise UsageError(f"--{name} {text} is not finite; give numbers")
    values = values * spec.channels if len(values) == 1 else values
    if len(values) != spec.channels:
        raise UsageError(
            f"--{name} {text} has {len(values)} numbers; {spec.name} has {spec.channels} channels"
        )
    if name == "std" and not min(values) > 0:
        raise UsageError(
            f"a standard deviation of {min(values)} divides nothing; give a positive --std"
        )
    return tuple(
        value / scale
        for value, scale in zip(values, spec.scale or (1.0,) * spec.channels, strict=True)
    )
