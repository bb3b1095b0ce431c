"""Netlists of ECP5 cells before and after what is done to them behind Yosys,
and the proof that they are the same."""

import pytest

from ssm_hdl.families import ecp5
from ssm_hdl.families.ecp5 import ECP5
from ssm_hdl.gen.yosys import run_yosys, share_folder, synthesise


@pytest.fixture
def netlists(tmp_path, monkeypatch):
    """``netlists(text, options, *steps)``: the cells of a text,
    for each tuple of what is to be done: ``fuse``, ``shorten``."""

    def make(text, options, *steps):
        (tmp_path / "top.v").write_text(text, encoding="utf-8")
        done = {name: getattr(ecp5, name) for name in ("fuse", "shorten")}
        cells = []
        for index, each in enumerate(steps):
            for name, step in done.items():
                monkeypatch.setattr(ecp5, name, step if name in each else lambda module: None)
            netlist = tmp_path / f"{index}.json"
            cells.append(
                synthesise(tmp_path / "top.v", "top", ECP5, netlist, tmp_path / "log", options)
            )
        return cells

    return make


@pytest.fixture
def proved(tmp_path):
    """``proved()``: Yosys proves that the first and the last of `netlists` are the same,
    with its own models of the cells.

    Flip-flops keep their names.
    """

    def prove():
        first, *_, last = sorted(tmp_path.glob("*.json"))
        commands = []
        for name, file in (("gold", first), ("gate", last)):
            commands += [
                ["read_json", str(file)],
                ["delete", "=*", "top", "%d"],
                [
                    "read_verilog",
                    "-overwrite",
                    "-D",
                    "NO_INCLUDES",
                    str(share_folder() / "ecp5" / "cells_sim.v"),
                ],
                *("hierarchy -top top", "proc", "flatten", "opt_clean"),
                # inside the cells, and carries, which are others afterwards
                ["rename", "-hide", "w:*.*", "w:*_CIN", "w:*_COUT"],
                *(f"rename top {name}", f"design -stash {name}"),
            ]
        commands += [f"design -copy-from {name} {name}" for name in ("gold", "gate")]
        commands += [
            "equiv_make gold gate equiv",
            "hierarchy -top equiv",
            "equiv_simple",
            "equiv_induct",
            "equiv_status -assert",
        ]
        return "Equivalence successfully proven!" in run_yosys(commands, tmp_path / "proof.log")

    return prove
