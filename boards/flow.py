"""What differs between the families on the way from RTL to a bitstream."""

import importlib.metadata
import inspect
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ssm_hdl import Manifest
from ssm_hdl.boards import tools
from ssm_hdl.boards.board import Board
from ssm_hdl.boards.resources import Usage
from ssm_hdl.errors import SsmHdlError
from ssm_hdl.gen import chains, fuse, outreg, yosys
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.verilog import generate


@dataclass(frozen=True)
class Flow:
    """The tools of a family.

    Attributes:
        synthesis: the Yosys command and its options.
        router: program for place and route.
        packer: program that makes the bitstream.
        constraints: ending of the file of pins, and option of the router for it.
        routed: option of the router for its result.
        packing: arguments of the packer between its input and its output.
        bitstream: ending of a bitstream.
        cells: the cells of the netlist, by what they are and how they begin, and how many of it they are.
        bels: what nextpnr calls the same, where it tells.
    """

    synthesis: tuple[str, ...]
    router: str
    packer: str
    constraints: str
    routed: str
    packing: tuple[str, ...]
    bitstream: str
    cells: Mapping[str, Mapping[str, int]]
    bels: Mapping[str, str]


FLOWS = {
    "ice40": Flow(
        # The pipeline instantiates SB_MAC16 itself, so no -dsp: with it Yosys drops results. ABC9 knows delays.
        synthesis=("synth_ice40", "-abc9", "-device", "u"),
        router="nextpnr-ice40",
        packer="icepack",
        constraints="pcf",
        routed="--asc",
        packing=(),
        bitstream="bin",
        cells={
            "LUTs": {"SB_LUT4": 1},
            "flip-flops": {"SB_DFF": 1},
            "multipliers": {"SB_MAC16": 1},
            "block RAMs": {"SB_RAM40_4K": 1},
            "SPRAMs": {"SB_SPRAM256KA": 1},
        },
        bels={
            "LUTs": "ICESTORM_LC",
            "multipliers": "ICESTORM_DSP",
            "block RAMs": "ICESTORM_RAM",
            "SPRAMs": "ICESTORM_SPRAM",
        },
    ),
    "ecp5": Flow(
        synthesis=("synth_ecp5", "-abc9"),
        router="nextpnr-ecp5",
        packer="ecppack",
        constraints="lpf",
        routed="--textcfg",
        packing=("--compress",),
        bitstream="bit",
        cells={
            "LUTs": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
            "flip-flops": {"TRELLIS_FF": 1},
            "multipliers": {"MULT18X18D": 1},
            "block RAMs": {"DP16KD": 1},
            "SPRAMs": {},
        },
        bels={
            "LUTs": "TRELLIS_COMB",
            "flip-flops": "TRELLIS_FF",
            "multipliers": "MULT18X18D",
            "block RAMs": "DP16KD",
        },
    ),
}
"""The flow of every family."""


PATIENCE_S = 1800
"""Seconds that a seed of place and route may take: most designs are done in a few minutes, some seeds in none at all."""


@dataclass(frozen=True)
class Routed:
    """A placed and routed design.

    Attributes:
        seed: the seed.
        reached_hz: clock that it reaches; of several, the one with the least to spare; 0 if it took longer than `PATIENCE_S`.
        met: every clock is reached.
        usage: what it takes.
    """

    seed: int
    reached_hz: float
    met: bool
    usage: dict[str, Usage]


def cells(family: str, types: Mapping[str, int]) -> dict[str, int]:
    """What a netlist takes, from how many cells of each type it has."""
    return {
        what: sum(number * size for cell, number in types.items() for start, size in kinds.items() if cell.startswith(start))
        for what, kinds in FLOWS[family].cells.items()
    }


def of_board(board: Board, used: Mapping[str, int]) -> dict[str, Usage]:
    """What a netlist takes of a board."""
    chip = board.chip
    available = {
        "LUTs": chip.luts, "flip-flops": chip.luts, "multipliers": chip.dsps, "block RAMs": chip.rams, "SPRAMs": chip.sprams
    }  # fmt: skip
    return {what: Usage(number, available[what]) for what, number in used.items()}


def synthesis_key(family: str) -> str:
    """What Verilog goes through in synthesis: what was made of the same in the same way before need not be made again."""
    passes = (yosys, fuse, chains, outreg) if family == "ecp5" else (yosys,)
    return "\n".join([family, *FLOWS[family].synthesis, importlib.metadata.version("pyosys"), *map(inspect.getsource, passes)])


