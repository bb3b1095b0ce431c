"""Estimates against synthesis: block RAMs and DSP blocks exactly, LUTs and flip-flops as the calibration has judged them."""

import json
from pathlib import Path

import pytest

from ssm_hdl import Manifest
from ssm_hdl.boards.calibrate import judge, plans
from ssm_hdl.families import unlimited
from ssm_hdl.families.ecp5 import ECP5
from ssm_hdl.families.ice40 import ICE40
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gen.size.planner import plan_for

ROOT = Path(__file__).parents[2]
RESULTS = json.loads((ROOT / "results" / "estimates.json").read_text(encoding="utf-8"))
JUDGED = sorted({key.split()[0].replace("_", "-") for key in RESULTS})


@pytest.mark.parametrize("family,dsp", [(ICE40, 8), (ECP5, 12)])
def test_a_small_pipeline(tmp_path, family, dsp):
    manifest = Manifest.load(ROOT / "manifests" / "digits")
    found = judge(manifest, plan_for(manifest, unlimited(family), dsp=dsp, share_layers=False).plan, tmp_path)
    assert found["multipliers"]["error"] == found["block RAMs"]["error"] == 0
    assert abs(found["LUTs"]["error"]) < 0.15


def test_what_is_judged_is_within_the_bounds():
    for row in RESULTS.values():
        assert row["multipliers"]["error"] == row["block RAMs"]["error"] == 0
        assert abs(row["LUTs"]["error"]) <= 0.15


def test_small_memories_of_an_ecp5_are_luts():
    queue = Storage("queue", 19, 129, True, written=True)
    assert (ECP5.rams.blocks(queue), ECP5.rams.distributed(queue)) == (0, 66)
    assert (ICE40.rams.blocks(queue), ICE40.rams.distributed(queue)) == (9, 0)
    assert ECP5.rams.blocks(Storage("weight", 19, 129, True)) == 4  # a table of constants is none of these


def test_the_judgement_is_of_these_coefficients():
    """What is estimated now is what stands in the results; so the errors there are those of today's estimates."""
    from ssm_hdl.gen.report import estimate
    from ssm_hdl.sw.cli.calibrate import dsps, key_of

    for name in ("digits", "s4d-64h-w8a8x8"):
        manifest = Manifest.load(ROOT / "manifests" / name)
        for family in (ICE40, ECP5):
            for _, plan in plans(manifest, family, dsps(family)):
                report, row = estimate(manifest, plan), RESULTS[key_of(name, plan)]
                assert row["cycles"] == report.cycles
                assert (
                    row["LUTs"]["estimated"] == report.luts and row["block RAMs"]["estimated"] == report.block_rams[family.name]
                )
