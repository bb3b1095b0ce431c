"""The demonstration: digits from training to a bitstream, every step checked."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from ssm_hdl import SsmHdlError
from ssm_hdl.boards.build import BuildReport, build
from ssm_hdl.boards.catalog import find_board
from ssm_hdl.boards.resources import shell_use
from ssm_hdl.files import write_atomically
from ssm_hdl.gen.report import Report
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate
from ssm_hdl.sim.compare import Comparison, compare
from ssm_hdl.sim.netlist import netlist_model
from ssm_hdl.sim.verilated import VerilatedModel
from ssm_hdl.sw.data import load
from ssm_hdl.sw.draw import draw
from ssm_hdl.sw.evaluate import Evaluation, evaluate_float, evaluate_integer
from ssm_hdl.sw.presets import preset
from ssm_hdl.sw.quantize import Recipe, effort, quantize
from ssm_hdl.sw.train import train

MODEL, RECIPE, BOARD = "digits", "w8a8", "icebreaker"
"""What the demonstration trains, how it is quantized, and for which board."""

CLOCK_HZ = 36e6
"""A clock that the first attempt of place and route meets; `ssm-hdl build` tries harder,
for the board's own."""

RATE_HZ = 500e3
"""Time steps per second: one every 72 cycles, the fewest that 8 DSP blocks give."""

NETLIST_SEQUENCES = 2
"""Digits through the netlist, which simulates much slower than the RTL."""

Bar = Callable[[str, int | None], AbstractContextManager[Callable[[int], None]]]
"""Makes a progress bar of a task and its total; yields the function that advances it."""


@dataclass(frozen=True)
class Demo:
    """What the demonstration found.

    Attributes:
        float_model: accuracy of the float model on the test digits.
        integer: accuracy of the integer program on the same.
        report: what the generator says about the pipeline.
        rtl: all test digits through the RTL, against the golden model.
        netlist: some of them through the netlist in cells of the iCE40.
        bitstream: the report of the build.
        files: what was written, by what it is.
        seconds: of all of it.
    """

    float_model: Evaluation
    integer: Evaluation
    report: Report
    rtl: Comparison
    netlist: Comparison
    bitstream: BuildReport
    files: dict[str, str]
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON takes it."""
        return {
            "float": self.float_model.to_json(),
            "integer": self.integer.to_json(),
            "report": asdict(self.report),
            "rtl": asdict(self.rtl),
            "netlist": asdict(self.netlist),
            "bitstream": asdict(self.bitstream),
            "files": self.files,
            "seconds": round(self.seconds, 1),
        }


def demo(out: Path, console: Console, bar: Bar) -> Demo:
    """Train, quantize, evaluate, generate, simulate, synthesise and build the digits model.

    Args:
        out: folder of what it makes.
        console: for messages and the progress of the training.
        bar: makes the other progress bars.

    Raises:
        SsmHdlError: a tool is missing or failed, or the RTL or the netlist differs from
            the golden model.
    """
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(
            Text.assemble((f"{time.monotonic() - began:4.0f} s", "bold"), f"  {text}"),
            highlight=False,
            soft_wrap=True,
        )

    say("training an S4D on scikit-learn's digits, 8 x 8 pixels as sequences of 64 steps")
    dataset = load(MODEL)
    checkpoint = train(dataset, preset(MODEL), progress=console)
    files = {"checkpoint": checkpoint.save(out / f"{MODEL}.safetensors")}

    say(f"quantizing it after training, {RECIPE}: 8-bit weights and activations, 16-bit states")
    recipe = Recipe.load(RECIPE)
    with bar("calibrating", effort(checkpoint, dataset, recipe)) as advance:
        manifest = quantize(checkpoint, dataset, recipe, advance).manifest
    files["manifest"] = manifest.save(out / "manifest")

    float_model = evaluate_float(checkpoint, dataset.test)
    integer = evaluate_integer(manifest, dataset.test)
    say(f"test accuracy: float {float_model.accuracy:.2%}, integer {integer.accuracy:.2%}")

    board = find_board(BOARD)
    sized = plan_for(
        manifest, board.chip, RATE_HZ, clock_hz=CLOCK_HZ, reserve=shell_use(manifest, board)
    )
    plan, report = sized.plan, sized.report
    inferred = plan_for(manifest, dsp=plan.dsp).plan
    files["Verilog"] = write_atomically(out / f"{MODEL}.v", generate(manifest, inferred))
    files["picture"] = draw(manifest, plan, out / "pipeline.svg")
    files["picture, PNG"] = draw(manifest, plan, out / "pipeline.png")
    say(
        f"generated {report.cycles} cycles per step on {report.dsp_multipliers} multipliers; "
        f"{files['picture']} shows it"
    )

    say("compiling the Verilog with Verilator")
    model, codes = VerilatedModel(manifest, inferred), manifest.check_samples(dataset.test.codes)
    with bar(f"{len(codes)} test digits through the RTL", len(codes)) as advance:
        rtl = _equal("RTL", compare(manifest, model, codes, advance))
    say(
        f"RTL equals golden model: {rtl.sequences} digits, {rtl.differences} differences, "
        f"{rtl.cycles:,} cycles"
    )

    say("synthesising it to iCE40 cells, and simulating these")
    with bar("compiling the netlist", None):
        model = netlist_model(manifest, board.family, plan)
    with bar("the netlist", NETLIST_SEQUENCES) as advance:
        netlist = _equal("netlist", compare(manifest, model, codes[:NETLIST_SEQUENCES], advance))
    say(
        f"netlist equals golden model: {netlist.sequences} digits, "
        f"{netlist.differences} differences"
    )

    say(f"building the bitstream for the {board.title}")
    built = build(manifest, board, out / "bitstream", plan=plan, clock_hz=CLOCK_HZ, progress=say)
    files["bitstream"] = Path(built.bitstream)
    say("done")
    names = {name: str(path) for name, path in files.items()}
    return Demo(float_model, integer, report, rtl, netlist, built, names, time.monotonic() - began)


def _equal(what: str, comparison: Comparison) -> Comparison:
    if comparison.differences:
        raise SsmHdlError(
            f"the {what} differs from the golden model in {comparison.differences} of "
            f"{comparison.elements} elements ({comparison.first}); this is a bug, please report it"
        )
    return comparison
