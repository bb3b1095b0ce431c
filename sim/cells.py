"""The models of the cells of a family, which its designs instantiate: DSP blocks, and after synthesis everything."""

from importlib import resources
from pathlib import Path

from ssm_hdl import Manifest
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.verilog import generate
from ssm_hdl.gen.yosys import share_folder
from ssm_hdl.sim.compiler import Design

LINT = """\
// Pins of a cell that are not used are left out.
lint_off -rule PINMISSING
// The models of the cells know delays, which Verilator leaves out, and only some of them a time unit.
lint_off -rule SPECIFYIGN
lint_off -rule TIMESCALEMOD
// They start their memories with non-blocking assignments, which Verilator makes blocking.
lint_off -rule INITIALDLY
// What is usual in these models, written for all simulators, says nothing about the netlist.
lint_off -file "*/ice40/cells_sim.v"
lint_off -file "*/ecp5/*.vh"
lint_off -file "*/ecp5_cells.v"
"""


def cell_models(family: str) -> tuple[Path, ...]:
    """The files of a family's cells.

    Raises:
        SsmHdlError: Yosys, which brings most of them, is not installed.
    """
    share = share_folder() / family
    if family == "ice40":
        return (share / "cells_sim.v",)
    own = Path(str(resources.files("ssm_hdl.sim").joinpath("ecp5_cells.v")))
    return (own, share / "common_sim.vh", share / "ccu2c_sim.vh")


def rtl(manifest: Manifest, plan: Plan) -> Design:
    """The Verilog of a pipeline, with the models of the cells that it instantiates.

    Raises:
        SsmHdlError: the plan is for a family, and Yosys, which brings its cells, is not installed.
    """
    verilog = generate(manifest, plan)
    if plan.target == "generic":
        return Design(verilog, manifest.name)
    return Design(verilog, manifest.name, cell_models(plan.target), LINT)
