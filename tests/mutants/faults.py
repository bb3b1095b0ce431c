"""All faults of a pipeline in one design: a number chooses the one that acts, so one compilation serves them all.

Faults of gates come from Yosys: one bit of one port of one cell is inverted, held at 0 or 1, or inverted by a neighbour.
Faults of memories are single bits of what they hold at first.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from random import Random

from ssm_hdl.gen.yosys import run_yosys

NUMBER = "SSM_HDL_FAULT"
"""Environment variable with the number of the fault; 0 is none. A design reads it when it is switched on."""

PREPARE = ("proc", "flatten", "opt_clean", "memory_collect")
_WORD = re.compile(r"^(    \S+ ?\[\d+\] = (\d+)'h0*[1-9a-f][0-9a-f]*);$", re.M)  # a memory that is written holds zeros at first
_PORT = re.compile(r"^  input \[15:0\] fault;\n  wire \[15:0\] fault;\n", re.M)
_READ = f"""\
  reg [31:0] number = $c32("std::atoi(std::getenv(\\"{NUMBER}\\"))");
  wire [15:0] fault = number[15:0];
"""


@dataclass(frozen=True)
class Faulty:
    """A design that holds faults.

    Attributes:
        verilog: its text.
        faults: what each number from 1 on does.
        gates: how many of them are commands of Yosys; the others change memories.
    """

    verilog: str
    faults: list[str]
    gates: int


def with_faults(verilog: str, top: str, gates: int, bits: int, folder: Path, seed: int = 1) -> Faulty:
    """Put faults into a design.

    Args:
        verilog: its text.
        top: its top module.
        gates: faults of gates.
        bits: faults of memories.
        folder: for the files of Yosys.
        seed: chooses the faults.
    """
    listed, source, changed = folder / "faults", folder / "design.v", folder / "faulty.v"
    source.write_text(verilog, encoding="utf-8")
    read = [["read_verilog", source.name], f"hierarchy -top {top}", *PREPARE]
    options = ["-list", str(gates), "-seed", str(seed), "-o", str(listed)]
    run_yosys([*read, ["mutate", *options, "t:$mem*", "%n"]], folder / "list.log")
    commands = [line for line in listed.read_text(encoding="utf-8").splitlines() if "-port CLK" not in line]
    acting = [f"{command} -ctrl fault 16 {number}" for number, command in enumerate(commands, 1)]
    run_yosys([*read, *acting, ["write_verilog", "-noattr", str(changed)]], folder / "faulty.log")
    text, reads = _PORT.subn(lambda found: _READ, changed.read_text(encoding="utf-8"))
    assert reads == 1
    text = text.replace(", fault)", ")", 1).replace("(fault, ", "(", 1)
    words = list(_WORD.finditer(text))
    dice, faults = Random(seed), list(commands)
    for word in sorted(dice.sample(words, min(bits, len(words))), key=lambda word: -word.start()):  # ends stay where they are
        bit, width = dice.randrange(int(word[2])), word[2]
        faults.append(f"{word[1].strip()}, bit {bit} inverted")
        flip = f" ^ (fault == {len(faults)} ? {width}'d{1 << bit} : {width}'d0)"
        text = text[: word.end(1)] + flip + text[word.end(1) :]
    return Faulty(text, faults, len(commands))
