"""Two circuits side by side, with an output that says where they differ, and what ABC finds of it.

All functions take the folder in which both are, as JSON of Yosys with the names of `SIDES`.
"""

import re
import subprocess
from pathlib import Path

from ssm_hdl.gen.yosys import run_yosys, share_folder

SIDES = ("sound", "mutant")

PAIR = (
    *(
        "memory_map",
        "miter -equiv -make_outcmp -flatten sound mutant pair",
        "hierarchy -top pair",
        "expose w:*helper*",
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


def write(folder: Path) -> None:
    """Write both with an output ``trigger``, 1 where they differ, and one for each output."""
    commands: list[str | list[str]] = [["read_json", f"{name}.json"] for name in SIDES]
    commands += [*PAIR, ["write_aiger", "-zinit", "-symbols", "pair.aig"]]
    run_yosys(commands, folder / "pair.log", accepted=(".*",))


def differ(folder: Path, frames: int, seconds: int) -> set[str]:
    """The outputs that induction over some cycles does not prove to be equal, and ``trigger``;
    none if it proves all."""
    pair, result = folder / "pair.aig", folder / "result.aig"
    result.unlink(missing_ok=True)
    _abc(f"read_aiger {pair}; scleanup; scorr -F {frames}; write_aiger {result}", seconds)
    names = {
        int(place): name.removeprefix("\\").removeprefix("cmp_")
        for place, name in re.findall(r"^o(\d+) (\S+)$", _text(pair), re.M)
        if name == "trigger" or "cmp_" in name
    }
    if not result.exists():
        return {"late"}
    head, *lines = _text(result).split("\n")
    _, _, _, latches, outputs, _ = head.split()[:6]
    values = lines[int(latches) : int(latches) + int(outputs)]
    found = {name for place, name in names.items() if values[place] != "01"[name != "trigger"]}
    return found if "trigger" in found else set()


def unreachable(folder: Path, seconds: int) -> bool:
    """Whether no run leads to a difference, of what `differ` has left."""
    read = f"read_aiger {folder / 'result.aig'}; &get -n; {_trigger(folder)}"
    return "Property proved" in _abc(f"{read}; scleanup; pdr -T {seconds}", 2 * seconds)


def never(folder: Path, seconds: int) -> bool:
    """Whether two circuits without registers are the same."""
    read = f"&read {folder / 'pair.aig'}; {_trigger(folder)}"
    return "UNSATISFIABLE" in _abc(f"{read}; iprove", seconds)


def _trigger(folder: Path) -> str:
    """Commands that leave but the one output."""
    (place,) = re.findall(r"^o(\d+) trigger$", _text(folder / "pair.aig"), re.M)
    return f"&cone -O {place}; &put"


def _text(path: Path) -> str:
    """A file that is not all text."""
    return path.read_bytes().decode("latin-1")


def _abc(script: str, seconds: int) -> str:
    """What ABC says; nothing if it does not end in time."""
    tool = share_folder().parent / "yosys-abc"
    try:
        done = subprocess.run(
            [str(tool), "-c", script], capture_output=True, check=True, timeout=seconds, text=True
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout
