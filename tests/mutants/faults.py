"""All faults of a pipeline in one design: a number chooses the one that acts,
so one compilation serves them all.

Faults of gates come from Yosys: one bit of one port of one cell is inverted, held at 0 or 1,
or inverted by a neighbour. Faults of memories are single bits of what they hold at first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from ssm_hdl.gen.yosys import run_yosys

NUMBER = "SSM_HDL_FAULT"
"""Environment variable with the number of the fault; 0 is none.
A design reads it when it is switched on."""

PREPARE = ("opt_clean", "memory_collect")
_MODULE = re.compile(r"^module (\w+) ?\(.*?^endmodule\n", re.M | re.S)
_INSTANCE = re.compile(r"\.(?=\\|\$)")
# a memory that is written holds zeros at first
_WORD = re.compile(r"^    (\S+ ?\[\d+\] = (\d+)'h0*[1-9a-f][0-9a-f]*);$", re.M)
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


def with_faults(
    verilog: str, top: str, gates: int, bits: int, folder: Path, seed: int = 1
) -> Faulty:
    """Put faults into a design; its modules stay apart.

    Args:
        verilog: its text.
        top: its top module.
        gates: faults of gates.
        bits: faults of memories.
        folder: for the files of Yosys.
        seed: chooses the faults.
    """
    listed, source, flat, changed = (
        folder / name for name in ("faults", "design.v", "flat.v", "faulty.v")
    )
    source.write_text(verilog, encoding="utf-8")
    read: list[str | list[str]] = [["read_verilog", source.name], f"hierarchy -top {top}", "proc"]
    options = ["-list", str(gates), "-seed", str(seed), "-o", str(listed)]
    listing = [
        *read,
        "flatten",
        *PREPARE,
        ["mutate", *options, "t:$mem*", "%n"],
        ["write_verilog", "-noattr", str(flat)],
    ]
    run_yosys(listing, folder / "list.log")
    faults = [
        line for line in listed.read_text(encoding="utf-8").splitlines() if "-port CLK" not in line
    ]
    acting = [
        f"{placed(command, verilog, top)[1]} -ctrl fault 16 {number}"
        for number, command in enumerate(faults, 1)
    ]
    run_yosys(
        [*read, *PREPARE, *acting, ["write_verilog", "-noattr", str(changed)]],
        folder / "faulty.log",
    )
    modules = {
        found[1]: found[0] for found in _MODULE.finditer(changed.read_text(encoding="utf-8"))
    }
    count, dice, words = (
        len(faults),
        Random(seed),
        list(_WORD.finditer(flat.read_text(encoding="utf-8"))),
    )
    for word in sorted(dice.sample(words, min(bits, len(words))), key=lambda word: -word.start()):
        bit, width = dice.randrange(int(word[2])), word[2]
        faults.append(f"{word[1]}, bit {bit} inverted")
        *instances, line = word[1].lstrip("\\").split(".")
        module, (memory, rest) = (
            chain_of(instances, verilog, top)[-1],
            re.split(r" ?(?=\[)", line, maxsplit=1),
        )
        line = re.compile(rf"^    \\?{memory} ?{re.escape(rest)}(?=;$)", re.M)
        flip = f" ^ (fault == {len(faults)} ? {width}'d{1 << bit} : {width}'d0)"
        modules[module], found = line.subn(
            lambda match, flip=flip: match[0] + flip, modules[module]
        )
        assert found == 1, word[1]
    return Faulty("\n".join(map(_reading, modules.values())), faults, count)


def joined(faulty: str, connected: str, top: str) -> str:
    """The stages of one text in the pipeline of another, whose modules are not in the first,
    or have no faults there."""
    modules, others = (
        {found[1]: found[0] for found in _MODULE.finditer(text)} for text in (faulty, connected)
    )
    changed = {
        name: text
        for name, text in others.items()
        if name in (top, f"{top}_pipeline") or name not in modules
    }
    assert not any(NUMBER in modules.get(name, "") for name in changed)
    return "\n".join((modules | changed).values())


def placed(command: str, verilog: str, top: str) -> tuple[list[str], str]:
    """The modules from the top down to a fault of a flat design,
    and the fault as a command for the last of them."""
    (path,) = re.findall(r"-cell (\S+)", command)
    *instances, cell = _INSTANCE.split(path.removeprefix("$flatten"))
    chain = chain_of([instance[1:] for instance in instances], verilog, top)
    return chain, command.replace(f"-module {top} ", f"-module {chain[-1]} ").replace(path, cell)


def chain_of(instances: Sequence[str], verilog: str, top: str) -> list[str]:
    """The modules of instances, each in the one before, from the top down."""
    chain = [top]
    for instance in instances:
        start = verilog.index(f"module {chain[-1]} (")
        chain += re.findall(
            rf"^  (\S+) {re.escape(instance)} \($",
            verilog[start : verilog.index("endmodule", start)],
            re.M,
        )
    assert len(chain) == len(instances) + 1
    return chain


def _reading(module: str) -> str:
    """A module that reads the number of the fault itself,
    in place of the ports that Yosys makes for it."""
    module = re.sub(
        r"\n    \.fault\(fault\),|,\n    \.fault\(fault\)|^  (input|wire) \[15:0\] fault;\n",
        "",
        module,
        flags=re.M,
    )
    head, rest = module.split(";\n", 1)
    head = head.replace(", fault)", ")").replace("(fault, ", "(")
    reads = _READ if re.search(r"\bfault\b", rest) else ""
    return f"{head};\n{reads}{rest}"
