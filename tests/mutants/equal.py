"""Proofs that a fault changes nothing: in every state that both can be in, the design and its mutant do the same.

Registers and words of memories are paired by their names. If pairs that are equal stay so, and all outputs are equal, nobody sees
the fault. Yosys proves it by induction over two cycles.
"""

from pathlib import Path

from mutants.faults import PREPARE
from ssm_hdl import SsmHdlError
from ssm_hdl.gen.yosys import run_yosys

STATE = "t:$*dff* %co1:+[Q] w:* %i"  # other wires are no pairs: a fault may change them without being seen


def proved_equal(verilog: str, top: str, fault: str, folder: Path) -> bool:
    """Whether a mutant takes and gives the same in the same cycles, whatever comes; False also if that is not known in time
    (``SSM_HDL_LIMIT_S``).

    Args:
        verilog: text of the design.
        top: its top module.
        fault: a command of Yosys, or nothing.
        folder: for the files of the tools.
    """
    source = folder / "design.v"
    source.write_text(verilog, encoding="utf-8")
    commands: list[str | list[str]] = [["read_verilog", source.name], f"hierarchy -top {top}", *PREPARE, "design -save whole"]
    for name, change in (("sound", []), ("mutant", [fault] if fault else [])):
        hide = f"rename -hide w:* x:* %d {STATE} %d"
        commands += [
            "design -load whole",
            *change,
            "memory_map",
            "opt_clean",
            hide,
            f"rename {top} {name}",
            f"design -stash {name}",
        ]
    commands += [f"design -copy-from {name} {name}" for name in ("sound", "mutant")]
    commands += ["equiv_make sound mutant pair", "hierarchy -top pair", "opt_clean", "equiv_struct", "equiv_simple"]
    try:
        run_yosys([*commands, "equiv_induct -seq 2", "equiv_status -assert"], folder / "pair.log", accepted=(".*",))
    except SsmHdlError as error:
        if "it was stopped" not in str(error) and "unproven $equiv cells" not in (folder / "pair.log").read_text(
            encoding="utf-8"
        ):
            raise
        return False
    return True
