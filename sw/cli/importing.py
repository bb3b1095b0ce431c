"""``ssm-hdl import``: converts a public checkpoint to ours."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.cli.console import Json, facts, need, need_writable, show

NAME = "import"
EXAMPLE = "ssm-hdl import s5.safetensors --from s5-pytorch --inputs mnist --out checkpoints/s5.safetensors"


def command(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="Safetensors, .npz of NumPy, or a torch state dict.")],
    layout: Annotated[str, typer.Option("--from", metavar="LAYOUT", help="Who wrote it: s4d, s5-jax or s5-pytorch.")],
    inputs: Annotated[str, typer.Option(metavar="DATASET", help="What it was trained on: digits, mnist, ...")],
    out: Annotated[Path | None, typer.Option(help="Checkpoint to write; out/FILE.safetensors if left out.")] = None,
    mean: Annotated[
        float | None,
        typer.Option(
            help="What it was trained to see subtracted from a code's value, code * lsb; ours if left out, 0 for nothing."
        ),
    ] = None,
    std: Annotated[
        float | None,
        typer.Option(
            help="What divides that; ours if left out, 1 for nothing (0.99609375 makes MNIST's bytes / 256 bytes / 255)."
        ),
    ] = None,
    gate: Annotated[str | None, typer.Option(help="Of s5-jax: half_glu1 (if left out) or half_glu2.")] = None,
    discretization: Annotated[str | None, typer.Option(help="Of s5-jax: zoh (if left out) or bilinear.")] = None,
    clip: Annotated[bool, typer.Option("--clip-eigs", help="Of s5-jax: it was trained with --clip_eigs.")] = False,
    as_json: Json = False,
) -> None:
    """Convert a public checkpoint to ours. Every array is checked, and no code in the file is run."""
    need("torch", "numba")
    from ssm_hdl.sw import importers
    from ssm_hdl.sw.data import SPECS

    if inputs not in SPECS:
        raise SsmHdlError(f"no data set is called {inputs!r}; there are {', '.join(SPECS)}")
    if std is not None and not std > 0:
        raise SsmHdlError(f"a standard deviation of {std} divides nothing; give a positive --std")
    spec = SPECS[inputs]
    spec = dataclasses.replace(spec, mean=spec.mean if mean is None else (mean,), std=spec.std if std is None else (std,))
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
        "dataset": inputs,
        "parameters": sum(parameter.numel() for parameter in checkpoint.model.parameters()),
    }
    show(as_json, answer, facts(f"imported {path.name}", answer))
