"""``ssm-hdl program``: a bitstream into a board."""

from pathlib import Path
from typing import Annotated

import typer

from ssm_hdl.sw.cli.build import BOARDS
from ssm_hdl.sw.cli.console import Json

NAME = "program"
EXAMPLE = "ssm-hdl program out/digits-icebreaker/digits.bin --board icebreaker"


def command(
    bitstream: Annotated[Path, typer.Argument(help="What `ssm-hdl build` wrote: a .bin or .bit file.")],
    board: Annotated[str, typer.Option(help=f"{BOARDS}.")],
    as_json: Json = False,
) -> None:
    """Load a bitstream into a board with openFPGALoader."""
    raise NotImplementedError
