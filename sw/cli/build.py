"""``ssm-hdl build``: a bitstream for a board."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssm_hdl.sw.cli import sizing
from ssm_hdl.sw.cli.console import Json, facts, messages, need, show

if TYPE_CHECKING:
    from ssm_hdl.boards.build import BuildReport

NAME = "build"
EXAMPLE = "ssm-hdl build manifests/s4d-16h --board ulx3s-85f --clock 100"
BOARDS = "icebreaker, ulx3s-25f or ulx3s-85f"


def command(
    path: Annotated[Path, typer.Argument(metavar="MANIFEST", help="A manifest: its folder or manifest.yaml.")],
    board: Annotated[str, typer.Option(help=f"{BOARDS}.")],
    clock: Annotated[float | None, typer.Option(metavar="MHZ", help="Clock; that of the board if left out.")] = None,
    rate: sizing.Rate = None,
    fastest: sizing.Max = False,
    latency: sizing.Latency = None,
    dsp: sizing.Dsp = None,
    share_device: sizing.ShareDevice = None,
    fold: sizing.Fold = None,
    share_layers: sizing.ShareLayers = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; out/NAME-BOARD if left out.")] = None,
    as_json: Json = False,
) -> None:
    """Build the bitstream of a manifest; a design that does not fit, or not at that clock, is refused with the numbers."""
    need("pyosys", "amaranth_boards")
    from ssm_hdl import Manifest
    from ssm_hdl.boards.build import build
    from ssm_hdl.boards.catalog import find_board
    from ssm_hdl.boards.resources import shell_use

    manifest, device = Manifest.load(path), find_board(board)
    hz, reserve = (
        device.clock_hz if clock is None else clock * 1e6,
        shell_use(manifest, device).plus(sizing.reserved(share_device)),
    )
    sized = sizing.plan(manifest, device.chip, rate, fastest, hz, dsp, latency, fold, share_layers, reserve)
    report = build(
        manifest,
        device,
        out or Path("out") / f"{manifest.name}-{board}",
        clock_hz=hz,
        plan=sized.plan,
        progress=lambda line: messages().print(line, highlight=False, markup=False),
    )
    show(as_json, asdict(report), facts(f"{report.model} on the {device.title}", rows(report)))


def rows(report: "BuildReport") -> dict[str, object]:
    """A report for people."""
    return {
        "clock": f"{report.clock_mhz:g} MHz; {report.clock_reached_mhz:g} MHz reached",
        "LUTs": report.luts,
        "flip-flops": report.flip_flops,
        "multipliers": report.multipliers,
        "block RAMs": report.block_rams,
        **({"SPRAMs": report.sprams} if report.sprams.available else {}),
        "cycles a time step": f"{report.cycles_per_step:,.10g}; {report.steps_per_second:,.0f} time steps a second",
        "seed": report.seed,
        "tools": ", ".join(report.tools),
        "bitstream": report.bitstream,
    }
