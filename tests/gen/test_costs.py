"""Estimates against synthesis: block RAMs and DSP blocks exactly,
LUTs and flip-flops as close as docs/results.md says.

``results/stages.json`` has single stages as they were synthesised, beside their estimates.
``results/estimates.json`` has whole pipelines, which judge them.
"""

import json
import math
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest

from ssm_hdl import Manifest
from ssm_hdl.boards.calibrate import estimates, fit, judge, load
from ssm_hdl.boards.families import FLOWS
from ssm_hdl.boards.stage_samples import candidates
from ssm_hdl.families import find_family, unlimited
from ssm_hdl.families.ecp5 import ECP5
from ssm_hdl.families.ice40 import ICE40
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.stage import StagePlan
from ssm_hdl.gen.costs import KINDS, coefficients, cost
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.size.objective import budget, idle
from ssm_hdl.gen.size.planner import plan_for

ROOT = Path(__file__).parents[2]
PIPELINES = json.loads((ROOT / "results" / "estimates.json").read_text(encoding="utf-8"))
FITTED = [name for name in FLOWS if find_family(name).fitted]
STAGES = defaultdict(list)
for each in load(ROOT / "results" / "stages.json"):
    STAGES[each.family, each.op].append(each)
OTHERS = {"argmax", "hadamard", "largest", "last", "taps"}
"""Operations of no manifest here; their coefficients are fitted to stages of other models."""
CLAIMED = dict(
    re.findall(
        r"^\| (LUTs|flip-flops|DSP blocks|block RAMs) \| ([\d.]+) \|$",
        (ROOT / "docs" / "results.md").read_text(),
        re.M,
    )
)


def wrong(rows, kind, fitted):
    """The stages whose estimate by these coefficients is not the one in the results, to a tenth."""
    place = KINDS.index(kind)
    guesses = (
        sum(fitted.get(name, 0.0) * value for name, value in row.features.items()) for row in rows
    )
    return [
        row.what
        for row, guess in zip(rows, guesses, strict=True)
        if round(guess, 1) != row.estimates[place]
    ]


def judged(row):
    """The plan of a pipeline that `judge` has judged."""
    stages = {
        name: StagePlan(**stage | {"spram": tuple(stage.get("spram", ()))})
        for name, stage in row["stages"].items()
    }
    return Plan(find_family(row["family"]), stages, row["shared"])


def test_every_coefficient_was_measured():
    """But for the operations that no manifest here has."""
    fitted = {
        (family, op)
        for family, by_op in coefficients().items()
        for op in by_op
        if op.split(",")[0] not in OTHERS
    }
    assert fitted == set(STAGES)


@pytest.mark.parametrize("family,op", STAGES, ids=lambda each: each.replace(", ", "-"))
def test_estimates_of_single_stages(family, op):
    """They are those in the results, and no longer so with any coefficient 30 % higher or lower."""
    rows, known = STAGES[family, op], coefficients()[family][op]
    for place, kind in enumerate(KINDS):
        assert not wrong(rows, kind, known[kind])
        assert all(estimates(row)[place] == row.estimates[place] for row in rows)
        for name, value in known[kind].items():
            assert value > 0
            for factor in (0.7, 1.3):
                assert wrong(rows, kind, known[kind] | {name: factor * value}), (kind, name, factor)


@pytest.mark.parametrize("family", FITTED)
@pytest.mark.parametrize(
    "kind,mean_error,of_all", [("luts", 0.12, 0.05), ("flip_flops", 0.08, 0.02)]
)
def test_single_stages_are_estimated_closely(family, kind, mean_error, of_all):
    """Each in the mean, and all together, where errors of one are made up for by others."""
    rows = [
        (getattr(row, kind), row.estimates[KINDS.index(kind)])
        for (of, _), each in STAGES.items()
        if of == family
        for row in each
    ]
    made, guesses = (sum(column) for column in zip(*rows, strict=True))
    assert abs(guesses / made - 1) <= of_all
    assert mean(abs(guess / max(made, 1) - 1) for made, guess in rows) <= mean_error


def test_a_fit_finds_the_coefficients_again():
    """Of stages that take what their features say, with a feature that does not matter."""
    rows = [
        row._replace(
            luts=3 * k + 5, flip_flops=7 * k, features={"stage": 1, "lanes": k, "none": k % 2}
        )
        for k, row in enumerate(STAGES["ice40", "repack"], 1)
    ]
    assert fit(rows) == {
        "ice40": {"repack": {"luts": {"lanes": 3, "stage": 5}, "flip_flops": {"lanes": 7}}}
    }


