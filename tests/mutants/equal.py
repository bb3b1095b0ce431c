"""Proofs that a fault changes nothing: no run of a stage and of its mutant, side by side,
differs in what is seen.

Only the stage with the fault is looked at, and anything may come from its neighbours. Seen are its
handshakes, what it gives where that is valid, and what it does to its memories. These are cut out:
as long as both do the same to them, they read the same, whatever that is; tables of constants stay.
ABC finds signals of both that are always equal, or never change, by induction from power-up (signal
correspondence), and with them that no output differs.
"""

import itertools
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mutants.faults import placed
from ssm_hdl import Manifest
from ssm_hdl.fixed import bits
from ssm_hdl.gen.yosys import run_yosys, share_folder
from ssm_hdl.operations import Scan

_MODULE = re.compile(r"^module (\S+) \((.*?)^endmodule", re.M | re.S)
_PORT = re.compile(r"^  (input|output)\s+(?:wire|reg)\s+(?:\[(\d+):0\] )?(\w+),?$", re.M)
GATES = (
    *(
        "memory_map",
        "miter -equiv -flatten sound mutant pair",
        "hierarchy -top pair",
        "opt -fast",
        "techmap",
        "opt -fast",
    ),
    *(
        "dffunmap",
        "simplemap",
        "setundef -undriven -zero",
        "setundef -init -zero",
        "setundef -zero",
        "aigmap",
        "opt_clean",
    ),
)
"""What has no first value begins with zeros, as in Verilator."""


@dataclass(frozen=True)
class Observer:
    """Signals that a proof needs and a stage lacks; they read the stage and change nothing.

    Attributes:
        names: what they read of it.
        text: their Verilog, with an output ``observed``.
        frames: cycles of the induction.
    """

    names: tuple[str, ...] = ()
    text: str = "wire observed = 0;"
    frames: int = 2


OBSERVERS = {
    # Weights and biases have counters of their own: the bias's is that of the weights
    # some cycles later.
    "dense": Observer(
        ("value_2",),
        """
            reg [12 * $bits(value_2) - 1:0] observed;
            always @(posedge clk) observed <= rst ? 0 : {observed, value_2};
        """,
        frames=14,
    ),
    # While it divides, the remainder is below twice the length; where that is not so,
    # the quotient is not used.
    "mean": Observer(
        ("dividing", "busy", "phase", "over", "under", "high", "low", "length"),
        """
            localparam START = 1 << $clog2($bits(low));
            wire used = busy & phase < START & ~over & ~under;
            wire wide = high[$bits(high) - 1] | high >= {length, 1'b0};
            wire [3:0] never = {busy & ~dividing, phase != 0 & ~busy, phase > START, used & wide};
            wire same = phase == START | used;
            wire [$bits(high) + $bits(low) + 3:0] observed =
                {never, {$bits(high) + $bits(low){same}} & {high, low}};
        """,
    ),
}


