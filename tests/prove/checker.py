"""Proofs by ABC: property-directed reachability (PDR), or all runs up to some length where that does not end."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil
from prove.bench import PROPERTIES, Bench

from ssm_hdl.gen.yosys import run_yosys, share_folder

PREPARE = (
    "hierarchy -top top",
    "proc",
    "flatten",
    "memory",
    "setattr -unset init w:* w:first %d",  # what registers and memories hold at first: anything
    "opt -fast",
    "setundef -undriven -anyseq",  # so are words that a memory lacks
    "techmap",
    "opt -fast",
    "dffunmap",
    "techmap",
    "aigmap",
    "opt_clean",
)


@dataclass(frozen=True)
class Verdict:
    """What is known of a property.

    Attributes:
        proved: it holds for ever.
        depth: it holds in all runs of this many cycles; of a property that fails, the cycle in which it does.
        failed: it does not hold.
        seconds: how long the proof took.
    """

    proved: bool
    depth: int
    failed: bool
    seconds: float


def prove(bench: Bench, seconds: float = 30, bounded: float = 10) -> dict[str, Verdict]:
    """A verdict on each property, after so many seconds for a proof and as many as ``bounded`` for runs from reset."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "top.il").write_text(rtlil.convert(bench, name="top", ports=bench.ports), encoding="utf-8")
        load, save = ["read_rtlil", str(folder / "top.il")], ["write_aiger", "-zinit", str(folder / "top.aig")]
        run_yosys([load, *PREPARE, save], folder / "yosys.log", accepted=(".*",))
        return {
            name: _verdict(_output(folder / "top.aig", PROPERTIES.index(name)), seconds, bounded) for name in bench.properties
        }


def _output(file: Path, index: int) -> Path:
    """A file with only one of the outputs: a header, a line for each latch, one for each output, and binary gates."""
    header, _, rest = file.read_bytes().partition(b"\n")
    most, inputs, latches, outputs, gates = header.split()[1:]
    lines = rest.split(b"\n", int(latches) + int(outputs))
    kept = [*lines[: int(latches)], lines[int(latches) + index], lines[-1]]
    one = file.with_name(f"{index}.aig")
    one.write_bytes(b"\n".join([b" ".join([b"aig", most, inputs, latches, b"1", gates]), *kept]))
    return one


def _verdict(file: Path, seconds: float, bounded: float) -> Verdict:
    said, spent = _abc(file, f"pdr -T {seconds}")
    if "Property proved" in said:
        return Verdict(True, 0, False, spent)
    failed = re.search(r"was asserted in frame (\d+)", said)
    if failed is None:
        said, more = _abc(file, f"bmc3 -T {bounded}")
        spent += more
        failed = re.search(r"was asserted in frame (\d+)", said)
    if failed is not None:
        return Verdict(False, int(failed[1]), True, spent)
    depths = re.findall(r"No output asserted in (\d+) frames", said) or re.findall(r"^ *(\d+) [+.] :", said, re.M) or ["0"]
    return Verdict(False, int(depths[-1]), False, spent)


def _abc(file: Path, commands: str) -> tuple[str, float]:
    tool = share_folder().parent / "yosys-abc"
    said = subprocess.run(
        [str(tool), "-c", f"read_aiger {file}; {commands}; time"], capture_output=True, text=True, check=True
    ).stdout
    times = re.findall(r"elapse: ([\d.]+) seconds", said)
    return said, float(times[-1]) if times else 0.0
