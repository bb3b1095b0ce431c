"""The folders import each other in one direction only, the heavy packages only where they belong,
and all are packaged."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from ssm_hdl.extras import EXTRAS

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "ssm_hdl": {"ssm_hdl"},
    "gen": {"ssm_hdl", "gen"},
    "sim": {"ssm_hdl", "gen", "sim"},
    "boards": {"ssm_hdl", "gen", "boards"},
    "sw": {"ssm_hdl", "gen", "sim", "boards", "recipes", "sw"},
}
"""What each folder may import of the others, as the architecture has it."""

FOREIGN = {
    "ssm_hdl": {"amaranth", "numpy", "pydantic", "pydantic_core", "safetensors", "yaml"},
    "gen": {"amaranth", "highspy", "numpy", "pyosys", "yaml"},
    "sim": {"amaranth", "cocotb", "cocotb_tools", "numpy", "vcd"},
    "boards": {"amaranth", "amaranth_boards", "numpy", "scipy"},
}
"""Packages beside the standard library; the software may import any."""

FRONT_DOOR = (Path("ssm_hdl/__init__.py"), "ssm_hdl.sw.api")
"""The package has the names of the Python API, and imports it when one is first used."""

FOLDERS = sorted(MAY_IMPORT)
FILES = [
    path.relative_to(ROOT) for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))
]


def imports(path: Path, everywhere: bool = True) -> Iterator[str]:
    """Names of the modules that a file imports, in functions too or at its top level alone."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    for node in ast.walk(tree) if everywhere else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            yield node.module or ""


def folder_of(module: str) -> str:
    """The folder that a module of ours lives in."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in {*MAY_IMPORT, "recipes"} else "ssm_hdl"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_folder_imports_only_what_it_may(path):
    folder = path.parts[0]
    for module in imports(path):
        top = module.split(".")[0]
        assert top not in MAY_IMPORT or top == "ssm_hdl", (
            f"{path} imports {module}, which only exists in this repository"
        )
        if top == "ssm_hdl" and (path, module) != FRONT_DOOR:
            assert folder_of(module) in MAY_IMPORT[folder], f"{path} may not import {module}"


@pytest.mark.parametrize("path", [path for path in FILES if path.parts[0] in FOREIGN], ids=str)
def test_a_folder_depends_only_on_the_packages_of_its_table(path):
    for module in imports(path):
        top = module.split(".")[0]
        assert top in {"ssm_hdl", *sys.stdlib_module_names, *FOREIGN[path.parts[0]]}, (
            f"{path} imports {module}"
        )


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.parts[:2] == ("sw", "cli")], ids=str
)
def test_the_command_line_starts_without_anything_heavy(path):
    for module in imports(path, everywhere=False):
        ours = module.startswith("ssm_hdl.sw.cli") or module in (
            "ssm_hdl.ending",
            "ssm_hdl.errors",
            "ssm_hdl.extras",
            "ssm_hdl.files",
            "ssm_hdl.sw.progress",
        )
        assert ours or module.split(".")[0] in {
            "rich",
            "typer",
            "numpy",
            *sys.stdlib_module_names,
        }, f"{path} imports {module}"


def test_an_extra_brings_the_modules_that_messages_say_it_does():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
        "optional-dependencies"
    ]
    distributions = packages_distributions()
    for module, extra in EXTRAS.items():
        assert {re.match(r"[\w-]+", line)[0] for line in extras[extra]} & set(
            distributions.get(module, [module])
        ), module


def test_every_package_is_installed():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "setuptools"
    ]
    found = set()
    for folder in [*FOLDERS, "recipes"]:
        for init in (ROOT / folder).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT).parts
            found.add(".".join(parts if parts[0] == "ssm_hdl" else ("ssm_hdl", *parts)))
    assert set(settings["packages"]) == found


def test_no_file_is_imported_by_unpickling_or_run_by_a_shell():
    for path in FILES:
        assert not {"pickle", "marshal", "shelve"} & set(imports(path)), path
