"""The boards by name."""

from ssm_hdl.boards.board import Board
from ssm_hdl.boards.icebreaker import ICEBREAKER
from ssm_hdl.boards.ulx3s import ULX3S_25F, ULX3S_85F
from ssm_hdl.errors import UsageError

BOARDS = {board.name: board for board in (ICEBREAKER, ULX3S_25F, ULX3S_85F)}
"""Every board, by the name that the command line uses."""


def find_board(name: str) -> Board:
    """The board of a name.

    Raises:
        SsmHdlError: there is none.
    """
    if name not in BOARDS:
        raise UsageError(f"board {name!r} is not known; there are {', '.join(BOARDS)}")
    return BOARDS[name]
