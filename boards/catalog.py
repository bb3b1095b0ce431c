"""The boards by name."""

from ssm_hdl.boards.board import Board
from ssm_hdl.boards.colorlight import COLORLIGHT_I5
from ssm_hdl.boards.ecpix5 import ECPIX5_45F, ECPIX5_85F
from ssm_hdl.boards.icebreaker import BITSY, ICEBREAKER
from ssm_hdl.boards.icepi_zero import ICEPI_ZERO
from ssm_hdl.boards.icesugar import ICESUGAR, ICESUGAR_PRO
from ssm_hdl.boards.orangecrab import ORANGECRAB_25F, ORANGECRAB_85F
from ssm_hdl.boards.tang_nano import TANG_NANO_9K, TANG_NANO_20K
from ssm_hdl.boards.ulx3s import ULX3S_12F, ULX3S_25F, ULX3S_45F, ULX3S_85F
from ssm_hdl.boards.upduino import UPDUINO
from ssm_hdl.errors import UsageError

BOARDS = {
    board.name: board
    for board in (
        *(ICEBREAKER, BITSY, ICESUGAR, UPDUINO),
        *(ULX3S_12F, ULX3S_25F, ULX3S_45F, ULX3S_85F, ICEPI_ZERO, ICESUGAR_PRO, COLORLIGHT_I5),
        *(ORANGECRAB_25F, ORANGECRAB_85F, ECPIX5_45F, ECPIX5_85F),
        *(TANG_NANO_9K, TANG_NANO_20K),
    )
}
"""Every board, by the name that the command line uses; of a family from the smallest to the
largest of each maker."""


def find_board(name: str) -> Board:
    """The board of a name.

    Raises:
        SsmHdlError: there is none.
    """
    if name not in BOARDS:
        raise UsageError(f"board {name!r} is not known; there are {', '.join(BOARDS)}")
    return BOARDS[name]
