"""The netlist after synthesis, in the cells of a family, as a Python object that runs;
checks that synthesis kept every bit."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ssm_hdl import Manifest
from ssm_hdl.errors import UsageError
from ssm_hdl.families import Family, unlimited
from ssm_hdl.files import scratch
from ssm_hdl.gen import yosys
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate, weights
from ssm_hdl.sim.cells import with_cells
from ssm_hdl.sim.compiler import Design, cache_folder
from ssm_hdl.sim.verilated import VerilatedModel

_ACCEPTED = (
    # of a register that went into an SB_MAC16, which starts at 0 as it did
    r"Wire .* has an unprocessed 'init' attribute",
)


def synthesise(
    verilog: str, top: str, family: Family, options: Sequence[str] = (), cache: Path | None = None
) -> Design:
    """The netlist of a design in the cells of a family, flat, with the models of these cells.

    Args:
        verilog: text of the design.
        top: its top module.
        family: the family.
        options: of the family's Yosys command.
        cache: folder that keeps the log of a failure; `cache_folder` if None.

    Raises:
        SsmHdlError: the family has no cells, Yosys is not installed, failed, or warned.
    """
    if not family.synthesis:
        raise UsageError(
            f"a netlist has the cells of a family, and {family.title} has none; name a device"
        )
    digest = hashlib.sha256(verilog.encode()).hexdigest()[:24]
    log = (cache_folder() if cache is None else cache) / f"{family.name}-{digest}.log"
    with scratch() as build:
        (build / "design.v").write_text(verilog, encoding="utf-8")
        yosys.synthesise(
            build / "design.v", top, family, build / "top.json", log, options, _ACCEPTED
        )
        commands = [
            ["read_json", str(build / "top.json")],
            # bit by bit no carry chain looks like a loop, and Verilator makes less code of it
            ["splitnets"],
            ["opt_clean", "-purge"],
            ["write_verilog", "-noattr", str(build / "netlist.v")],
        ]
        yosys.run_yosys(commands, build / "verilog.log", _ACCEPTED)
        netlist = (build / "netlist.v").read_text(encoding="utf-8")
    log.unlink()
    return with_cells(Design(netlist, top, optimise=0), family)


def netlist_model(
    manifest: Manifest,
    family: Family,
    plan: Plan | None = None,
    options: Sequence[str] = (),
    cache: Path | None = None,
) -> VerilatedModel:
    """The pipeline of a manifest after synthesis, to be run and compared as the one before it.

    Args:
        manifest: the integer program.
        family: the family.
        plan: its hardware; `plan_for`'s for an unlimited device of the family if None.
        options: of the family's Yosys command.
        cache: folder that keeps what was compiled; see `ssm_hdl.sim.compiler.cache_folder`.

    Raises:
        SsmHdlError: the family is not known, a tool is missing, failed or warned.
    """
    plan = plan or plan_for(manifest, unlimited(family)).plan
    design = synthesise(generate(manifest, plan), manifest.name, family, options, cache)
    return VerilatedModel(
        manifest, design=replace(design, weights=weights(manifest, plan)), cache=cache
    )