BROKEN = "Assert `GetSize(conn.first) == GetSize(conn.second)'"  # of Yosys 0.70, in abc9_ops -reintegrate, for some designs


def synthesise(family: str, verilog: Path, top: str, log: Path) -> dict[str, int]:
    """Synthesise a file into ``top.json`` beside it; what the netlist takes.

    Carries that nobody reads are taken away: nextpnr would bring them out of their chains.
    Where ABC9 brings Yosys down on the flat design, module by module is mapped, and the result made flat.

    Raises:
        SsmHdlError: Yosys is not installed, failed or warned.
    """
    synthesis, netlist = FLOWS[family].synthesis, verilog.parent / "top.json"
    try:
        types = yosys.synthesise(verilog, top, synthesis, netlist, log)
    except SsmHdlError as error:
        if BROKEN not in str(error):
            raise
        types = yosys.synthesise(verilog, top, [*synthesis, "-noflatten"], netlist, log)
    if family == "ecp5":
        design = json.loads(netlist.read_text(encoding="utf-8"))
        chains.open_ends(design["modules"][top])
        netlist.write_text(json.dumps(design), encoding="utf-8")
    return cells(family, types)


def synthesised(manifest: Manifest, family: str, plan: Plan) -> dict[str, int]:
    """What a pipeline alone takes of a family after synthesis: LUTs, flip-flops, multipliers, block RAMs.

    Raises:
        SsmHdlError: Yosys is not installed, failed or warned.
    """
    with tempfile.TemporaryDirectory() as name:
        file = Path(name) / "pipeline.v"
        file.write_text(generate(manifest, plan), encoding="utf-8")
        return synthesise(family, file, manifest.name, Path(name) / "yosys.log")


def route(board: Board, folder: Path, seed: int, clock_hz: float, netlist: Mapping[str, Usage]) -> Routed:
    """Place and route ``top.json`` of a folder with its constraints; the result is ``top.routed`` there.

    Args:
        board: the board.
        folder: where the files are.
        seed: of the router's random numbers.
        clock_hz: the clock that has to be among those that the router derives from the PLL.
        netlist: what the netlist takes, for what the router does not tell.

    Raises:
        SsmHdlError: it failed for another reason than timing, or has not heard of the clock.
    """
    flow = FLOWS[board.family]
    report = folder / "route.json"
    report.unlink(missing_ok=True)
    files = ["--json", "top.json", f"--{flow.constraints}", f"top.{flow.constraints}", flow.routed, "top.routed"]
    arguments = [*board.route, *files, "--report", report.name, "--seed", str(seed)]
    status = tools.run(flow.router, arguments, folder, "nextpnr.log", PATIENCE_S)
    if status is None:
        return Routed(seed, 0, False, dict(netlist))
    if not report.exists():
        raise SsmHdlError(f"{flow.router} failed: {tools.errors(folder, 'nextpnr.log')}")
    answer = json.loads(report.read_text(encoding="utf-8"))
    clocks = [(clock["achieved"], clock["constraint"]) for clock in answer["fmax"].values()]
    if not any(abs(constraint * 1e6 / clock_hz - 1) < 0.001 for _, constraint in clocks):
        raise SsmHdlError(f"{flow.router} has checked clocks of {[c for _, c in clocks]} MHz, not of {clock_hz / 1e6:g} MHz")
    achieved, _ = min(clocks, key=lambda clock: clock[0] / clock[1])
    met = all(achieved >= constraint for achieved, constraint in clocks)
    if met != (status == 0):
        raise SsmHdlError(f"{flow.router} failed: {tools.errors(folder, 'nextpnr.log')}")
    usage = {
        what: Usage(answer["utilization"][bel]["used"], answer["utilization"][bel]["available"])
        for what, bel in flow.bels.items()
    }
    return Routed(seed, achieved * 1e6, met, {**netlist, **usage})


def pack(board: Board, folder: Path) -> bytes:
    """The bitstream of ``top.routed`` of a folder.

    Raises:
        SsmHdlError: the packer failed.
    """
    flow = FLOWS[board.family]
    if tools.run(flow.packer, [*flow.packing, "top.routed", "top.bits"], folder, "pack.log"):
        raise SsmHdlError(f"{flow.packer} failed: {tools.errors(folder, 'pack.log')}")
    return (folder / "top.bits").read_bytes()
