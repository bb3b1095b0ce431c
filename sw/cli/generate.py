"""``ssm-hdl generate``: Verilog from a manifest, and what it will cost."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType

from ssm_hdl.errors import UsageError
from ssm_hdl.sw.cli import sizing
from ssm_hdl.sw.cli.console import Json, facts, need_picture, need_writable, show, table

if TYPE_CHECKING:
    from ssm_hdl.gen.report import Report
    from ssm_hdl.gen.size.planner import Sized

NAME = "generate"
EXAMPLE = "ssm-hdl generate manifests/s4d-16h --device lfe5u-25f --rate 16e3 -o s4d_16h.v"


@sizing.sized
def command(
    path: Annotated[Path, typer.Argument(metavar="MANIFEST", help="A manifest: its folder or manifest.yaml.")],
    size: sizing.Size,
    device: sizing.DeviceName = "generic",
    target: sizing.Target = None,
    roofline: Annotated[
        Path | None, typer.Option(help="Draw the plan under the limits of its device into this file, .svg, .png or .pdf.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="File to write; NAME.v if left out.")] = None,
    as_json: Json = False,
) -> None:
    """Write the Verilog of a manifest, one file for any tool, and print what it costs, stage by stage."""
    from ssm_hdl import Manifest
    from ssm_hdl.families import GENERIC_DEVICE, find_device
    from ssm_hdl.files import write_atomically
    from ssm_hdl.gen.verilog import generate, weights

    manifest, on = Manifest.load(path), find_device(device)
    if roofline is not None and on is GENERIC_DEVICE:
        raise UsageError("--roofline draws the limits of a device; name it with --device")
    need_picture(roofline)
    path = out or Path(f"{manifest.name}.v")
    need_writable(path)
    sized = size.plan(manifest, on)
    verilog, image = generate(manifest, sized.plan), weights(manifest, sized.plan)
    files = dict[str, object]()
    if roofline is not None:
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
    answer = {**files, **asdict(sized.report), "device": on.name, "clock_hz": sized.clock_hz, "rate_hz": sized.rate_hz}
    show(as_json, answer, *tables(sized.report, _on_device(sized) | named))


def _on_device(sized: "Sized") -> dict[str, object]:
    """What there is to say of a device: its clock, its limit, and the share of it that is taken."""
    device, report = sized.device, sized.report
    rate = {"time steps a second": f"{math.floor(sized.rate_hz):,} at {sized.clock_hz / 1e6:g} MHz"} if sized.clock_hz else {}
    if not device.bounded:
        return dict(rate)
    products = report.multiplications * sized.rate_hz
    taken = {
        "LUTs": (report.luts, device.luts), "DSP blocks": (report.dsp, device.dsps),
        "flip-flops": (report.flip_flops, device.flip_flops or 0),
        "block RAMs": (report.block_rams[device.family.name], device.rams), "SPRAMs": (report.sprams, device.sprams),
    }  # fmt: skip
    shares = (f"{used:,} of {there:,} {what}" for what, (used, there) in taken.items() if there)
    return {
        **rate,
        "multiplications a second": f"{products / 1e9:.3f} G, {products / device.limit:.0%} of the {device.limit / 1e9:.2f} G "
        "that all DSP blocks make at the clock of a bare kernel",
        f"of the {device.title}": ", ".join(shares),
    }


def _multipliers(in_blocks: int, of_luts: int) -> str:
    """Those of a stage: in DSP blocks, + of LUTs."""
    return f"{in_blocks or ''}{f'+{of_luts}' if of_luts else ''}"


def tables(report: "Report", more: dict[str, object] | None = None) -> tuple[RenderableType, RenderableType]:
    """A report for people."""
    from ssm_hdl.families import find_family

    family = find_family(report.family).costs
    stages = table("stage", "folding", ">mult", ">cycles", ">latency", ">DSP", ">RAM", ">LUT", ">busy")
    for stage in report.stages:
        stages.add_row(
            stage.name,
            stage.folding,
            _multipliers(stage.dsp_multipliers, stage.multipliers - stage.dsp_multipliers),
            f"{stage.cycles:,}",
            f"{stage.latency:,}",
            str(stage.dsp or ""),
            str(stage.block_rams[family] or ""),
            f"{'' if stage.fitted else '~'}{stage.luts:,}",
            f"{stage.busy:.0%}",
        )
    rams = ", ".join(f"{count} on {family}" for family, count in report.block_rams.items())
    shared = {"layers": f"{report.layers} share stages; {report.flight} time steps under way"} if report.layers > 1 else {}
    summary = {
        "cycles per step": f"{report.cycles:,.2f}".removesuffix(".00"),
        "latency of a step alone": f"{report.latency_alone:,} cycles, last sample in to last result out",
        "in the full pipeline": f"{report.latency_full:,} cycles",
        **shared,
        "multiplications a time step": f"{report.multiplications:,}",
        "multipliers": f"{report.dsp_multipliers} in {report.dsp} DSP blocks ({report.utilisation:.0%} of their cycles used), "
        f"{report.lut_multipliers} of LUTs",
        "memory": f"{report.memory_bits:,} bits; block RAMs: {rams}" + (f"; SPRAMs: {report.sprams}" if report.sprams else ""),
        "LUTs, flip-flops": f"about {report.luts:,} and {report.flip_flops:,}",
    }
    return stages, facts(f"{report.name}  for {report.family}", summary | (more or {}))
