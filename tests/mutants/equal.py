"""Proofs that a fault changes nothing: the design and its mutant side by side, compared by ABC in all runs."""

import re
from pathlib import Path

from prove.checker import TO_GATES, abc

from mutants.faults import PREPARE
from ssm_hdl.gen.yosys import run_yosys

# Registers and words that no reset and no content sets are 0 at first, as the device has them, in both designs.
_GATES = [line.replace("anyseq", "zero") for line in TO_GATES if not line.startswith("setattr")] + ["setundef -zero -init"]
_PORT = re.compile(r"^  (input|output) +wire (\[[\d:]+\] )?(\w+),?$", re.M)


def proved_equal(verilog: str, top: str, fault: str, folder: Path, seconds: float = 30) -> bool:
    """Whether a mutant takes and gives the same in the same cycles, whatever comes; False also if that is not known.

    Args:
        verilog: text of the design.
        top: its top module.
        fault: a command of Yosys.
        folder: for the files of the tools.
        seconds: time for the proof.
    """
    source, pair, gates = folder / "design.v", folder / "pair.v", folder / "pair.aig"
    source.write_text(verilog, encoding="utf-8")
    pair.write_text(_pair(verilog), encoding="utf-8")
    commands: list[str | list[str]] = [["read_verilog", str(source)], f"hierarchy -top {top}", *PREPARE, "design -save whole"]
    for name, change in (("sound", []), ("mutant", [fault] if fault else [])):
        commands += ["design -load whole", *change, f"rename {top} {name}", f"design -stash {name}"]
    commands += [f"design -copy-from {name} {name}" for name in ("sound", "mutant")]
    commands += [["read_verilog", str(pair)], "hierarchy -top pair", *_GATES, ["write_aiger", "-zinit", str(gates)]]
    run_yosys(commands, folder / "pair.log", accepted=(".*",))
    said, _ = abc(gates, f"strash; &get; &scl; &scorr; &scl; &scorr -F 4; &put; pdr -T {seconds:g}")
    return "Property proved" in said or "Networks are equivalent" in said


def _pair(verilog: str) -> str:
    """A module with both designs on the same inputs; its output says that they differ in a stream."""
    ports = {name: (kind, width or "") for kind, width, name in _PORT.findall(verilog.partition(");")[0])}
    inputs = [name for name, (kind, _) in ports.items() if kind == "input"]
    outputs = [name for name in ports if name not in inputs]
    lines = [f"module pair({', '.join(inputs)}, differ);", "  output differ;"]
    lines += [f"  input {ports[name][1]}{name};" for name in inputs]
    for side in ("sound", "mutant"):
        lines += [f"  wire {ports[name][1]}{side}_{name};" for name in outputs]
        wires = [f".{name}({name})" for name in inputs] + [f".{name}({side}_{name})" for name in outputs]
        lines.append(f"  {side} {side}({', '.join(wires)});")
    wrong = []
    for name in outputs:
        valid = f"{name[0]}_valid"
        shown = f"sound_{valid} && " if name.endswith(("_data", "_last")) else ""
        wrong.append(f"({shown}sound_{name} != mutant_{name})")
    return "\n".join([*lines, f"  assign differ = {' || '.join(wrong)};", "endmodule", ""])
