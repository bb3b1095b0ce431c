"""Models of the cells of the families, for designs that instantiate them."""

from dataclasses import replace
from importlib import resources
from pathlib import Path

from ssm_hdl.families.base import Family
from ssm_hdl.gen.yosys import share_folder
from ssm_hdl.sim.compiler import Design

_LINT = """\
// Pins of a cell that are not used are left out.
lint_off -rule PINMISSING
// The models of the cells know delays, which Verilator leaves out,
// and only some of them a time unit.
lint_off -rule SPECIFYIGN
lint_off -rule TIMESCALEMOD
// They start their memories with non-blocking assignments, which Verilator makes blocking.
lint_off -rule INITIALDLY
// A model of ours comes before the empty one of Yosys.
lint_off -rule MODDUP
// What is usual in these models, written for all simulators, says nothing about the netlist.
"""


def with_cells(design: Design, family: Family) -> Design:
    """The design with the simulation models of the cells of a family, if it instantiates any."""
    if not family.cell_models:
        return design
    sources = tuple(_file(family, name) for name in family.cell_models)
    return replace(
        design,
        sources=sources,
        lint=_LINT + "".join(f'lint_off -file "*/{path.name}"\n' for path in sources),
    )


def _file(family: Family, name: str) -> Path:
    """A model beside the family's module (``./NAME``), or one of Yosys."""
    if name.startswith("./"):
        return Path(str(resources.files(type(family).__module__).joinpath(name)))
    return share_folder() / name
