"""``ssm-hdl generate``: Verilog from a manifest, and what it will cost."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.cli.console import Json, facts, show, table

if TYPE_CHECKING:
    from ssm_hdl.gen.report import Report

NAME = "generate"
EXAMPLE = "ssm-hdl generate manifests/s4d-16h --dsp 8 --target ecp5 --fold mixing=2 -o s4d_16h.v"

Dsp = Annotated[int, typer.Option(min=1, help="DSP blocks to spend in all.")]
Target = Annotated[str, typer.Option(help="Multipliers for: generic (any tool infers them), ice40 or ecp5 (instantiated).")]
Fold = Annotated[
    list[str] | None,
    typer.Option(
        metavar="STAGE=N",
        help="Multipliers of one stage, or its folding such as 2x4 (rows x columns), where you decide; may be repeated.",
    ),
]
ShareLayers = Annotated[
    bool,
    typer.Option(
        "--share-layers",
        help="The layers of a deep model share one set of stages: smaller, and as fast with as many multipliers.",
    ),
]


def command(
    path: Annotated[Path, typer.Argument(metavar="MANIFEST", help="A manifest: its folder or manifest.yaml.")],
    dsp: Dsp = 8,
    target: Target = "generic",
    fold: Fold = None,
    share_layers: ShareLayers = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; NAME.v if left out.")] = None,
    as_json: Json = False,
) -> None:
    """Write the Verilog of a manifest, one file for any tool, and print what it costs, stage by stage.

    Tables in SPRAM, if it is for ice40 and needs some, go to a file beside it, NAME.weights.bin.
    """
    from ssm_hdl import Manifest
    from ssm_hdl.files import write_atomically
    from ssm_hdl.gen.plan import Plan
    from ssm_hdl.gen.report import estimate
    from ssm_hdl.gen.spram import spill
    from ssm_hdl.gen.verilog import generate, weights

    manifest = Manifest.load(path)
    plan = spill(manifest, Plan.fit(manifest, dsp, target, foldings(fold), share_layers))
    report = estimate(manifest, plan)
    verilog, image, path = generate(manifest, plan), weights(manifest, plan), out or Path(f"{manifest.name}.v")
    files: dict[str, object] = {}
    if image:  # first, so that the Verilog never stands beside the weights of another
        files["weights"] = str(write_atomically(path.with_suffix(".weights.bin"), image))
    files["verilog"] = str(write_atomically(path, verilog))
    named = {"Verilog": files["verilog"]} | ({"weights, for the port w": files["weights"]} if image else {})
    show(as_json, {**files, **asdict(report)}, *tables(report, named))


def foldings(options: list[str] | None) -> dict[str, str]:
    """The ``STAGE=N`` of a command line.

    Raises:
        SsmHdlError: one is not of this form.
    """
    folding = {}
    for option in options or []:
        stage, _, number = option.partition("=")
        if not stage or not number[:1].isdecimal():
            raise SsmHdlError(f"--fold {option} is not of the form STAGE=N, such as --fold mixing=2 or --fold mixing=2x4")
        folding[stage] = number
    return folding


def tables(report: "Report", more: dict[str, object] | None = None) -> tuple[RenderableType, RenderableType]:
    """A report for people."""
    stages = table("stage", "op", ">products", ">multipliers", ">cycles", ">latency", ">memory bits", ">busy")
    for stage in report.stages:
        kind = " LUT" if stage.kind == "lut" else f" in {stage.blocks} DSP"
        stages.add_row(
            stage.name,
            stage.op if stage.layers == 1 else f"{stage.op} x {stage.layers} layers",
            f"{stage.multiplications:,}" if stage.multiplications else "",
            f"{stage.multipliers}{kind}" if stage.multipliers else "",
            f"{stage.cycles:,}",
            f"{stage.latency:,}",
            f"{stage.memory_bits:,}" if stage.memory_bits else "",
            f"{stage.busy:.0%}",
        )
    rams = ", ".join(f"{count} on {family}" for family, count in report.block_rams.items())
    shared = {"layers": f"{report.layers} share stages; {report.flight} time steps under way"} if report.layers > 1 else {}
    summary = {
        "cycles a time step": f"{report.cycles:,}",
        "latency": f"{report.latency:,} cycles, last sample in to last result out",
        **shared,
        "multiplications a time step": f"{report.multiplications:,}",
        "multipliers": f"{report.dsp_multipliers} in {report.dsp} DSP blocks ({report.utilisation:.0%} of their cycles used), "
        f"{report.lut_multipliers} of LUTs",
        "memory": f"{report.memory_bits:,} bits; block RAMs: {rams}" + (f"; SPRAMs: {report.sprams}" if report.sprams else ""),
        "LUTs": f"about {report.luts:,}",
    }
    return stages, facts(f"{report.name}  for {report.target}", summary | (more or {}))
