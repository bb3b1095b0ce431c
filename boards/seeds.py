# amaranth: UnusedElaboratable=no
"""The top level of a board through synthesis, and through place and route by one seed or several."""

import importlib.metadata
import inspect
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssm_hdl import Manifest
from ssm_hdl.boards import pll, tools
from ssm_hdl.boards.board import Board
from ssm_hdl.boards.flow import PATIENCE_S, Routed, of_board, route, synthesise
from ssm_hdl.boards.pll import Pll
from ssm_hdl.boards.resources import Usage, check
from ssm_hdl.boards.shell import Top
from ssm_hdl.files import scratch
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.yosys import to_verilog

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Clocks:
    """What place and route makes of a design, whatever its clock.

    Attributes:
        usage: what it takes of the device.
        reached_mhz: clock that each seed reached; 0 if it did not come to its end, see `ssm_hdl.boards.flow.Routed`.
    """

    usage: dict[str, Usage]
    reached_mhz: tuple[float, ...]


def clocks(
    manifest: Manifest, board: Board, plan: Plan, out: Path | str, clock_hz: float, seeds: Sequence[int], progress: Progress
) -> Clocks:
    """Place and route a pipeline with its shell by several seeds, whether or not the clock that is asked for is reached.

    Raises:
        SsmHdlError: it does not fit, or a tool is missing, failed or warned.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    pll = board.pll(clock_hz)
    with scratch(out) as folder:
        netlist = synthesise_top(board, Top(board, pll, manifest, plan), folder, out / "yosys.log", progress)
        tried = [attempt(board, pll, folder, seed, netlist, progress) for seed in seeds]
        shutil.copy(folder / "nextpnr.log", out / "nextpnr.log")
    usage = max(tried, key=lambda routed: routed.reached_hz).usage  # of one that came to its end
    return Clocks(usage, tuple(round(routed.reached_hz / 1e6, 2) for routed in tried))


def routing_key(board: Board) -> str:
    """What a board has around the shell, and what both go through in place and route, see `synthesis_key`."""
    around = [inspect.getsource(part) for part in (pll, board.flow.pll)]
    wires = board.oscillator, board.oscillator_hz, board.baud, board.leds, board.high, board.flash, board.flash_offset
    versions = importlib.metadata.version("amaranth-boards"), tools.version(board.flow.router)
    return "\n".join(map(str, (*board.route, PATIENCE_S, *wires, *versions, *around)))


def synthesise_top(board: Board, top: Top, folder: Path, log: Path, progress: Progress) -> dict[str, Usage]:
    """Write ``top.json`` and the constraints to a folder; what the netlist takes.

    Raises:
        SsmHdlError: it does not fit, or a tool is missing, failed or warned.
    """
    constraints = board.flow.constraints
    progress("elaboration")
    # The Verilog, as what the RAMs say of their ports does not come through in RTLIL.
    files = board.platform().prepare(top, "top").files
    files["top.v"] = to_verilog(files["top.il"], attributes=True)
    for name in ("top.v", f"top.{constraints}"):
        text = files[name]
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    progress("synthesis (Yosys)")
    netlist = of_board(board, synthesise(board.family, folder / "top.v", "top", log))
    beyond = {what: use for what, use in netlist.items() if use.used > use.available}
    check(top.shell.pipeline.manifest.name, board, netlist, beyond)
    return netlist


def attempt(board: Board, pll: Pll, folder: Path, seed: int, netlist: dict[str, Usage], progress: Progress) -> Routed:
    """Place and route by one seed."""
    progress(f"place and route ({board.flow.router}), seed {seed}")
    routed = route(board, folder, seed, pll.clock_hz, netlist)
    if not routed.reached_hz:
        progress(f"given up: the device is too full, or {PATIENCE_S / 60:g} minutes were not enough")
        return routed
    verdict = "met" if routed.met else "not met"
    progress(f"clock {routed.reached_hz / 1e6:.2f} MHz, {pll.clock_hz / 1e6:g} MHz asked: {verdict}")
    return routed
