"""Programs a board with openFPGALoader."""

import shutil
import subprocess
from pathlib import Path

from ssm_hdl.boards.board import Board
from ssm_hdl.errors import SsmHdlError

LOADER = "openFPGALoader"


def program(bitstream: Path | str, board: Board) -> None:
    """Load a bitstream into a board.

    It goes to the FPGA and lasts until the board is switched off. A bitstream with SPRAM weights goes to the flash and stays.

    Args:
        bitstream: a file of `ssm_hdl.boards.build.build`.
        board: the board, plugged in.

    Raises:
        SsmHdlError: there is no such file, openFPGALoader is missing, or it failed.
    """
    path = Path(bitstream)
    if not path.is_file():
        raise SsmHdlError(f"{path} does not exist; `ssm-hdl build` writes a bitstream")
    loader = shutil.which(LOADER)
    if loader is None:
        raise SsmHdlError(f"{LOADER} is not on the PATH; `apt install openfpgaloader`, or your package manager, brings it")
    # The SPRAM weights after the bitstream are read from the flash, which openFPGALoader writes with this option only.
    flash = ["--write-flash"] if 0 < board.flash_offset < path.stat().st_size else []
    command = [loader, "--board", board.loader, *flash, str(path.absolute())]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())[-500:] or "it said nothing"  # the cause is at the end
        raise SsmHdlError(f"{LOADER} did not program the {board.title}: {said}; check that the board is plugged in")
