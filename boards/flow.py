"""From RTL to a bitstream: synthesis, place and route, packing, with the tools of the family."""

import ast
import importlib.metadata
import inspect
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from textwrap import dedent
from types import ModuleType

from ssm_hdl.boards import tools
from ssm_hdl.boards.board import Board
from ssm_hdl.boards.families import FLOWS
from ssm_hdl.boards.resources import Usage
from ssm_hdl.errors import SsmHdlError, brief
from ssm_hdl.families.base import Family
from ssm_hdl.files import scratch
from ssm_hdl.gen import yosys

PATIENCE_S = 1800
"""Seconds that a seed of place and route may take: most designs are done in a few minutes,
some seeds in none at all."""

LOG = "nextpnr.log"
"""Name of the log of place and route."""

HOLD = "ERROR: Hold/min time violation"
"""What the router says of data that come too early, whatever the clock;
another seed may not have them."""

UNPLACED = "Unable to find legal placement for all cells"
"""What nextpnr says of a full device; another seed may find a place for each."""


@dataclass(frozen=True)
class Routed:
    """A placed and routed design.

    Attributes:
        seed: the seed.
        reached_hz: clock that it reaches; of several, the one with the least to spare;
            0 if the seed found no place for a cell, or took longer than `PATIENCE_S`.
        met: every clock is reached, and no hold time violated.
        usage: what it takes.
    """

    seed: int
    reached_hz: float
    met: bool
    usage: dict[str, Usage]

    def verdict(self, clock_hz: float) -> str:
        """Whether a clock is met, in words."""
        if self.met:
            return "met"
        return "hold times violated" if self.reached_hz >= clock_hz else "not met"


def cells(family: Family, types: Mapping[str, int]) -> dict[str, int]:
    """What a netlist takes, from how many cells of each type it has."""
    return {
        what: int(
            sum(
                number * size
                for cell, number in types.items()
                for start, size in kinds.items()
                if cell.startswith(start)
            )
        )
        for what, kinds in FLOWS[family.name].cells.items()
    }


def of_board(board: Board, used: Mapping[str, int]) -> dict[str, Usage]:
    """What a netlist takes of a board."""
    chip = board.chip
    available = {
        "LUTs": chip.luts, "flip-flops": chip.flip_flops or chip.luts, "multipliers": chip.dsps,
        "block RAMs": chip.rams, "SPRAMs": chip.sprams,
    }  # fmt: skip
    return {what: Usage(number, available[what]) for what, number in used.items()}


def synthesis_key(family: Family) -> str:
    """A text that names every step of synthesis; the same Verilog under the same key need not be
    synthesised again."""
    package = inspect.getmodule(type(family))
    assert package is not None
    folder = getattr(package, "__path__", None)
    passes = (
        [import_module(f"{package.__name__}.{found.name}") for found in iter_modules(folder)]
        if folder
        else []
    )
    sources = [meaning(yosys.synthesise), *(meaning(part) for part in (package, *passes))]
    return "\n".join(
        [family.name, importlib.metadata.version("pyosys"), str(yosys.UNHURRIED), *sources]
    )


