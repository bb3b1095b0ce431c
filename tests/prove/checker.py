"""Proofs by ABC: property-directed reachability (PDR), or all runs up to some length where
that does not end."""

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amaranth.back import rtlil
from prove.bench import PROPERTIES, Bench

from ssm_hdl.gen.yosys import run_yosys, share_folder

ELABORATE = ("hierarchy -top top", "proc")
TO_GATES = (
    "flatten",
    "memory",
    "setattr -unset init w:* w:first %d",  # what registers and memories hold at first: anything
    "opt -fast",
    "setundef -undriven -anyseq",  # so are words that a memory lacks
    "techmap",
    "opt -fast",
    "dffunmap",
    "techmap",
    "setundef -undriven -anyseq",
    "aigmap",
    "opt_clean",
)


@dataclass(frozen=True)
class Verdict:
    """What is known of a property.

    Attributes:
        proved: it holds for ever.
        depth: it holds in all runs of this many cycles; of a property that fails,
            the cycle in which it does.
        failed: it does not hold.
        seconds: how long the proof took.
    """

    proved: bool
    depth: int
    failed: bool
    seconds: float


def prove(bench: Bench, seconds: float = 40, bounded: float = 10) -> dict[str, Verdict]:
    """A verdict on each property, after so many seconds for a proof and as many as ``bounded``
    for runs from reset."""
    with tempfile.TemporaryDirectory() as name:
        (gates,) = _gates(bench, Path(name), [""])
        return {
            each: _verdict(_output(gates, PROPERTIES.index(each)), seconds, bounded)
            for each in bench.properties
        }


def mutants(bench: Bench, count: int, seconds: float = 10) -> dict[str, Verdict]:
    """Single faults in the component, as commands of Yosys,
    and a verdict on all properties together."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        listed = folder / "mutants"
        _yosys(
            bench,
            folder,
            [["mutate", "-list", str(count), "-seed", "1", "-o", str(listed), "top.component"]],
        )
        faults = [
            line
            for line in listed.read_text(encoding="utf-8").splitlines()
            if "-port CLK" not in line
        ]
        files = _gates(bench, folder, faults)
        return {
            fault: _verdict(_output(file, len(PROPERTIES)), seconds, 0)
            for fault, file in zip(faults, files, strict=True)
        }


def _gates(bench: Bench, folder: Path, faults: Sequence[str]) -> list[Path]:
    """AIGER of the component with each of the faults."""
    files = [folder / f"{index}.aig" for index in range(len(faults))]
    commands: list[str | list[str]] = ["design -save whole"]
    for fault, file in zip(faults, files, strict=True):
        save = ["write_aiger", "-zinit", str(file)]
        commands += ["design -load whole", *([fault] if fault else []), *TO_GATES, save]
    _yosys(bench, folder, commands)
    return files


def _yosys(bench: Bench, folder: Path, commands: Sequence[str | list[str]]) -> None:
    (folder / "top.il").write_text(
        rtlil.convert(bench, name="top", ports=bench.ports), encoding="utf-8"
    )
    run_yosys(
        [["read_rtlil", str(folder / "top.il")], *ELABORATE, *commands],
        folder / "yosys.log",
        accepted=(".*",),
    )


def _output(file: Path, index: int) -> Path:
    """A file with only one of the outputs: a header, a line for each latch, one for each output,
    and binary gates."""
    header, _, rest = file.read_bytes().partition(b"\n")
    most, inputs, latches, outputs, gates = header.split()[1:]
    lines = rest.split(b"\n", int(latches) + int(outputs))
    kept = [*lines[: int(latches)], lines[int(latches) + index], lines[-1]]
    one = file.with_suffix(f".{index}.aig")
    one.write_bytes(b"\n".join([b" ".join([b"aig", most, inputs, latches, b"1", gates]), *kept]))
    return one


def _verdict(file: Path, seconds: float, bounded: float) -> Verdict:
    said, spent = _abc(file, f"pdr -T {seconds}")
    if "Property proved" in said:
        return Verdict(True, 0, False, spent)
    failed = re.search(r"was asserted in frame (\d+)", said)
    if failed is None and bounded:
        said, more = _abc(file, f"bmc3 -T {bounded}")
        spent += more
        failed = re.search(r"was asserted in frame (\d+)", said)
    if failed is not None:
        return Verdict(False, int(failed[1]), True, spent)
    depths = (
        re.findall(r"No output asserted in (\d+) frames", said)
        or re.findall(r"^ *(\d+) [+.] :", said, re.M)
        or ["0"]
    )
    return Verdict(False, int(depths[-1]), False, spent)


def _abc(file: Path, commands: str) -> tuple[str, float]:
    tool = share_folder().parent / "yosys-abc"
    said = subprocess.run(
        [str(tool), "-c", f"read_aiger {file}; {commands}; time"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    times = re.findall(r"elapse: ([\d.]+) seconds", said)
    return said, float(times[-1]) if times else 0.0