def proved_equal(
    manifest: Manifest, verilog: str, fault: str, folder: Path, seconds: int = 60
) -> bool:
    """Whether a mutant takes and gives the same in the same cycles, whatever comes;
    False also if that is not known in time.

    Args:
        manifest: the integer program.
        verilog: its pipeline.
        fault: a command of Yosys.
        folder: for the files of the tools.
        seconds: for the proof.
    """
    top, verilog = manifest.name, _narrowed(manifest, verilog)
    modules = dict(_MODULE.findall(verilog))
    chain, change = placed(fault, verilog, top)
    stage = chain[min(2, len(chain) - 1)]
    node = manifest.nodes.get(stage.removeprefix(f"{top}_"))
    observer = OBSERVERS.get(node.op.op, Observer()) if node else Observer()
    if not all(_declared(name, modules[stage]) for name in observer.names):
        observer = Observer()  # a folding without these
    (folder / "design.v").write_text(verilog, encoding="utf-8")
    (folder / "seen.v").write_text(_seen(modules[stage], observer), encoding="utf-8")
    commands: list[str | list[str]] = [
        ["read_verilog", "design.v"],
        f"hierarchy -top {top}",
        "proc",
        "design -save whole",
    ]
    exposed = [f"expose w:{name}" for name in observer.names]
    for name, changes in (("sound", []), ("mutant", [change])):
        commands += [
            "design -load whole",
            *changes,
            f"hierarchy -top {stage}",
            "flatten",
            *exposed,
            f"rename {stage} stage",
        ]
        commands += [
            ["read_verilog", "-sv", "seen.v"],
            "hierarchy -top seen",
            "proc",
            "flatten",
            "expose w:observed",
        ]
        commands += ["opt_clean", "memory -nomap", ["write_json", f"{name}.json"]]
    run_yosys(commands, folder / "stage.log", accepted=(".*",))
    for name in ("sound", "mutant"):
        _cut(folder / f"{name}.json", name)
    reads = [["read_json", f"{name}.json"] for name in ("sound", "mutant")]
    run_yosys(
        [*reads, *GATES, ["write_aiger", "-zinit", "-symbols", "pair.aig"]],
        folder / "pair.log",
        accepted=(".*",),
    )
    tool, result = share_folder().parent / "yosys-abc", folder / "result.aig"
    result.unlink(missing_ok=True)
    for frames in dict.fromkeys((2, observer.frames)):
        script = (
            f"read_aiger {folder / 'pair.aig'}; scleanup; scorr -F {frames}; write_aiger {result}"
        )
        try:
            subprocess.run(
                [str(tool), "-c", script], capture_output=True, check=True, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            return False
        header, output = result.read_bytes().split(b"\n")[:2]
        # no latches, no gates: never 1
        if header.split()[3:] == [b"0", b"1", b"0"] and output == b"0":
            return True
    return False


def _narrowed(manifest: Manifest, verilog: str) -> str:
    """The design with the sums of scans in no more bits than their weights allow: it does the same,
    which no prover finds."""
    for node in manifest.nodes.values():
        if isinstance(node.op, Scan):
            start = verilog.index(f"module {manifest.name}_{node.name} (")
            text = verilog[start : verilog.index("endmodule", start)]
            drop = node.accumulator.f_bits - node.output.format.f_bits
            products = np.abs(node.arrays["transition"]).sum(-1) * -node.output.format.min
            most = (
                int((products - (node.inputs[0].format.min << node.arrays["shift"])).max())
                + (1 << drop)
                >> drop
            )
            # where it is a register
            for width in {
                int(last) + 1 for last in re.findall(r"reg \[(\d+):0\] whole(?:_1)?;", text)
            }:
                sign = bits(~most, most) - 1
                kept = rf"    \1 <= {{{{{width - sign}{{\2[{sign}]}}}}, \2[{sign - 1}:0]}};"
                verilog = verilog.replace(
                    text, re.sub(r"^    (whole(?:_1)?) <= (\w+);", kept, text, flags=re.M)
                )
    return verilog


def _declared(name: str, text: str) -> list[str]:
    """The declaration of a signal in a module, if it has it."""
    return re.findall(rf"^  (?:reg|wire) (?:\[\d+:0\] )?{name};$", text, re.M)


def _seen(text: str, observer: Observer) -> str:
    """A module around a stage of this text that gives what it gives only where that is valid."""
    ports = [
        (way, int(most or 0) + 1, name)
        for way, most, name in _PORT.findall(text.partition(");")[0])
    ]
    names, connected = (
        {name for _, _, name in ports},
        [f".{name}({name})" for name in observer.names],
    )
    lines = [
        f"module seen({', '.join(f'{way} [{width - 1}:0] {name}' for way, width, name in ports)});"
    ]
    lines += [_declared(name, text)[0].replace("reg", "wire") for name in observer.names]
    for way, width, name in ports:
        connected.append(f".{name}({'given_' * (way == 'output')}{name})")
        if way == "output":
            valid = re.sub("payload|data|last", "valid", name)
            shown = f" & {{{width}{{given_{valid}}}}}" if valid in names - {name} else ""
            lines += [
                f"wire [{width - 1}:0] given_{name};",
                f"assign {name} = given_{name}{shown};",
            ]
    return "\n".join(
        [*lines, f"stage stage({', '.join(connected)});", observer.text, "endmodule\n"]
    )


def _cut(path: Path, name: str) -> None:
    """Make ports of the memories that are written: what they are told goes out,
    what they say comes in.

    What they are told to write, and where, counts only in the bits that are written.
    """
    design: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    module = design["modules"]["seen"]
    fresh = itertools.count(
        1
        + max(
            bit
            for net in module["netnames"].values()
            for bit in net["bits"]
            if isinstance(bit, int)
        )
    )

    def gate(kind: str, **inputs: list[Any]) -> list[Any]:
        output = [next(fresh)]
        ports = {port: "input" for port in inputs} | {"Y": "output"}
        cell = {"type": kind, "port_directions": ports, "connections": inputs | {"Y": output}}
        widths = {
            f"{port}_WIDTH": f"{len(bits):032b}" for port, bits in cell["connections"].items()
        }
        signs = {f"{port}_SIGNED": f"{0:032b}" for port in inputs}
        module["cells"][f"gate_{output[0]}"] = cell | {
            "hide_name": 0,
            "parameters": widths | signs,
            "attributes": {},
        }
        return output

    for cell, memory in list(module["cells"].items()):
        if memory["type"] == "$mem_v2" and (count := int(memory["parameters"]["WR_PORTS"], 2)):
            del module["cells"][cell]
            told = memory["connections"]
            enables = np.array(told["WR_EN"], dtype=object).reshape(count, -1)
            written = [gate("$reduce_or", A=list(bits))[0] for bits in enables]
            places = len(told["WR_ADDR"]) // count
            told["WR_DATA"] = [
                gate("$and", A=[a], B=[b])[0]
                for a, b in zip(told["WR_DATA"], told["WR_EN"], strict=True)
            ]
            told["WR_ADDR"] = [
                gate("$and", A=[a], B=[written[n // places]])[0]
                for n, a in enumerate(told["WR_ADDR"])
            ]
            for port, bits in told.items():
                if bits and not port.endswith("CLK"):
                    module["ports"][f"{cell}.{port}"] = {
                        "direction": "input" if port == "RD_DATA" else "output",
                        "bits": bits,
                    }
    path.write_text(json.dumps(design | {"modules": {name: module}}), encoding="utf-8")
