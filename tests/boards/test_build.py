"""From a pipeline to a netlist for a board."""

import pytest

from ssm_hdl import Manifest
from ssm_hdl.boards import build
from ssm_hdl.boards.catalog import find_board
from ssm_hdl.boards.pll import find_pll
from ssm_hdl.boards.shell import Top


@pytest.mark.parametrize(
    "name,luts,flip_flops,calls",
    [
        ("ulx3s-25f", 14_000, 14_000, [False]),
        ("ulx3s-25f", 15_000, 10_000, [False, True]),
        ("ulx3s-25f", 10_000, 15_000, [False, True]),
        ("icebreaker", 5_000, 5_000, [False]),
    ],
)
def test_only_a_crowded_ecp5_is_synthesised_for_one(monkeypatch, tmp_path, name, luts, flip_flops, calls):
    """By what the netlist takes; the netlist of the last synthesis is the one that counts."""
    found = []

    def synthesise(family, verilog, top, log, crowded=False):
        assert verilog.exists()
        found.append(crowded)
        return {"LUTs": luts + len(found), "flip-flops": flip_flops, "multipliers": 1, "block RAMs": 1, "SPRAMs": 0}

    monkeypatch.setattr(build, "synthesise", synthesise)
    manifest, board = Manifest.load("manifests/digits"), find_board(name)
    pll = find_pll(board.pll, board.oscillator_hz, board.chip.clock_hz)
    top = Top(board, pll, manifest, build.default_plan(manifest, board))
    netlist = build._synthesise(board, top, tmp_path, tmp_path / "yosys.log", lambda line: None)
    assert found == calls and netlist["LUTs"].used == luts + len(calls)
