"""``ssm-hdl build``: a bitstream for a board."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssm_hdl.extras import need
from ssm_hdl.sw.cli import sizing
from ssm_hdl.sw.cli.console import Jobs, Json, facts, need_writable, show, working

if TYPE_CHECKING:
    from ssm_hdl.boards.build import BuildReport

NAME = "build"
EXAMPLE = "ssm-hdl build manifests/s4d-16h --board ulx3s-85f --clock 100"
BOARDS = "Name of the board, such as icebreaker or ulx3s-85f; a wrong one lists all"


@sizing.sized
def command(
    path: Annotated[
        Path, typer.Argument(metavar="MANIFEST", help="A manifest: its folder or manifest.yaml.")
    ],
    size: sizing.Size,
    board: Annotated[str, typer.Option(help=BOARDS + ".")],
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to; out/NAME-BOARD if left out.")
    ] = None,
    jobs: Jobs = 1,
    as_json: Json = False,
) -> None:
    """Build the bitstream of a manifest; a design that does not fit, or not at that clock,
    is refused with the numbers."""
    need("pyosys", "amaranth_boards")
    from ssm_hdl import Manifest
    from ssm_hdl.boards.build import build
    from ssm_hdl.boards.catalog import find_board
    from ssm_hdl.boards.resources import shell_use

    manifest, device = Manifest.load(path), find_board(board)
    folder = out or Path("out") / f"{manifest.name}-{board}"
    need_writable(folder / f"{manifest.name}.json")
    size = replace(size, clock=device.clock_hz / 1e6 if size.clock is None else size.clock)
    sized = size.plan(manifest, device.chip, shell_use(manifest, device))
    with working(f"{manifest.name} on the {device.title}", keep=True) as tell:
        report = build(
            manifest,
            device,
            folder,
            clock_hz=sized.clock_hz,
            plan=sized.plan,
            jobs=jobs,
            progress=tell,
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
        "cycles per step": f"{report.cycles_per_step:,.10g}; "
        f"{report.steps_per_second:,.0f} time steps per second",
        "seed": report.seed,
        "tools": ", ".join(report.tools),
        "bitstream": report.bitstream,
    }
