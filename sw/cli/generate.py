"""``ssm-hdl generate``: Verilog from a manifest, and what it will cost."""

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import RenderableType

from ssm_hdl.errors import UsageError
from ssm_hdl.extras import need
from ssm_hdl.sw.cli import sizing
from ssm_hdl.sw.cli.console import (
    Json,
    facts,
    need_apart,
    need_picture,
    need_writable,
    progress,
    show,
    table,
)

if TYPE_CHECKING:
    from ssm_hdl import Manifest
    from ssm_hdl.families import Device
    from ssm_hdl.gen.report import Report
    from ssm_hdl.gen.size.planner import Sized

NAME = "generate"
EXAMPLE = "ssm-hdl generate manifests/s4d-16h --device lfe5u-25f --rate 16e3 -o s4d_16h.v"

SEQUENCES = 2
"""Sequences of the testbench of a package."""

CLOCK_HZ = 50e6
"""Clock in the constraints of a package for no device in particular."""


@sizing.sized
def command(
    path: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="A manifest: its folder or manifest.yaml.")
    ],
    size: sizing.Size,
    device: sizing.DeviceName = "generic",
    target: sizing.Target = None,
    roofline: Annotated[
        Path | None,
        typer.Option(
            help="Draw the plan under the limits of its device into this file, .svg, .png or .pdf."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; NAME.v if left out.")
    ] = None,
    wrap: Annotated[
        str | None,
        typer.Option(
            metavar="BUS", help="axi-stream, lite, wishbone or spi in place of the streams."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the module; the manifest's if left out.")
    ] = None,
    memories: Annotated[
        bool,
        typer.Option(
            "--memory-files",
            help="Tables in files beside the Verilog, which reads them by $readmemh.",
        ),
    ] = False,
    package: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write a folder: Verilog, an instance to copy, SDC, FuseSoC core, testbench; "
            "or the C driver of a bus.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write the Verilog of a manifest, one file for any tool, and print what it costs,
    stage by stage."""
    from ssm_hdl import Manifest
    from ssm_hdl.families import GENERIC_DEVICE, find_device
    from ssm_hdl.files import written_through
    from ssm_hdl.gen.verilog import generate, memory_files, weights, write
    from ssm_hdl.gen.wrappers import find_wrapper
    from ssm_hdl.identifiers import module_name
    from ssm_hdl.manifest import file_of

    manifest, on = Manifest.load(path), find_device(device)
    title = module_name(name or manifest.name, "--name")
    if package is not None and out is not None:
        raise UsageError("--package names the folder of all files; leave --out out")
    if wrap is not None:
        find_wrapper(wrap)
    if roofline is not None and on is GENERIC_DEVICE:
        raise UsageError("--roofline draws the limits of a device; name it with --device")
    need_picture(roofline)
    command = " ".join(
        (
            "ssm-hdl generate",
            path.parent.name if path.suffix else path.name,
            *on_device(on),
            *size.words(),
            *(["--wrap", wrap] if wrap else []),
            *(["--name", name] if name else []),
        )
    )
    source = file_of(path)
    if package is not None and file_of(package).exists():
        raise UsageError(
            f"--package {package} is the folder of a manifest, and a package has its own; "
            "choose another"
        )
    of_manifest = source, source.parent / manifest.graph.weights
    path = (out or Path(f"{title}.v")) if package is None else package / f"{title}.v"
    need_writable(path)
    need_apart("--out", path, *of_manifest)
    need_apart("--roofline", roofline, path, *of_manifest)
    if memories and written_through(path):
        raise UsageError(
            f"--memory-files are written beside the Verilog, and {path} is no file; "
            "name one with --out"
        )
    sized = size.plan(manifest, on)
    with progress(f"{manifest.name}: Verilog", None):
        verilog = generate(
            manifest, sized.plan, name=title, command=command, report=sized.report, wrap=wrap or ""
        )
        image = weights(manifest, sized.plan)
    verilog, tables_of = memory_files(verilog) if memories else (verilog, {})
    files = dict[str, object]()
    if roofline is not None:
        from ssm_hdl.sw.roofline import draw

        files["roofline"] = str(draw(sized, roofline))
    if tables_of:
        files["memories"] = str(path.parent / f"{title}_*.hex")
    if package is not None:
        files["package"] = str(
            packed(manifest, sized, title, [path.name, *tables_of], wrap, package)
        )
    files |= {kind: str(file) for kind, file in write(path, verilog, image, tables_of).items()}
    names = {
        "roofline": "roofline",
        "weights": "weights, for the port w",
        "verilog": "Verilog",
        "package": "package",
    }
    names |= {"memories": "tables, by $readmemh"}
    named = {names[kind]: file for kind, file in files.items()}
    answer = {
        **files,
        **asdict(sized.report),
        "device": on.name,
        "clock_hz": sized.clock_hz,
        "rate_hz": sized.rate_hz,
    }
    show(as_json, answer, *tables(sized.report, taken(sized) | named))


def on_device(device: "Device") -> list[str]:
    """The words of a command line that name a device."""
    return ["--device", device.name] if device.bounded else []


def packed(
    manifest: "Manifest",
    sized: "Sized",
    name: str,
    verilog: list[str],
    wrap: str | None,
    folder: Path,
) -> Path:
    """Write the files of a package beside the Verilog; vectors are random,
    results come from the golden model."""
    from ssm_hdl.files import write_atomically
    from ssm_hdl.gen.driver import driver
    from ssm_hdl.gen.package import Vectors, package, wrapped
    from ssm_hdl.gen.verilog import weights
    from ssm_hdl.gen.wrappers import find_wrapper
    from ssm_hdl.sim.cells import with_cells
    from ssm_hdl.sim.compiler import Design
    from ssm_hdl.sim.golden import run
    from ssm_hdl.sw.cli.samples import samples_of

    need(*(["pyosys"] if sized.plan.family.cell_models else []))
    samples = manifest.check_samples(
        next(iter(samples_of(manifest, "random", None, SEQUENCES, 0).batches(SEQUENCES)))[1]
    )
    cells = with_cells(Design("", name), sized.plan.family).sources
    vectors, clock_hz = Vectors(samples, run(manifest, samples).outputs), sized.clock_hz or CLOCK_HZ
    if wrap is None:
        image = weights(manifest, sized.plan)
        files = package(
            manifest, name, verilog, clock_hz, vectors, image, [path.name for path in cells]
        )
    else:
        files = wrapped(manifest, wrap, name, verilog, clock_hz)
        files |= driver(manifest, name, vectors) if find_wrapper(wrap).driven else {}
    for path in cells:
        write_atomically(folder / path.name, path.read_bytes())
    for file, text in files.items():
        write_atomically(folder / file, text)
    return folder


def taken(sized: "Sized") -> dict[str, object]:
    """What there is to say of a device: its clock, its limit, and the share of it that is taken."""
    device, report = sized.device, sized.report
    rate = (
        {"time steps per second": f"{math.floor(sized.rate_hz):,} at {sized.clock_hz / 1e6:g} MHz"}
        if sized.clock_hz
        else {}
    )
    if not device.bounded:
        return dict(rate)
    products = report.multiplications * sized.rate_hz
    resources = {
        "LUTs": (report.luts, device.luts), "DSP blocks": (report.dsp, device.dsps),
        "flip-flops": (report.flip_flops, device.flip_flops or 0),
        "block RAMs": (report.block_rams[device.family.name], device.rams),
        "SPRAMs": (report.sprams, device.sprams),
    }  # fmt: skip
    shares = (f"{used:,} of {there:,} {what}" for what, (used, there) in resources.items() if there)
    return {
        **rate,
        "multiplications per second": f"{products / 1e9:.3f} G, {products / device.limit:.0%} of "
        f"the {device.limit / 1e9:.2f} G that all DSP blocks make at the clock of a bare kernel",
        f"of the {device.title}": ", ".join(shares),
    }


def _multipliers(in_blocks: int, of_luts: int) -> str:
    """The multipliers of a stage: in DSP blocks, + of LUTs."""
    return f"{in_blocks or ''}{f'+{of_luts}' if of_luts else ''}"


def tables(
    report: "Report", more: dict[str, object] | None = None
) -> tuple[RenderableType, RenderableType]:
    """A report for people."""
    from ssm_hdl.families import find_family

    family = find_family(report.family).costs
    stages = table(
        "stage", "folding", ">mult", ">cycles", ">latency", ">DSP", ">RAM", ">LUT", ">busy"
    )
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
    shared = (
        {"layers": f"{report.layers} share stages; {report.flight} time steps under way"}
        if report.layers > 1
        else {}
    )
    summary = {
        "cycles per step": f"{report.cycles:,.2f}".removesuffix(".00"),
        "latency of a step alone": f"{report.latency_alone:,} cycles, "
        "last sample in to last result out",
        "in the full pipeline": f"{report.latency_full:,} cycles",
        **shared,
        "multiplications per time step": f"{report.multiplications:,}",
        "multipliers": f"{report.dsp_multipliers} in {report.dsp} DSP blocks "
        f"({report.utilisation:.0%} of their cycles used), {report.lut_multipliers} of LUTs",
        "memory": f"{report.memory_bits:,} bits; block RAMs: {rams}"
        + (f"; SPRAMs: {report.sprams}" if report.sprams else ""),
        "LUTs, flip-flops": f"about {report.luts:,} and {report.flip_flops:,}",
    }
    return stages, facts(f"{report.name}  for {report.family}", summary | (more or {}))
