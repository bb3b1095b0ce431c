"""``ssm-hdl build``: a bitstream for a board."""

from pathlib import Path
from typing import Annotated

import typer

from ssm_hdl.sw.cli.console import Json

NAME = "build"
EXAMPLE = "ssm-hdl build manifests/s4d-16h --board ulx3s-85f --clock 100"
BOARDS = "icebreaker, ulx3s-25f or ulx3s-85f"


def command(
    path: Annotated[Path, typer.Argument(metavar="MANIFEST", help="A manifest: its folder or manifest.yaml.")],
    board: Annotated[str, typer.Option(help=f"{BOARDS}.")],
    clock: Annotated[float | None, typer.Option(min=1, metavar="MHZ", help="Clock; that of the board if left out.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to; out/NAME-BOARD if left out.")] = None,
    as_json: Json = False,
) -> None:
    """Build the bitstream of a manifest; a design that does not fit, or not at that clock, is refused with the numbers."""
    raise NotImplementedError
