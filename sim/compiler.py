"""Compiles Verilog to a shared library with Verilator and the C++ compiler;
a cache keeps the library of every design."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ssm_hdl import files
from ssm_hdl.files import scratch
from ssm_hdl.sim.links import Place
from ssm_hdl.sim.tools import run_tool, verilator_environment, without_blanks

LINT = """\
`verilator_config
// Yosys leaves it to Verilog to extend the narrower operand, as Verilog does.
lint_off -rule WIDTHEXPAND
// Yosys writes "is zero" of a vector as !vector. No other narrowing is let pass.
lint_off -rule WIDTHTRUNC -file "*" -match "Logical operator LOGNOT expects 1 bit *"
// Amaranth compares with 0, the start of a slice, where a number cannot be below it.
lint_off -rule UNSIGNED
// Amaranth declares signals of 0 bits as [-1:0]; nothing reads them.
lint_off -rule ASCRANGE
"""
"""The only warnings of Verilator that are waived; any other stops the build."""

VERILATOR_FLAGS = ("-O3", "--x-assign", "fast", "--x-initial", "fast", "--no-assert")
# Semantic interposition would keep the compiler from inlining functions of the library
# into each other.
CXX_FLAGS = ("-std=gnu++17", "-fPIC", "-fno-semantic-interposition")
_RUNTIME = ("verilated.cpp", "verilated_threads.cpp")
_HEADER = "runtime.h"
_asked = dict[tuple[str | None, ...], str]()


@dataclass(frozen=True)
class Design:
    """Verilog to compile.

    Attributes:
        verilog: its text.
        top: its top module, which becomes the C++ class ``Vtop`` (header ``Vtop.h``).
        sources: Verilog files that it needs besides its own text, such as models of vendor cells.
        lint: lines of a Verilator configuration file that waive more warnings than `LINT`.
        optimise: level of the C++ compiler. 1 runs fast, and 2 no faster;
            0 compiles fastest, a netlist in a tenth of the time.
        weights: bytes for its port ``w`` before the first sample, if it has one.
        masks: of a design with the ports of `ssm_hdl.sim.linked`,
            the operations whose results they may change.
    """

    verilog: str
    top: str
    sources: tuple[Path, ...] = ()
    lint: str = ""
    optimise: int = 1
    weights: bytes = b""
    masks: Mapping[str, Place] | None = None


def cache_folder() -> Path:
    """The folder of compiled designs: ``ssm-hdl/verilated`` in the user's cache;
    safe to delete at any time."""
    return files.cache_folder() / "ssm-hdl" / "verilated"


def compile_verilog(design: Design, harness: str, cache: Path | None = None) -> Path:
    """Compile a design and a C++ harness into a shared library for ``ctypes``.

    Args:
        design: the Verilog.
        harness: C++ text that drives it.
        cache: folder for the library; `cache_folder` if None.

    Returns:
        The library, in the cache.

    Raises:
        SsmHdlError: a tool is missing, warned or failed, or the cache cannot be written.
    """
    folder = cache_folder() if cache is None else cache
    with scratch(folder) as build:
        environment = without_blanks(verilator_environment(), build)
        version = versions(environment, build)
        flags = [*CXX_FLAGS, f"-O{design.optimise}"]
        lint = LINT + design.lint
        texts = [version, lint, *VERILATOR_FLAGS, *flags, design.verilog, design.top, harness]
        texts += [
            text
            for path in design.sources
            for text in (path.name, path.read_text(encoding="utf-8"))
        ]
        library = folder / f"{design.top}-{digest(texts)}.so"
        if library.exists():
            return library
        (build / "design.v").write_text(design.verilog, encoding="utf-8")
        (build / "lint.vlt").write_text(lint, encoding="utf-8")
        (build / "harness.cpp").write_text(harness, encoding="utf-8")
        sources: list[str | Path] = [
            "lint.vlt",
            "design.v",
            *(path.absolute() for path in design.sources),
        ]
        options = [
            *VERILATOR_FLAGS,
            "--cc",
            "--top-module",
            design.top,
            "--prefix",
            "Vtop",
            "--Mdir",
            ".",
        ]
        run_tool(["verilator", *options, *sources], environment, build)
        parts = [path.name for path in sorted(build.glob("Vtop*.cpp"))] + ["harness.cpp"]
        # One translation unit compiles faster, and runs faster, than one for each part.
        headers = _headers(environment, folder, build, version, flags)
        # GCC takes a precompiled header only where it is the first that the compiled
        # file itself includes.
        includes = "".join(f'#include "{part}"\n' for part in [_HEADER, *parts])
        (build / "all.cpp").write_text(includes, encoding="utf-8")
        runtime = _runtime(environment, folder, build, version)
        link: list[str | Path] = [
            "-shared",
            "-I.",
            f"-I{headers}",
            *_includes(environment),
            "all.cpp",
            *runtime,
            "-o",
            "all.so",
        ]
        run_tool(["g++", *flags, *link], environment, build)
        (build / "all.so").replace(library)  # atomic: another process may compile the same design
    return library


def versions(environment: dict[str, str], build: Path) -> str:
    """The versions of Verilator and the C++ compiler; they are asked once."""
    key = tuple(environment.get(name) for name in ("PATH", "VERILATOR_ROOT"))
    if key not in _asked:
        commands = (["verilator", "--version"], ["g++", "-dumpfullversion"])
        _asked[key] = "".join(run_tool(command, environment, build) for command in commands)
    return _asked[key]


def _runtime(environment: dict[str, str], folder: Path, build: Path, version: str) -> list[Path]:
    """Verilator's own runtime as object files, compiled once for all designs."""
    flags = [*CXX_FLAGS, "-O2"]
    key = digest([version, *flags])
    objects = []
    for source in _RUNTIME:
        cached = folder / f"{Path(source).stem}-{key}.o"
        if not cached.exists():
            path = Path(environment["VERILATOR_ROOT"]) / "include" / source
            run_tool(
                ["g++", *flags, *_includes(environment), "-c", path, "-o", f"{source}.o"],
                environment,
                build,
            )
            (build / f"{source}.o").replace(cached)
        objects.append(cached.absolute())
    return objects


def _headers(
    environment: dict[str, str], folder: Path, build: Path, version: str, flags: list[str]
) -> Path:
    """The folder of what all designs include, compiled once:
    small designs take two thirds of their time for it."""
    cached = folder / f"headers-{digest([version, *flags])}"
    if not (cached / f"{_HEADER}.gch").exists():
        cached.mkdir(exist_ok=True)
        (build / _HEADER).write_text('#include "verilated.h"\n', encoding="utf-8")
        command: list[str | Path] = [
            "g++",
            *flags,
            *_includes(environment),
            "-x",
            "c++-header",
            _HEADER,
            "-o",
            f"{_HEADER}.gch",
        ]
        run_tool(command, environment, build)
        for name in (_HEADER, f"{_HEADER}.gch"):  # without the compiled one, GCC reads the other
            (build / name).replace(cached / name)
    return cached.absolute()


def _includes(environment: dict[str, str]) -> list[str]:
    root = Path(environment["VERILATOR_ROOT"]) / "include"
    return [f"-I{root}", f"-I{root / 'vltstd'}"]


def digest(texts: Sequence[str]) -> str:
    """What tells texts apart, for names in the cache."""
    hashed = hashlib.sha256()
    for text in texts:
        hashed.update(f"{len(text)}:{text}".encode())
    return hashed.hexdigest()[:24]
