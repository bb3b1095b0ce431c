"""``ssm-hdl import``: converts a public checkpoint to ours."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssm_hdl.errors import UsageError
from ssm_hdl.sw.cli.console import Json, Window, facts, need, need_writable, show

if TYPE_CHECKING:
    from ssm_hdl.sw.data import InputSpec

NAME = "import"
EXAMPLE = "ssm-hdl import s5.safetensors --from s5-pytorch --inputs mnist --out checkpoints/s5.safetensors"


def command(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Safetensors, .npz of NumPy, or a torch state dict.")],
    layout: Annotated[str, typer.Option("--from", metavar="LAYOUT", help="Who wrote it: s4d, s5-jax or s5-pytorch.")],
    inputs: Annotated[
        str, typer.Option(metavar="DATASET|FILE.npz", help="What it was trained on: digits, mnist, ..., or samples in a file.")
    ],
    out: Annotated[Path | None, typer.Option(help="Checkpoint to write; out/FILE.safetensors if left out.")] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            help="What it was trained to see subtracted, from the value of a code or from x of a file: a number, or one "
            "per channel with commas; ours if left out, 0 for nothing."
        ),
    ] = None,
    std: Annotated[
        str | None,
        typer.Option(
            help="What divides that; ours if left out, 1 for nothing (0.99609375 makes MNIST's bytes / 256 bytes / 255)."
        ),
    ] = None,
    gate: Annotated[str | None, typer.Option(help="Of s5-jax: half_glu1 (if left out) or half_glu2.")] = None,
    discretization: Annotated[str | None, typer.Option(help="Of s5-jax: zoh (if left out) or bilinear.")] = None,
    clip: Annotated[bool, typer.Option("--clip-eigs", help="Of s5-jax: it was trained with --clip_eigs.")] = False,
    window: Window = None,
    as_json: Json = False,
) -> None:
    """Convert a public checkpoint to ours. Every array is checked, and no code in the file is run."""
    need("torch", "numba")
    from ssm_hdl.sw import importers
    from ssm_hdl.sw.data import SPECS, load

    spec = SPECS[inputs] if inputs in SPECS else load(inputs, window=window).spec
    spec = dataclasses.replace(
        spec,
        mean=spec.mean if mean is None else numbers("mean", mean, spec),
        std=spec.std if std is None else numbers("std", std, spec),
    )
    options = {"gate": gate, "discretization": discretization, "clip": clip or None}
    given = {name: value for name, value in options.items() if value is not None}
    target = out or Path("out") / f"{path.stem}.safetensors"
    need_writable(target)
    checkpoint = importers.load(path, layout, spec, **given)
    checkpoint.save(target)
    answer = {
        "checkpoint": str(target),
        "model": checkpoint.model.config.family,
        **checkpoint.model.config.model_dump(),
        "dataset": spec.name,
        "parameters": sum(parameter.numel() for parameter in checkpoint.model.parameters()),
    }
    show(as_json, answer, facts(f"imported {path.name}", answer))


def numbers(name: str, text: str, spec: "InputSpec") -> tuple[float, ...]:
    """The numbers of ``--mean`` or ``--std``, one for all channels or one for each, in the unit of the data.

    Raises:
        SsmHdlError: it is not that.
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError as error:
        raise UsageError(f"--{name} {text} is no number, and no list of numbers with commas") from error
    values = values * spec.channels if len(values) == 1 else values
    if len(values) != spec.channels:
        raise UsageError(f"--{name} {text} has {len(values)} numbers; {spec.name} has {spec.channels} channels")
    if name == "std" and not min(values) > 0:
        raise UsageError(f"a standard deviation of {min(values)} divides nothing; give a positive --std")
    return tuple(value / scale for value, scale in zip(values, spec.scale or (1.0,) * spec.channels, strict=True))
