# amaranth: UnusedElaboratable=no
"""From a manifest to a bitstream, with tools that pip installs."""

import importlib.metadata
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.boards import tools
from ssm_hdl.boards.board import Board
from ssm_hdl.boards.flow import LOG, PATIENCE_S, Routed, pack
from ssm_hdl.boards.pll import Pll
from ssm_hdl.boards.resources import Usage, check_expected, shell_use
from ssm_hdl.boards.seeds import Progress, attempts, place_of, synthesise_top
from ssm_hdl.boards.shell import Top
from ssm_hdl.errors import UsageError
from ssm_hdl.files import alone, cannot_write, scratch, sealed_json, write_together
from ssm_hdl.fingerprint import fingerprint
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.manifest import FILE

SEEDS = (1, 2, 3, 4, 5, 6, 7, 8)
"""Seeds that place and route tries, one after the other, until the timing is met."""

REPORT = "report.json"
"""Name of the report beside a bitstream."""

PLAN = "plan.json"
"""Name of the plan beside it."""


@dataclass(frozen=True)
class BuildReport:
    """A bitstream, and what came of building it.

    Attributes:
        model: name of the model.
        fingerprint: of the manifest; host and board have to agree on it.
        board: name of the board.
        device: its device.
        clock_asked_mhz: the clock that was asked for.
        clock_mhz: the clock that the PLL gives.
        clock_reached_mhz: the clock that the design reaches, by nextpnr.
        luts: LUT4s; on the iCE40 logic cells, each a LUT4 and a flip-flop.
        flip_flops: flip-flops.
        multipliers: DSP blocks.
        block_rams: block RAMs.
        sprams: SPRAMs, whose contents follow the bitstream in its file.
        cycles_per_step: clock cycles per time step.
        steps_per_second: time steps that the pipeline takes in a second;
            the serial line may be slower.
        baud: bit rate of the serial line.
        seed: seed of place and route that met the timing.
        seeds: clock in MHz that each seed reached, in the order in which they were tried.
        tools: versions of the tools.
        bitstream: path of the bitstream.
    """

    model: str
    fingerprint: int
    board: str
    device: str
    clock_asked_mhz: float
    clock_mhz: float
    clock_reached_mhz: float
    luts: Usage
    flip_flops: Usage
    multipliers: Usage
    block_rams: Usage
    sprams: Usage
    cycles_per_step: float
    steps_per_second: float
    baud: int
    seed: int
    seeds: dict[int, float]
    tools: list[str]
    bitstream: str

    def to_json(self) -> str:
        """The report as JSON that `ssm_hdl.files.read_sealed` reads."""
        return sealed_json(asdict(self))


