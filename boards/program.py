"""A bitstream into a board, with openFPGALoader."""

import shutil
import subprocess
from pathlib import Path

from ssm_hdl.boards.board import Board
from ssm_hdl.errors import SsmHdlError

LOADER = "openFPGALoader"


def program(bitstream: Path | str, board: Board) -> None:
    """Load a bitstream into a board, until it is switched off; with weights for its SPRAM into its flash, for good.

    Args:
        bitstream: what `ssm_hdl.boards.build.build` wrote.
        board: the board, plugged in.

    Raises:
        SsmHdlError: there is no such file, openFPGALoader is missing, or it failed.
    """
    path = Path(bitstream)
    if not path.is_file():
        raise SsmHdlError(f"{path} does not exist; `ssm-hdl build` writes a bitstream")
    loader = shutil.which(LOADER)
    if loader is None:
        raise SsmHdlError(f"{LOADER} is not on the PATH; `apt install openfpgaloader`, or your system's way, brings it")
    # What stands behind the bitstream is read from the flash, which openFPGALoader leaves alone unless it is told.
    flash = ["--write-flash"] if 0 < board.flash_offset < path.stat().st_size else []
    command = [loader, "--board", board.loader, *flash, str(path.absolute())]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())[-500:] or "it said nothing"
        raise SsmHdlError(f"{LOADER} did not program the {board.title}: {said}; check that the board is plugged in")
