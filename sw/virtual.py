# amaranth: UnusedElaboratable=no
"""Boards without hardware: the RTL of a bitstream, simulated on a serial port;
and the folders that `build` writes."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from ssm_hdl import Manifest
from ssm_hdl.boards.board import Board
from ssm_hdl.boards.build import PLAN, REPORT, BuildReport, with_image
from ssm_hdl.boards.catalog import find_board
from ssm_hdl.boards.flash import FlashReader
from ssm_hdl.boards.resources import shell_use
from ssm_hdl.boards.shell import line_of, shell_verilog
from ssm_hdl.errors import SsmHdlError, brief
from ssm_hdl.families import find_family
from ssm_hdl.files import read_sealed
from ssm_hdl.fingerprint import fingerprint
from ssm_hdl.gateware.stage import StagePlan
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.size.planner import Sized, plan_for
from ssm_hdl.gen.structure import Structure
from ssm_hdl.gen.verilog import weights

if TYPE_CHECKING:
    from ssm_hdl.sim.board import VirtualBoard

SLOWER = 1000
"""How much longer than a board its simulation may take to answer."""


@dataclass(frozen=True)
class Target:
    """What a bitstream is made of.

    Attributes:
        board: the board.
        plan: the hardware.
        clock_hz: its clock.
        built: what came of building it, if it was.
    """

    board: Board
    plan: Plan
    clock_hz: float
    built: BuildReport | None = None

    def sized(self, manifest: Manifest) -> Sized:
        """The same with its figures."""
        return Sized(self.board.chip, self.clock_hz, self.plan, estimate(manifest, self.plan))


def target_of(manifest: Manifest, board: Board) -> Target:
    """What `build` makes for a board without further options.

    Raises:
        SsmHdlError: it does not fit.
    """
    clock_hz = board.pll(board.clock_hz).clock_hz
    return Target(
        board,
        plan_for(
            manifest, board.chip, clock_hz=board.clock_hz, reserve=shell_use(manifest, board)
        ).plan,
        clock_hz,
    )


def built(folder: Path, manifest: Manifest) -> Target | None:
    """What `build` left in a folder; None for any other folder or file.

    Raises:
        SsmHdlError: its files do not fit together, or are damaged.
    """
    there = [name for name in (PLAN, REPORT) if (folder / name).is_file()]
    if not there:
        return None
    if len(there) == 1:
        raise SsmHdlError(
            f"{folder} has {there[0]} of a build that did not come to its end; build it again"
        )
    report = _read(folder / REPORT, BuildReport)
    plan = _read(folder / PLAN, dict[str, Any])
    if report.fingerprint != fingerprint(manifest):
        raise SsmHdlError(
            f"{folder / REPORT} is of another manifest than the one beside it; build it again"
        )
    try:
        stages = TypeAdapter(dict[str, StagePlan]).validate_python(plan["stages"], strict=False)
        board, family = find_board(report.board), find_family(plan["family"])
        whole = Plan(family, stages, plan["share_layers"] is True, int(plan["luts_below"]))
        missing = (
            Structure.of(manifest, whole.share_layers, whole.family).stages.keys() ^ stages.keys()
        )
        if missing:
            raise ValueError(f"stages {', '.join(sorted(missing))}")
        if whole.family is not board.family or not 0 < report.clock_mhz < math.inf:
            raise ValueError(f"{whole.family.name} at {report.clock_mhz} MHz for the {board.title}")
    except (SsmHdlError, LookupError, TypeError, ValueError) as error:
        raise SsmHdlError(
            f"{folder / PLAN} is no plan of this manifest ({brief(error)}); build it again"
        ) from error
    return Target(board, whole, report.clock_mhz * 1e6, report)


def _read(path: Path, kind: Any) -> Any:
    try:
        return TypeAdapter(kind).validate_python(read_sealed(path))
    except (ValueError, OSError, RecursionError) as error:
        raise SsmHdlError(
            f"{path} is not what `build` writes ({brief(str(error))}); build it again"
        ) from error


def virtual_board(
    manifest: Manifest, target: Target, baud: int | None = None, cache: Path | None = None
) -> "VirtualBoard":
    """The RTL of a bitstream, all of it but its PLL and the cells of its pins,
    on a pseudo-terminal.

    Args:
        manifest: the model.
        target: its board and hardware.
        baud: bit rate of the serial line; the board's if None.
        cache: folder for compiled designs.

    Raises:
        SsmHdlError: this machine has no pseudo-terminals, the clock cannot make the bit rate,
            or a tool is missing or failed.
    """
    from ssm_hdl.sim.board import VirtualBoard  # which imports what Windows has not

    board, plan, clock_hz = target.board, target.plan, target.clock_hz
    divisor, timeout = line_of(board if baud is None else replace(board, baud=baud), clock_hz)
    image = weights(manifest, plan)
    loading = FlashReader(board.flash_offset, clock_hz).cycles(len(image)) if image else 0
    verilog = shell_verilog(manifest, plan, divisor, timeout, board.flash_offset, clock_hz)
    flash = with_image(board, b"", image)
    return VirtualBoard(
        verilog,
        "shell",
        divisor,
        linger=1,
        family=plan.family,
        flash=flash,
        start=loading,
        cache=cache,
    )
