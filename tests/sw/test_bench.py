"""The benchmark: what it measures, what stands in results/ and on the page."""

import json
from pathlib import Path

import pytest

from ssm_hdl import SsmHdlError
from ssm_hdl.boards.catalog import find_board
from ssm_hdl.boards.resources import Usage, shell_use
from ssm_hdl.boards.seeds import Clocks
from ssm_hdl.families.ecp5 import ECP5
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.sw import bench

ROOT = Path(__file__).parents[2]
RESULTS = json.loads((ROOT / "results" / "bench.json").read_text(encoding="utf-8"))
ESTIMATES = json.loads((ROOT / "results" / "estimates.json").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs" / "sizing.md").read_text(encoding="utf-8").splitlines()
ROWS = RESULTS["rows"]
NAMES = [f"{row['manifest']}@{row['board']}" for row in ROWS]


@pytest.fixture
def reached(monkeypatch):
    """Place and route that takes no time and says 50, 40 and 60 MHz; the calls to it."""
    calls = []

    def clocks(manifest, board, plan, out, clock_hz, seeds, progress, jobs):
        calls.append((plan, clock_hz, seeds))
        return Clocks({"LUTs": Usage(4000, 5280)}, (50.0, 40.0, 60.0))

    monkeypatch.setattr(bench, "clocks", clocks)
    return calls


def test_a_row_is_measured_once(random_manifest, tmp_path, reached, monkeypatch):
    """And anew where synthesis has changed, or place and route."""
    manifest, board, said = (
        random_manifest(channels=8, modes=4, steps=16),
        find_board("icebreaker"),
        [],
    )
    first = bench.row("small", manifest, board, None, tmp_path, said.append)
    (plan, clock_hz, seeds), report = (
        reached[0],
        plan_for(manifest, board.chip, fastest=True, reserve=shell_use(manifest, board)).report,
    )
    assert (clock_hz, len(seeds)) == (48e6, 3) and estimate(manifest, plan) == report
    assert (
        first["interval"] == report.cycles
        and first["clock_mhz"] == 50
        and first["outputs_compared"] > 0
    )
    assert first["steps_per_second"] == round(50e6 / report.cycles, 1)
    assert first["utilisation"] == round(report.utilisation, 4)
    assert bench.row("small", manifest, board, None, tmp_path, said.append) == first
    assert len(reached) == len(said) == 1
    for count, key in enumerate(("synthesis_key", "routing_key"), 2):
        monkeypatch.setattr(bench, key, lambda what: f"{what}, otherwise")
        assert bench.row("small", manifest, board, None, tmp_path, said.append) == first
        assert len(reached) == len(said) == count


def test_rtl_that_differs_is_refused(random_manifest, random_samples, monkeypatch):
    manifest = random_manifest(channels=4, modes=3, steps=6)
    other = random_manifest(channels=4, modes=3, steps=6, seed=1)
    model = bench.VerilatedModel
    monkeypatch.setattr(bench, "VerilatedModel", lambda _, plan: model(other, plan))
    with pytest.raises(SsmHdlError, match="outputs of the RTL differ"):
        bench.measure(manifest, plan_for(manifest, dsp=8, share_layers=False).plan)


def test_throughput_against_multipliers(random_manifest, tmp_path):
    manifest = random_manifest(channels=8, modes=4, steps=16)
    points = bench.line(manifest, ECP5, 6, tmp_path, lambda text: None)
    assert len(points) > 2 and all(point["interval"] == point["cycles"] for point in points)
    assert [point["interval"] for point in points] == sorted(
        {point["interval"] for point in points}, reverse=True
    )


def test_straightness():
    """Of 2, 3 and 4 multipliers, where there are plans for 2 and 4: 3 run at the rate of 2."""
    line = [{"multipliers": 2, "interval": 60.0}, {"multipliers": 4, "interval": 30.0}]
    assert bench.straightness(line) == {"mean": 0.8889, "least": 0.6667}
    assert bench.straightness(RESULTS["line"]) == RESULTS["straightness"]