def build(
    manifest: Manifest,
    board: Board,
    out: Path | str,
    *,
    clock_hz: float | None = None,
    plan: Plan | None = None,
    seeds: Sequence[int] = SEEDS,
    jobs: int = 1,
    progress: Progress = lambda line: None,
) -> BuildReport:
    """Build the bitstream of a manifest for a board.

    A folder gets ``NAME.bin`` (iCE40) or ``NAME.bit`` (ECP5), ``report.json``, what it was built
    from (the manifest and ``plan.json``), and the logs ``yosys.log`` and ``nextpnr.log``. The
    bitstream of an earlier build goes when this one begins to synthesise, so that one that is there
    is always the one that was asked for last, and met its timing.

    Args:
        manifest: the integer program.
        board: the board.
        out: the folder.
        clock_hz: clock of the accelerator; the board's own if None.
        plan: its hardware; what `plan_for` gives for the device beside the shell if None.
        seeds: seeds of place and route to try until the timing is met;
            the first of them that meets it counts.
        jobs: seeds that are tried side by side, on as many cores.
        progress: called with a line of text when something begins or ends.

    Raises:
        SsmHdlError: the model does not fit, the clock cannot be made or is not reached, a tool is
            missing, failed or warned, or the folder cannot be written, or has a manifest that
            `build` did not put there.
    """
    out, asked_hz = Path(out), board.clock_hz if clock_hz is None else clock_hz
    if not 0 < asked_hz < float("inf"):
        raise SsmHdlError(
            f"a clock of {asked_hz / 1e6:g} MHz is none; "
            f"the {board.title} runs at {board.clock_hz / 1e6:g}"
        )
    if (out / FILE).exists() and not (out / PLAN).exists():
        raise UsageError(
            f"{out} is the folder of a manifest, and a build has its own; choose another"
        )
    if not seeds or min(seeds) < 0 or len({*seeds}) < len(seeds):
        raise UsageError(
            f"seeds are {list(seeds)}; give at least one, each 0 or more and only once"
        )
    if jobs < 1:
        raise UsageError(f"{jobs} seeds side by side are none; give --jobs 1 or more")
    plan = (
        plan
        or plan_for(
            manifest, board.chip, clock_hz=asked_hz, reserve=shell_use(manifest, board)
        ).plan
    )
    flow, pll = board.flow, board.pll(asked_hz)
    top = Top(board, pll, manifest, plan)
    expected = check_expected(manifest, plan, board)
    progress(
        f"{manifest.name} for the {board.title}: "
        f"{', '.join(f'{use} {name}' for name, use in expected.items())}"
    )
    versions = [
        f"Yosys (pyosys {importlib.metadata.version('pyosys')})",
        *map(tools.version, (flow.router, flow.packer)),
    ]
    for tool in (flow.router, flow.packer):
        tools.command(tool)
    bitstream, log = out / f"{manifest.name}.{flow.bitstream}", out / LOG
    with alone(out), scratch(out) as folder:
        try:
            for stale in (bitstream, out / REPORT, log):
                stale.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(out, error) from error
        netlist = synthesise_top(board, top, folder, out / "yosys.log", progress)
        tried = list[Routed]()
        with attempts(board, pll, folder, seeds, netlist, progress, jobs) as results:
            for place in (place_of(folder, seed) for seed in seeds):
                try:
                    tried.append(next(results))
                finally:
                    if (place / LOG).exists():
                        shutil.copy(place / LOG, log)
                if tried[-1].met:
                    break
        routed = tried[-1]
        if not routed.met:
            raise SsmHdlError(_missed(manifest, board, pll, tried, log))
        progress(f"bitstream ({flow.packer})")
        data = with_image(
            board, pack(board, place_of(folder, routed.seed)), top.shell.pipeline.image
        )
        cycles = estimate(manifest, plan).cycles
        report = BuildReport(
            model=manifest.name,
            fingerprint=fingerprint(manifest),
            board=board.name,
            device=board.device,
            clock_asked_mhz=asked_hz / 1e6,
            clock_mhz=pll.clock_hz / 1e6,
            clock_reached_mhz=round(routed.reached_hz / 1e6, 2),
            luts=routed.usage["LUTs"],
            flip_flops=routed.usage["flip-flops"],
            multipliers=routed.usage["multipliers"],
            block_rams=routed.usage["block RAMs"],
            sprams=routed.usage["SPRAMs"],
            cycles_per_step=cycles,
            steps_per_second=round(pll.clock_hz / cycles, 1),
            baud=board.baud,
            seed=routed.seed,
            seeds={attempted.seed: round(attempted.reached_hz / 1e6, 2) for attempted in tried},
            tools=versions,
            bitstream=str(bitstream),
        )
    source = {out / PLAN: plan.to_json(), **manifest.files(out)}
    write_together({**source, bitstream: data, out / REPORT: report.to_json()})
    progress(f"{bitstream}: {len(data):,} bytes")
    return report


def with_image(board: Board, bitstream: bytes, image: bytes) -> bytes:
    """A file that has the contents of SPRAM after the bitstream, at their place in the flash;
    programming it writes both.

    Raises:
        SsmHdlError: the bitstream does not leave them their place.
    """
    if image and len(bitstream) > board.flash_offset:
        raise SsmHdlError(
            f"the bitstream has {len(bitstream):,} bytes; "
            f"the weights begin at {board.flash_offset:,} of the flash"
        )
    return bitstream.ljust(board.flash_offset, b"\xff") + image if image else bitstream


def _missed(manifest: Manifest, board: Board, pll: Pll, tried: Sequence[Routed], log: Path) -> str:
    best = max(routed.reached_hz for routed in tried)
    if best >= pll.clock_hz:
        return (
            f"{manifest.name} on the {board.title} reaches {best / 1e6:.2f} MHz, but each of the "
            f"{len(tried)} seeds violates hold times; another plan (--rate, --dsp) "
            f"is placed in another way (paths: {log})"
        )
    clocks = (setting.clock_hz for setting in board.flow.pll.candidates(board.oscillator_hz))
    slower = max((clock for clock in clocks if clock <= 0.99 * best), default=None)
    remedy = (
        f"ask for {slower / 1e6:g} MHz (--clock {slower / 1e6:g})"
        if slower
        else "make the model smaller"
    )
    reached = (
        f"reached {best / 1e6:.2f} MHz at best"
        if best
        else "was given up each time: "
        f"the device is too full, or {PATIENCE_S / 60:g} minutes were not enough"
    )
    return (
        f"{manifest.name} on the {board.title} does not reach {pll.clock_hz / 1e6:g} MHz: place "
        f"and route {reached}, with {len(tried)} seeds; {remedy}, "
        f"or use fewer multipliers (critical path: {log})"
    )
