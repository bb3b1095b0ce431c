"""Models of the cells of the families, for designs that instantiate them."""

from dataclasses import replace
from importlib import resources
from pathlib import Path

from ssm_hdl.gen.yosys import share_folder
from ssm_hdl.sim.compiler import Design

FAMILIES = ("ice40", "ecp5")
"""The families whose cells there are models of."""

_LINT = """\
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


def with_cells(design: Design, family: str) -> Design:
    """The design with the models of the cells of a family, from Yosys; as it was for a target that has none."""
    if family not in FAMILIES:
        return design
    share = share_folder() / family
    sources: tuple[Path, ...] = (share / "cells_sim.v",)
    if family == "ecp5":
        own = Path(str(resources.files("ssm_hdl.sim").joinpath("ecp5_cells.v")))
        sources = (own, share / "common_sim.vh", share / "ccu2c_sim.vh")
    return replace(design, sources=sources, lint=_LINT)
