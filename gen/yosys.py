"""Yosys, from the pyosys wheel, in a process of its own: the one door to synthesis."""

import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.families.base import Family

ACCEPTED = (
    r"Replacing memory .* with list of registers",  # small memories; the result is what the Verilog says
)
"""Warnings that a correct design gives; any other is an error: a driver-driver conflict is a lost result."""

UNHURRIED = 4000
"""Picoseconds of logic that are not worth a LUT: ABC9 makes all as fast as the slowest path, or as this, and small designs, whose
slowest is faster, would be several times as large."""


def share_folder() -> Path:
    """The folder of the cell libraries that come with Yosys.

    Raises:
        SsmHdlError: Yosys is not installed.
    """
    spec = importlib.util.find_spec("pyosys")
    if spec is None or spec.origin is None:
        raise SsmHdlError('Yosys is not installed; `pip install "ssm-hdl[boards]"` brings it, as the wheel pyosys')
    return Path(spec.origin).parent / "share"


def run_yosys(commands: Sequence[str | Sequence[str]], log_path: Path | str, accepted: Sequence[str] = ()) -> str:
    """Run Yosys commands on a fresh design; the text of the log.

    Args:
        commands: lines of a Yosys script; or lists of arguments, for paths with blanks in them.
        log_path: where Yosys writes what it does, while it does it.
        accepted: warnings to let pass beside `ACCEPTED`, as regular expressions.

    Raises:
        SsmHdlError: Yosys is not installed, a command failed, or it warned of anything that is not accepted.
    """
    share_folder()
    log_path = Path(log_path)
    log_path.parent.mkdir(parents=True, exist_ok=True)
    script = json.dumps([command if isinstance(command, str) else list(command) for command in commands])
    with log_path.open("wb") as log:
        arguments = [sys.executable, "-P", "-m", "ssm_hdl.gen.yosys"]
        done = subprocess.run(arguments, input=script.encode(), stdout=log, stderr=subprocess.STDOUT, check=False)
    text = log_path.read_text(encoding="utf-8", errors="replace")
    if done.returncode != 0:
        lines = [line for line in text.splitlines() if line.startswith("ERROR:")] or text.splitlines()[-1:]
        raise SsmHdlError(f"Yosys failed: {' '.join(lines) or f'exit status {done.returncode}'} (see {log_path})")
    warnings = [line for line in text.splitlines() if _serious(line, (*ACCEPTED, *accepted))]
    if warnings:
        more = f" and {len(warnings) - 1} more" if len(warnings) > 1 else ""
        raise SsmHdlError(f"Yosys warns, so its netlist is not to be trusted: {warnings[0]}{more} (see {log_path})")
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
    """Synthesise a file into a flat netlist, JSON of Yosys, finished for the family; the cells of each type.

    Args:
        verilog: the file.
        top: its top module.
        family: the family of the cells.
        netlist: the file to be written.
        log_path: see `run_yosys`.
        options: of the family's Yosys command, in place of its own.
        accepted: see `run_yosys`.

    Raises:
        SsmHdlError: Yosys is not installed, failed or warned.
    """
    source, hurry = ["read_verilog", str(verilog)], f"scratchpad -set abc9.D {UNHURRIED}"
    mapping = family.synthesis_script(top, family.synthesis[1:] if options is None else options)
    run_yosys([source, hurry, *mapping, "flatten", "opt_clean", ["write_json", str(netlist)]], log_path, accepted)
    design: dict[str, Any] = json.loads(netlist.read_text(encoding="utf-8"))
    family.finish(design["modules"][top])
    netlist.write_text(json.dumps(design), encoding="utf-8")
    return Counter(cell["type"] for cell in design["modules"][top]["cells"].values())


def _serious(line: str, accepted: Sequence[str]) -> bool:
    warning = re.match(r"Warning: (.*)", line)  # ABC and the lexer of its own cell libraries begin theirs otherwise
    return warning is not None and not any(re.match(pattern, warning[1]) for pattern in accepted)


def main() -> None:
    """The process: run the commands that standard input holds, as JSON; Yosys itself ends it when one fails."""
    from pyosys import libyosys

    design = libyosys.Design()
    for command in json.load(sys.stdin):
        if isinstance(command, str):
            libyosys.run_pass(command, design)
        else:
            libyosys.Pass.call(design, command)


if __name__ == "__main__":
    main()
