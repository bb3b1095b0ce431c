# amaranth: UnusedElaboratable=no
"""The top level of a board through synthesis,
and through place and route by one seed or several."""

import importlib.metadata
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ssm_hdl import Manifest
from ssm_hdl.boards import pll, tools
from ssm_hdl.boards.board import Board
from ssm_hdl.boards.flow import LOG, PATIENCE_S, Routed, meaning, of_board, route, synthesise
from ssm_hdl.boards.pll import Pll
from ssm_hdl.boards.resources import Usage, check
from ssm_hdl.boards.shell import Top
from ssm_hdl.files import scratch
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.yosys import to_verilog
from ssm_hdl.processes import side_by_side

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Clocks:
    """What place and route makes of a design, whatever its clock.

    Attributes:
        usage: what it takes of the device.
        reached_mhz: clock that each seed reached; 0 if it did not come to its end,
            see `ssm_hdl.boards.flow.Routed`.
    """

    usage: dict[str, Usage]
    reached_mhz: tuple[float, ...]


def clocks(
    manifest: Manifest,
    board: Board,
    plan: Plan,
    out: Path | str,
    clock_hz: float,
    seeds: Sequence[int],
    progress: Progress,
    jobs: int = 1,
) -> Clocks:
    """Place and route a pipeline with its shell by several seeds,
    whether or not the clock that is asked for is reached.

    Args:
        manifest: the integer program.
        board: the board.
        plan: the hardware.
        out: folder for the logs.
        clock_hz: clock that is asked for.
        seeds: of place and route.
        progress: told what begins or ends.
        jobs: seeds side by side.

    Raises:
        SsmHdlError: it does not fit, or a tool is missing, failed or warned.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    pll = board.pll(clock_hz)
    with scratch(out) as folder:
        netlist = synthesise_top(
            board, Top(board, pll, manifest, plan), folder, out / "yosys.log", progress
        )
        with attempts(board, pll, folder, seeds, netlist, progress, jobs) as routed:
            tried = list(routed)
        shutil.copy(place_of(folder, seeds[-1]) / LOG, out / LOG)
    usage = max(tried, key=lambda routed: routed.reached_hz).usage  # of one that came to its end
    return Clocks(usage, tuple(round(routed.reached_hz / 1e6, 2) for routed in tried))


def routing_key(board: Board) -> str:
    """What a board has around the shell, and what both go through in place and route,
    see `synthesis_key`."""
    around = [meaning(part) for part in (pll, board.flow.pll)]
    wires = (
        board.oscillator,
        board.oscillator_hz,
        board.baud,
        board.leds,
        board.high,
        board.flash,
        board.flash_offset,
    )
    versions = importlib.metadata.version("amaranth-boards"), tools.version(board.flow.router)
    return "\n".join(map(str, (*board.route, PATIENCE_S, *wires, *versions, *around)))


def synthesise_top(
    board: Board, top: Top, folder: Path, log: Path, progress: Progress
) -> dict[str, Usage]:
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


def place_of(folder: Path, seed: int) -> Path:
    """Where a seed of place and route has its files."""
    return folder / f"seed-{seed}"


@contextmanager
def attempts(
    board: Board,
    pll: Pll,
    folder: Path,
    seeds: Sequence[int],
    netlist: dict[str, Usage],
    progress: Progress,
    jobs: int = 1,
) -> Iterator[Iterator[Routed]]:
    """Place and route by seeds, one after the other or side by side:
    their results in the order of the seeds.

    Those that are not asked for by the end of the context are ended.
    """

    def attempt(seed: int) -> Routed:
        progress(f"place and route ({board.flow.router}), seed {seed}")
        place = place_of(folder, seed)
        place.mkdir(exist_ok=True)
        for name in ("top.json", f"top.{board.flow.constraints}"):
            shutil.copy(folder / name, place)
        return route(board, place, seed, pll.clock_hz, netlist)

    def told(routed: Routed) -> Routed:
        verdict = (
            f"clock {routed.reached_hz / 1e6:.2f} MHz, {pll.clock_hz / 1e6:g} MHz asked: "
            f"{routed.verdict(pll.clock_hz)}"
        )
        given_up = (
            f"given up: the device is too full, or {PATIENCE_S / 60:g} minutes were not enough"
        )
        progress(f"seed {routed.seed}: {verdict if routed.reached_hz else given_up}")
        return routed

    # More than the cores would take longer each, and may be given up that need not be.
    with side_by_side(
        min(jobs, os.cpu_count() or 1), [partial(attempt, seed) for seed in seeds]
    ) as results:
        yield map(told, results)
