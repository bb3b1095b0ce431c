"""``ssm-hdl quantize``: post-training quantization (PTQ) of a checkpoint to a manifest."""

from pathlib import Path
from typing import Annotated

import typer

from ssm_hdl.extras import need
from ssm_hdl.sw.cli.console import Folder, Json, facts, need_writable, progress, show, table

NAME = "quantize"
EXAMPLE = "ssm-hdl quantize checkpoints/digits.safetensors --recipe w4a8 --out out/digits-w4a8"


def command(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", help="Checkpoint of `ssm-hdl train` or `ssm-hdl import`."
        ),
    ],
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Bit widths: w8a8, w8a8x8, w4a8, w4a6x8, w4a6x6, a6, a4x8, tenth; of a Mamba "
            "mamba-w8a8, mamba-w8a8h, mamba-w8a8x8, mamba-w4a8, mamba-plain, mamba-percentile, "
            "mamba-hadamard, mamba-quamba; or a YAML file. w8a8 if left out, of a Mamba mamba-w8a8."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder, which names the manifest; out/NAME if left out.")
    ] = None,
    data: Folder = None,
    as_json: Json = False,
) -> None:
    """Quantize a trained model to a manifest (PTQ): integers from end to end,
    calibrated on training samples."""
    need("torch", "numba")
    from ssm_hdl.manifest import FILE
    from ssm_hdl.sw import checkpoint as checkpoints
    from ssm_hdl.sw.data import load_for
    from ssm_hdl.sw.quantize import Recipe, effort, quantize, usual

    model = checkpoints.load(checkpoint)
    widths = Recipe.load(usual("w8a8", model.model.config.family) if recipe is None else recipe)
    folder = out or Path("out") / checkpoint.stem
    need_writable(folder / FILE)
    dataset = load_for(model.inputs, data, progress=True)
    with progress(f"quantizing {checkpoint.stem}", effort(model, dataset, widths)) as advance:
        quantized = quantize(model, dataset, widths, advance)
    # modules of two recipes have two names
    manifest = quantized.manifest.named(folder.resolve().name)
    path = manifest.save(folder)
    answer = {
        "manifest": str(path),
        "name": manifest.name,
        "recipe": widths.name,
        "edges": {
            name: {"format": error.format, "sqnr_db": error.sqnr_db, "saturated": error.saturated}
            for name, error in quantized.errors.items()
        },
    }
    rows = table("edge", "format", ">SQNR (dB)", ">saturated")
    for name, error in quantized.errors.items():
        rows.add_row(name, error.format, f"{error.sqnr_db:.1f}", f"{error.saturated:.4%}")
    show(as_json, answer, facts(f"{manifest.name}  {widths.name}", {"manifest": path}), rows)
