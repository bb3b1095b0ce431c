# amaranth: UnusedElaboratable=no
"""Plans: within the budget, at the shortest interval; and what they refuse."""

import pytest

from ssm_hdl import SsmHdlError
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gen.blocks import block_rams
from ssm_hdl.gen.options import units
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.structure import Structure


@pytest.fixture(scope="module")
def manifest(random_manifest):
    return random_manifest(channels=16, modes=33, steps=16, classes=10)


def test_eight_multipliers(manifest):
    plan = Plan.fit(manifest, 8)
    folded = {name: stage.multipliers for name, stage in plan.stages.items() if stage.multipliers}
    assert folded == {"encoder": 1, "ssm": 3, "readout": 2, "mixing": 1, "glu": 1, "decoder": 1}
    assert {name for name, stage in plan.stages.items() if stage.kind == "lut" and stage.multipliers} == {
        "encoder", "glu", "decoder"
    }  # fmt: skip
    report = estimate(manifest, plan)
    assert (report.cycles, report.dsp, report.dsp_multipliers, report.lut_multipliers) == (528, 6, 6, 3)
    assert report.multiplications == 16 + 4 * 512 + 2 * 528 + 512 + 16
    assert report.utilisation == (3 * 528 + 2 * 528 + 512) / (6 * 528)
    assert {stage.name: stage.products for stage in report.stages if stage.dsp} == {
        "ssm": 3 * 528, "readout": 2 * 528, "mixing": 512
    }  # fmt: skip


def test_two_multipliers_in_a_block(random_manifest):
    """Codes of 4 bits and states of 6: pairs of everything on an iCE40; on an ECP5 of rows side by side."""
    manifest = random_manifest(channels=16, modes=32, steps=16, features=("narrow",))
    plans = {target: Plan.fit(manifest, dsp, target) for target, dsp in (("generic", 8), ("ice40", 8), ("ecp5", 11))}
    reports = {target: estimate(manifest, plan) for target, plan in plans.items()}
    found = {target: (report.cycles, report.dsp_multipliers, report.dsp) for target, report in reports.items()}
    assert found == {"generic": (512, 6, 6), "ice40": (256, 15, 8), "ecp5": (256, 12, 11)}
    for target, plan in plans.items():
        stages = Pipeline(manifest, plan).stages
        assert {name: getattr(stages[name], "blocks", 0) for name in stages} == {n: s.blocks for n, s in plan.stages.items()}
        assert plan.dsp == reports[target].dsp and 0.8 < reports[target].utilisation <= 1
    assert {target: "*3" in plan.stages["ssm"].folding for target, plan in plans.items()} == {
        "generic": True, "ice40": False, "ecp5": True
    }  # fmt: skip


@pytest.mark.parametrize("dsp", (4, 8, 12, 28, 156, 1000))
def test_no_folding_within_the_budget_is_faster(manifest, dsp):
    plan = Plan.fit(manifest, dsp)
    assert plan.dsp <= dsp
    cycles = estimate(manifest, plan).cycles
    found = units(Structure.of(manifest), manifest.steps, {}, ("dsp",))
    assert {unit.names for unit in found} == {("encoder",), ("ssm", "readout"), ("mixing",), ("decoder",)}
    faster = 0
    for unit in found:
        if unit.names[0] in ("ssm", "mixing"):
            counts = [sum(c.folding.multipliers for c in way) for way in unit.ways if all(c.interval < cycles for c in way)]
            faster += min(counts, default=10**9)
    assert faster > dsp


def test_multipliers_left_over_on_an_ice40_replace_those_of_luts(manifest):
    """Where LUTs are scarce, the widest products first; the cycles stay."""
    generic, ice40 = Plan.fit(manifest, 8), Plan.fit(manifest, 9, "ice40")
    assert (generic.dsp, ice40.dsp) == (6, 9)
    assert [name for name, stage in ice40.stages.items() if stage.kind == "lut" and stage.multipliers] == ["glu"]
    assert estimate(manifest, ice40).cycles == estimate(manifest, generic).cycles


def test_folding_by_hand(manifest):
    plan = Plan.fit(manifest, 12, folding={"mixing": "4"})
    assert plan.stages["mixing"].multipliers == 4


def test_every_multiplier_in_a_dsp_block_counts_and_none_idles(random_manifest):
    """96 products of a gate, of a skip and of a norm in 3072 cycles are not worth one; those of 16 channels in 40 cycles are."""
    wide = random_manifest(channels=96, modes=16, steps=16, layers=1)
    plan = Plan.fit(wide, 8)
    assert plan.dsp <= 8 and estimate(wide, plan).cycles == 3072
    assert {name for name, stage in plan.stages.items() if stage.multipliers and stage.kind != "lut"} == {
        "drive_1", "readout_1", "mixing_1"
    }  # fmt: skip
    busy = Plan.fit(wide, 300)
    assert busy.dsp <= 300 and busy.stages["norm_1"].kind == busy.stages["glu_1"].kind == "dsp"


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({"dsp": 2}, "random_s4d: 2 DSP blocks are too few, it needs at least 3, one for each of ssm, readout, mixing"),
        ({"folding": {"gelu": "2"}}, "no stage 'gelu' to fold; the stages that multiply are encoder, ssm, readout"),
        ({"folding": {"mixing": "9"}}, "mixing: cannot fold onto 9; it can onto 1, 2, 3, 4, 5, .* as 1x1, 2x1, 1x2, "),
        ({"target": "xc7"}, "target 'xc7' is not known; there are generic, ice40, ecp5"),
    ],
)
def test_refusals(manifest, arguments, message):
    with pytest.raises(SsmHdlError, match=message):
        Plan.fit(manifest, **arguments)


def test_block_rams_take_the_best_shape():
    assert block_rams(Storage("state", 528, 32, True), "ice40") == 6
    assert block_rams(Storage("state", 528, 32, True), "ecp5") == 2
    assert block_rams(Storage("shift", 528, 4, True), "ice40") == 1
    assert block_rams(Storage("bias", 16, 12, False), "ice40") == 0