def meaning(part: ModuleType | Callable[..., object]) -> str:
    """The source of a module or function without layout, comments and docstrings."""
    tree = ast.parse(dedent(inspect.getsource(part)))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [each for each in body if not _is_text(each)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    """A docstring, of a constant too."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
        return False
    return isinstance(node.value.value, str)


# of Yosys 0.70, in abc9_ops -reintegrate, for some designs
BROKEN = "Assert `GetSize(conn.first) == GetSize(conn.second)'"


def synthesise(family: Family, verilog: Path, top: str, log: Path) -> dict[str, int]:
    """Synthesise a file into ``top.json`` beside it; what the netlist takes.

    Where ABC9 brings Yosys down on the flat design, modules are mapped one by one,
    and the result is flattened.

    Raises:
        SsmHdlError: Yosys is not installed, failed or warned.
    """
    netlist = verilog.parent / "top.json"
    try:
        types = yosys.synthesise(verilog, top, family, netlist, log)
    except SsmHdlError as error:
        if BROKEN not in str(error):
            raise
        types = yosys.synthesise(
            verilog, top, family, netlist, log, [*family.synthesis[1:], "-noflatten"]
        )
    design = json.loads(netlist.read_text(encoding="utf-8"))
    family.finish_for_router(design["modules"][top])
    netlist.write_text(json.dumps(design), encoding="utf-8")
    return cells(family, types)


def synthesised(text: str, top: str, family: Family) -> dict[str, int]:
    """What Verilog takes of a family: LUTs, flip-flops, multipliers, block RAMs;
    LUTs after packing, if that changes them.

    Raises:
        SsmHdlError: Yosys or the router is not installed, failed or warned.
    """
    tool = FLOWS[family.name]
    with scratch() as folder:
        (folder / "top.v").write_text(text, encoding="utf-8")
        found = synthesise(family, folder / "top.v", top, folder / "yosys.log")
        if tool.pack_only:
            tools.run(tool.router, [*tool.pack_only, "--json", "top.json"], folder, "pack.log")
            packed = re.search(tool.packed, (folder / "pack.log").read_text(encoding="utf-8"))
            if packed is None:
                raise SsmHdlError(
                    f"{tool.router} does not count logic cells: {tools.errors(folder, 'pack.log')}"
                )
            found["LUTs"] = int(packed[1])
    return found


def route(
    board: Board, folder: Path, seed: int, clock_hz: float, netlist: Mapping[str, Usage]
) -> Routed:
    """Place and route ``top.json`` of a folder with its constraints;
    the result is ``top.routed`` there.

    Args:
        board: the board.
        folder: where the files are.
        seed: of the router's random numbers.
        clock_hz: the clock that has to be among those that the router derives from the PLL.
        netlist: what the netlist takes, for what the router does not tell.

    Raises:
        SsmHdlError: it failed for another reason than timing, or has not heard of the clock.
    """
    flow = board.flow
    report = folder / "route.json"
    report.unlink(missing_ok=True)
    files = ["--json", "top.json", *(each.format(mhz=clock_hz / 1e6) for each in flow.routing)]
    arguments = [*board.route, *files, "--report", report.name, "--seed", str(seed)]
    status = tools.run(flow.router, arguments, folder, LOG, PATIENCE_S)
    said = (folder / LOG).read_text(encoding="utf-8", errors="replace")
    if status is None or UNPLACED in said:
        return Routed(seed, 0, False, dict(netlist))
    if not report.exists():
        raise SsmHdlError(f"{flow.router} failed: {tools.errors(folder, 'nextpnr.log')}")
    try:
        answer = json.loads(report.read_text(encoding="utf-8"))
        clocks = [(clock["achieved"], clock["constraint"]) for clock in answer["fmax"].values()]
        used = {what: Usage(**answer["utilization"][bel]) for what, bel in flow.bels.items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise SsmHdlError(
            f"{flow.router} wrote no report but {brief(error)}; is it another program?"
        ) from error
    if not any(abs(constraint * 1e6 / clock_hz - 1) < 0.001 for _, constraint in clocks):
        raise SsmHdlError(
            f"{flow.router} has checked clocks of {[c for _, c in clocks]} MHz, "
            f"not of {clock_hz / 1e6:g} MHz"
        )
    achieved, _ = min(clocks, key=lambda clock: clock[0] / clock[1])
    met = HOLD not in said and all(achieved >= constraint for achieved, constraint in clocks)
    if met != (status == 0):
        raise SsmHdlError(f"{flow.router} failed: {tools.errors(folder, 'nextpnr.log')}")
    return Routed(seed, achieved * 1e6, met, {**netlist, **used})


def pack(board: Board, folder: Path) -> bytes:
    """The bitstream of ``top.routed`` of a folder.

    Raises:
        SsmHdlError: the packer failed.
    """
    flow = board.flow
    bits = folder / "top.bits"
    if (
        tools.run(flow.packer, [*flow.packing, *board.pack], folder, "pack.log")
        or not bits.exists()
    ):
        raise SsmHdlError(f"{flow.packer} failed: {tools.errors(folder, 'pack.log')}")
    return bits.read_bytes()
