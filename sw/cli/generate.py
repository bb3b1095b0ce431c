"""``ssm-hdl generate``: Verilog from a manifest, and what it will cost."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.cli.console import Json, facts, need, show, table
from ssm_hdl.sw.cli.sizing import Clock, DeviceName, Dsp, Fold, Max, Rate, ShareLayers, Target, plan_for

if TYPE_CHECKING:
    from ssm_hdl.gen.report import Report
    from ssm_hdl.gen.sizer import Sized

NAME = "generate"
EXAMPLE = "ssm-hdl generate manifests/s4d-16h --device lfe5u-25f --rate 16e3 -o s4d_16h.v"


def command(
    path: Annotated[Path, typer.Argument(metavar="MANIFEST", help="A manifest: its folder or manifest.yaml.")],
    device: DeviceName = None,
    rate: Rate = None,
    fastest: Max = False,
    clock: Clock = None,
    dsp: Dsp = None,
    target: Target = None,
    fold: Fold = None,
    share_layers: ShareLayers = None,
    roofline: Annotated[
        Path | None, typer.Option(help="Draw the plan under the limits of its device into this file, .svg, .png or .pdf.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; NAME.v if left out.")] = None,
    as_json: Json = False,
) -> None:
    """Write the Verilog of a manifest, one file for any tool, and print what it costs, stage by stage."""
    from ssm_hdl import Manifest
    from ssm_hdl.files import write_atomically
    from ssm_hdl.gen.report import estimate
    from ssm_hdl.gen.verilog import generate, weights

    manifest = Manifest.load(path)
    plan, sized = plan_for(manifest, dsp, target, fold, share_layers, device, rate, fastest, clock)
    if roofline is not None and sized is None:
        raise SsmHdlError("--roofline draws the limits of a device; name it with --device")
    report = estimate(manifest, plan) if sized is None else sized.report
    verilog, image, path = generate(manifest, plan), weights(manifest, plan), out or Path(f"{manifest.name}.v")
    files: dict[str, object] = {}
    if roofline is not None and sized is not None:
        need("matplotlib")
        from ssm_hdl.sw.roofline import draw

        files["roofline"] = str(draw(sized, roofline))
    beside = path.with_suffix(".weights.bin")
    if image:  # first, so that the Verilog never stands beside the weights of another
        files["weights"] = str(write_atomically(beside, image))
    files["verilog"] = str(write_atomically(path, verilog))
    if not image:
        beside.unlink(missing_ok=True)
    names = {"roofline": "roofline", "weights": "weights, for the port w", "verilog": "Verilog"}
    named = {names[kind]: file for kind, file in files.items()}
    answer = {**files, **report.to_dict()}
    if sized is not None:
        answer |= {"device": sized.device.name, "clock_hz": sized.clock_hz, "rate_hz": sized.rate_hz}
    show(as_json, answer, *tables(report, _sized(sized) | named))


def _sized(sized: "Sized | None") -> dict[str, object]:
    """What there is to say of a device."""
    if sized is None:
        return {}
    device, report = sized.device, sized.report
    products = report.multiplications * sized.rate_hz
    taken = {
        "LUTs": (report.luts, device.luts), "DSP blocks": (report.dsp, device.dsps),
        "flip-flops": (report.flip_flops, device.flip_flops or 0),
        "block RAMs": (report.block_rams[device.family], device.rams), "SPRAMs": (report.sprams, device.sprams),
    }  # fmt: skip
    shares = (f"{used:,} of {there:,} {what}" for what, (used, there) in taken.items() if there)
    return {
        "time steps a second": f"{sized.rate_hz:,.0f} at {sized.clock_hz / 1e6:g} MHz",
        "multiplications a second": f"{products / 1e9:.3f} G, {products / device.limit:.0%} of {device.limit / 1e9:.2f} G, the "
        "limit of the DSP blocks alone at the clock of a bare kernel",
        f"of the {device.title}": ", ".join(shares),
    }


def _multipliers(in_blocks: int, of_luts: int) -> str:
    """Those of a stage."""
    return " + ".join(f"{number}{kind}" for number, kind in ((in_blocks, ""), (of_luts, " LUT")) if number)


def tables(report: "Report", more: dict[str, object] | None = None) -> tuple[RenderableType, RenderableType]:
    """A report for people."""
    from ssm_hdl.gen.report import COUNTED_AS

    family = COUNTED_AS.get(report.target, report.target)
    stages = table(
        "stage", "op", ">products", "folding", ">multipliers", ">cycles", ">latency", ">DSP", ">RAM", ">LUT", ">busy"
    )  # fmt: skip
    for stage in report.stages:
        stages.add_row(
            stage.name,
            stage.op if stage.layers == 1 else f"{stage.op} x {stage.layers} layers",
            f"{stage.multiplications:,}" if stage.multiplications else "",
            stage.folding,
            _multipliers(stage.dsp_multipliers, stage.multipliers - stage.dsp_multipliers),
            f"{stage.cycles:,}",
            f"{stage.latency:,}",
            str(stage.dsp or ""),
            str(stage.block_rams[family] or ""),
            f"{stage.luts:,}",
            f"{report.busy(stage):.0%}",
        )
    rams = ", ".join(f"{count} on {family}" for family, count in report.block_rams.items())
    shared = {"layers": f"{report.layers} share stages; {report.flight} time steps under way"} if report.layers > 1 else {}
    summary = {
        "cycles a time step": f"{report.cycles:,.10g}",
        "latency of a step alone": f"{report.latency_alone:,} cycles, last sample in to last result out",
        "in the full pipeline": f"{report.latency_full:,} cycles",
        **shared,
        "multiplications a time step": f"{report.multiplications:,}",
        "multipliers": f"{report.dsp_multipliers} in {report.dsp} DSP blocks ({report.utilisation:.0%} of their cycles used), "
        f"{report.lut_multipliers} of LUTs",
        "memory": f"{report.memory_bits:,} bits; block RAMs: {rams}" + (f"; SPRAMs: {report.sprams}" if report.sprams else ""),
        "LUTs, flip-flops": f"about {report.luts:,} and {report.flip_flops:,}",
    }
    return stages, facts(f"{report.name}  for {report.target}", summary | (more or {}))
