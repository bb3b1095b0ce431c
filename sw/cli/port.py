"""The options that say which board a command talks to: one on a serial port, or a simulated one."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssm_hdl.errors import SsmHdlError, UsageError
from ssm_hdl.extras import need
from ssm_hdl.sw.cli.console import working

if TYPE_CHECKING:
    from ssm_hdl import Manifest
    from ssm_hdl.sw.host import Host

Port = Annotated[
    str | None,
    typer.Option(metavar="PORT", help="Serial port of the board, such as /dev/ttyUSB1 or COM5."),
]
Simulated = Annotated[
    bool,
    typer.Option(
        "--simulated", help="Simulate the board: the RTL of its bitstream on a pseudo-terminal."
    ),
]
SimulatedBoard = Annotated[
    str | None,
    typer.Option(
        "--board",
        help="Board to simulate; that of the folder that `build` wrote, or icebreaker, "
        "if left out.",
    ),
]
# Below 500 a byte takes longer than the 0.02 s after which a board counts a frame as broken off.
Baud = Annotated[
    int | None,
    typer.Option(min=1_000, max=100_000_000, help="Bit rate of the board; 1,000,000 if left out."),
]
Timeout = Annotated[
    float | None, typer.Option(min=0.1, max=1e6, help="Seconds to wait for an answer.")
]

BOARD = "icebreaker"


@contextmanager
def host_of(
    path: Path,
    manifest: "Manifest",
    port: str | None,
    simulated: bool,
    board: str | None,
    baud: int | None,
    timeout: float | None,
) -> "Iterator[Host]":
    """The host of the board that the options name.

    Raises:
        SsmHdlError: they contradict each other, or there is no such board.
    """
    need("serial")
    from ssm_hdl.sw.host import BAUD, Host

    if simulated == (port is not None):
        raise UsageError(
            "name the --port of a board, or give --simulated alone for one that is simulated"
        )
    if not simulated:
        if board is not None:
            raise UsageError(f"--board {board} says what to simulate; leave it out with --port")
        assert port is not None
        with Host(port, manifest, baud or BAUD, timeout) as host:
            yield host
        return
    need("verilator")
    if find_spec("termios") is None:
        raise SsmHdlError(
            "this machine has no pseudo-terminals, which --simulated needs; use Linux, macOS or WSL"
        )
    from ssm_hdl.boards.catalog import find_board
    from ssm_hdl.sw.virtual import SLOWER, built, target_of, virtual_board

    with working(manifest.name) as tell:
        target = built(path, manifest)
        if target is None:
            tell("planning")
            target = target_of(manifest, find_board(board or BOARD))
        elif board not in (None, target.board.name):
            raise UsageError(
                f"{path} was built for the {target.board.title}; leave --board {board} out"
            )
        if target.plan.family.cell_models:
            need("pyosys")
        tell(f"compiling the RTL of the {target.board.title}")
        virtual = virtual_board(manifest, target, baud)
    with virtual, Host(virtual.port, manifest, baud or BAUD, timeout, SLOWER) as host:
        host.port = f"the simulated {target.board.title}"
        yield host