def test_features_are_those_of_the_stages_that_were_synthesised():
    names = re.search(r"^FITTED := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)[
        1
    ].split()
    names += ["digits"]  # for its mean
    manifests = [Manifest.load(ROOT / "manifests" / name) for name in names]
    for name in FITTED:
        family = find_family(name)
        known = defaultdict(list)
        for each in candidates(manifests, family):
            known[each.op, each.what].append(
                {name: value for name, value in each.features.items() if value}
            )
        for (of, op), rows in STAGES.items():
            assert of != name or all(row.features in known[op, row.what] for row in rows)


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_is_estimated_as_closely_as_the_readme_says(name):
    """What is estimated now is what stands in the results, and so are the errors."""
    row = PIPELINES[name]
    report = estimate(Manifest.load(ROOT / "manifests" / name.split()[0]), judged(row), timed=False)
    now = {"LUTs": report.luts, "flip-flops": report.flip_flops, "multipliers": report.dsp}
    for what, guess in (now | {"block RAMs": report.block_rams[row["family"]]}).items():
        assert guess == row[what]["estimated"]
        error = abs(guess / row[what]["synthesised"] - 1)
        assert round(100 * error, 1) <= float(
            CLAIMED[{"multipliers": "DSP blocks"}.get(what, what)]
        )


def test_what_is_judged():
    """Models that nothing was fitted to, of the planner: S4D and S5,
    with shared layers and without, in both families."""
    assert {name.split()[0] for name in PIPELINES} >= {"digits", "s5-mnist-w4a8"}
    assert {row["family"] for row in PIPELINES.values()} == set(FITTED)
    shared = {
        (row["family"], row["shared"]) for name, row in PIPELINES.items() if name.startswith("s5")
    }
    assert shared >= {("ice40", True), ("ecp5", True)}
    for kind in ("LUTs", "flip-flops"):
        assert float(CLAIMED[kind]) == max(
            round(100 * abs(row[kind]["error"]), 1) for row in PIPELINES.values()
        )
    assert CLAIMED["DSP blocks"] == CLAIMED["block RAMs"] == "0"


@pytest.mark.parametrize("family,dsp", [(ICE40, 8), (ECP5, 12)])
def test_a_small_pipeline(tmp_path, family, dsp):
    manifest = Manifest.load(ROOT / "manifests" / "digits")
    found = judge(
        manifest, plan_for(manifest, unlimited(family), dsp=dsp, share_layers=False).plan, tmp_path
    )
    assert found["multipliers"]["error"] == found["block RAMs"]["error"] == 0
    assert all(abs(found[kind]["error"]) < 0.15 for kind in ("LUTs", "flip-flops"))


def test_a_pipeline_whose_small_memories_are_of_luts(tmp_path):
    manifest = Manifest.load(ROOT / "manifests" / "digits")
    plan = plan_for(manifest, unlimited(ECP5), dsp=12, share_layers=False).plan
    spared = replace(plan, luts_below=2560)
    rams = [estimate(manifest, each, timed=False).block_rams["ecp5"] for each in (plan, spared)]
    assert (
        rams[1] < rams[0] and estimate(manifest, spared).cycles == estimate(manifest, plan).cycles
    )
    found = judge(manifest, spared, tmp_path)
    assert found["block RAMs"]["synthesised"] == rams[1] and abs(found["LUTs"]["error"]) < 0.15


def test_small_memories_of_an_ecp5_are_luts():
    queue = Storage("queue", 19, 129, True, written=True)
    assert (ECP5.rams.blocks(queue), ECP5.rams.distributed(queue)) == (0, 66)
    assert (ICE40.rams.blocks(queue), ICE40.rams.distributed(queue)) == (9, 0)
    # a table of constants is none of these
    assert ECP5.rams.blocks(Storage("weight", 19, 129, True)) == 4


def test_what_was_not_fitted_takes_the_mean_of_the_others():
    """Feature by feature, over the operations that have it, those of the compact form left out."""
    fitted = coefficients()["ecp5"]
    means = [
        mean(
            entry[kind]["lanes"]
            for op, entry in fitted.items()
            if "lanes" in entry[kind] and not op.endswith(", compact")
        )
        for kind in KINDS
    ]
    found = cost("somebody's", ECP5, {"lanes": 8, "unheard of": 1})
    assert [found.luts, found.flip_flops] == pytest.approx([8 * each for each in means])
    assert min(means) > 0 and not found.fitted


def test_costs_of_blocks_that_idle():
    assert (idle(3, busy=1, interval=4), idle(2, busy=4, interval=4)) == (2.25, 0)
    assert idle(2, busy=5, interval=4) == 0  # never less than nothing


def test_costs_have_no_limit_on_a_device_that_has_none():
    limits = budget(unlimited(ECP5), dsp=7)
    assert (limits.luts, limits.dsps, limits.rams) == (math.inf, 7, math.inf)
