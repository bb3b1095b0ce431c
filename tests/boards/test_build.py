"""Building: what becomes of seeds of place and route that do not come to an end."""

import pytest

from ssm_hdl import SsmHdlError
from ssm_hdl.boards import build, flow, seeds
from ssm_hdl.boards.catalog import find_board
from ssm_hdl.boards.resources import shell_use
from ssm_hdl.gen.size.planner import plan_for


def test_a_seed_that_takes_too_long_is_given_up(double, tmp_path, monkeypatch):
    board, manifest, said = find_board("icebreaker"), double(), []
    for module in (flow, build, seeds):
        monkeypatch.setattr(module, "PATIENCE_S", 0.01)
    plan = plan_for(manifest, board.chip, reserve=shell_use(manifest, board)).plan
    found = seeds.clocks(manifest, board, plan, tmp_path, 45e6, (1, 2), said.append)
    assert found.reached_mhz == (0, 0) and found.usage["LUTs"].used > 0
    with pytest.raises(SsmHdlError, match=r"45 MHz: place and route was given up each time: .*, with 1 seeds"):
        build.build(manifest, board, tmp_path / "out", plan=plan, seeds=(3,), progress=said.append)
    assert sum("given up" in line for line in said) == 3 and not list((tmp_path / "out").glob("*.bin"))


def test_a_seed_that_finds_no_place_is_given_up(tmp_path, monkeypatch):
    def full(tool, arguments, folder, log, patience):
        (folder / log).write_text(
            "ERROR: Unable to find legal placement for all cells, design is probably at utilisation limit.\n"
        )
        return 255

    monkeypatch.setattr(flow.tools, "run", full)
    assert not flow.route(find_board("ulx3s-25f"), tmp_path, 1, 1e8, {}).reached_hz
