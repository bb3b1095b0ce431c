"""Sizing for a device: the rate is reached, the budget kept, what cannot be is refused with what can."""

from dataclasses import replace

import numpy as np
import pytest

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.boards.catalog import find_board
from ssm_hdl.boards.resources import shell_use
from ssm_hdl.gateware.queue import BURST
from ssm_hdl.gen.costs import use_of
from ssm_hdl.gen.devices import DEVICES, find_device
from ssm_hdl.gen.knapsack import NOTHING, Use
from ssm_hdl.gen.options import FOLDINGS, intervals
from ssm_hdl.gen.prices import price
from ssm_hdl.gen.search import BURSTS, FILL, Search
from ssm_hdl.gen.sizer import size
from ssm_hdl.gen.stage_plan import plan_stage
from ssm_hdl.gen.structure import Structure
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.verilated import VerilatedModel

FEW = replace(DEVICES["lfe5u-25f"], name="few", title="few", luts=9000, dsps=9)
SMALL = replace(DEVICES["up5k"], name="small", title="small", luts=4800, dsps=3, rams=11, sprams=1)


@pytest.fixture(scope="module")
def manifest(random_manifest):
    return random_manifest(channels=16, modes=12, steps=16, classes=10, features=("narrow",))


@pytest.mark.parametrize("device", [SMALL, *DEVICES.values()], ids=lambda device: device.name)
def test_the_fastest_keeps_within_the_device(manifest, device):
    sized = size(manifest, device)
    report = sized.report
    assert report.luts <= FILL[device.family] * device.luts and report.dsp <= device.dsps
    assert report.block_rams[device.family] <= device.rams and report.sprams <= device.sprams
    assert device.family == "ice40" or report.flip_flops <= FILL[device.family] * device.luts
    assert sized.rate_hz == device.clock_hz / report.cycles
    assert report.cycles == size(manifest, device, sized.rate_hz).report.cycles
    with pytest.raises(SsmHdlError, match=rf"the most that fits is {sized.rate_hz:,.0f}, a step every {report.cycles:,} cycles"):
        size(manifest, device, 1.01 * sized.rate_hz)


def test_what_fits_at_an_interval_fits_at_a_longer_one(manifest):
    """Which the bisection needs; and what is planned for an interval keeps it, with rows that fill up beats too."""
    device = DEVICES["lfe5u-25f"]
    search = Search(manifest, Structure.of(manifest, family=device.family), device, None, {}, NOTHING)
    cycles = intervals(manifest, search.units)
    found = [(interval, search.at(interval)) for interval in cycles[:: len(cycles) // 12]]
    fits = [interval for interval, made in found if made is not None]
    assert len(fits) > 6 and fits == [interval for interval, _ in found][-len(fits) :]
    assert all(made[1].cycles <= interval for interval, made in found if made is not None)
    assert all((search._at(interval) is None) == (made is None) for interval, made in found)  # by which it goes
    foldings = {stage.folding for _, made in found if made is not None for stage in made[0].stages.values()}
    assert foldings & {"3x1", "3x2", "3x4", "3x8", "3x16", "5x2", "6x1", "6x2", "6x4", "11x1", "11x2", "11x4"}


def test_what_is_kept_for_what_stands_between_stages(manifest, monkeypatch):
    """What a plan exceeds is kept, of nothing else, until one fits; then what is halfway between too little and that."""
    device = DEVICES["lfe5u-25f"]
    search = Search(manifest, Structure.of(manifest, False, "ecp5"), device, None, {}, NOTHING)
    interval = intervals(manifest, search.units)[-1]
    plan, report = search._at(interval)
    limit, asked, between = search.budget.flip_flops, [], [300, 100, 200, None, 180, 160]

    def choose(options, budget, prices):
        asked.append(limit - budget.flip_flops)
        assert budget._replace(flip_flops=0) == search.budget._replace(flip_flops=0)
        return None if between[len(asked) - 1] is None else [0] * len(options)

    monkeypatch.setattr("ssm_hdl.gen.search.choose", choose)
    monkeypatch.setattr(search, "_made", lambda picked: (plan, report, Use(0, limit - asked[-1], 0, 0)))
    monkeypatch.setattr("ssm_hdl.gen.search.total", lambda *_: Use(0, limit - asked[-1] + between[len(asked) - 1], 0, 0))
    assert list(search._fitting(interval, BURST, 10)) == [(plan, report)] * 3
    assert asked == [0, 300, 150, 225, 187.5, 168.75]


def test_the_cheapest_of_the_plans_that_fit_is_taken(manifest, monkeypatch):
    device = DEVICES["lfe5u-25f"]
    search = Search(manifest, Structure.of(manifest, False, "ecp5"), device, None, {}, NOTHING)
    monkeypatch.setattr(search, "_fitting", lambda interval, burst, few: iter([("first", 3 * burst), ("second", 2 * burst)]))
    monkeypatch.setattr("ssm_hdl.gen.search.price", lambda report, *_: report)
    assert search.at(8) == ("second", 2 * min(BURSTS))


def test_what_makes_beats_wider_is_counted_with_a_dense(manifest):
    """Of one that is folded alone; what reads a scan takes its beats."""
    structure = Structure.of(manifest, False, "ecp5")
    search = Search(manifest, structure, DEVICES["lfe5u-25f"], None, {}, NOTHING)

    def planned(name, folding):
        layers = structure.stages[name]
        plan = plan_stage(manifest, structure, name, 999, "ecp5", FOLDINGS[layers.node.op.op].of(layers, folding))
        return plan, use_of(layers, plan, "ecp5")

    for way in ({"mixing": "1x1"}, {"mixing": "1x4"}, {"ssm": "1x1*3", "readout": "1x1x2"}):
        plans, taken = zip(*(planned(*each) for each in way.items()), strict=True)
        ((counted, _),) = search._costed(999, BURST, [dict(zip(way, plans, strict=True))])
        before = taken[0].before if len(way) == 1 else NOTHING
        assert counted.luts == sum(each.use.luts for each in taken) + before.luts
        assert counted.flip_flops == sum(each.use.flip_flops for each in taken) + before.flip_flops
        assert [each.before != NOTHING for each in taken] == [folding in ("1x4", "1x1x2") for folding in way.values()]


def test_what_the_fewest_multipliers_do_not_suit_is_not_left_out():
    """One multiplier for each of four modes is of DSP blocks alone: LUTs, which take more of them, are not too many then."""
    device, small = replace(DEVICES["lfe5u-25f"], rams=14), Manifest.load("manifests/s4d-16h-w8a8x8")
    search = Search(small, Structure.of(small, False, "ecp5"), device, 4, {}, NOTHING)
    fits = [search._at(interval) is not None for interval in (352, 391, 396, 432, 512, 528)]
    assert fits[0] and fits == [True] * len(fits)


def test_a_lower_rate_costs_less(manifest):
    device = DEVICES["lfe5u-25f"]
    fast, slow, slowest = (size(manifest, device, rate) for rate in (1e6, 2e5, 16e3))
    assert fast.report.luts > slow.report.luts
    prices = [price(found.report, device, device.clock_hz / 16e3) for found in (fast, slow, slowest)]
    assert prices[0] > prices[1] >= prices[2]
    for rate, sized in ((1e6, fast), (2e5, slow), (16e3, slowest)):
        assert sized.rate_hz >= rate


def test_luts_multiply_where_the_dsp_blocks_end(random_manifest):
    device, wide = DEVICES["lfe5u-25f"], random_manifest(channels=16, modes=12, steps=16, classes=10)
    few, many = (size(wide, replace(device, dsps=dsps)).report for dsps in (1, 28))
    assert few.dsp <= 1 and few.lut_multipliers > few.dsp_multipliers
    assert many.cycles <= few.cycles and many.dsp > 1


def test_dsp_blocks_are_for_what_keeps_them_busy():
    """Of S4D-64h at 22,700 steps a second the encoder and the gate, busy in 3 % of the cycles, are left to LUTs."""
    sized = size(Manifest.load("manifests/s4d-64h-w4a6x8"), DEVICES["up5k"], 22_700)
    kinds = {name: stage.kind for name, stage in sized.plan.stages.items() if stage.multipliers}
    assert kinds["ssm"] == kinds["readout"] == kinds["mixing"] == "ice40" and kinds["encoder"] == kinds["glu"] == "lut"
    assert sized.report.utilisation > 0.88


def test_flip_flops_are_of_the_device_too():
    """They end a plan where LUTs do not: of an iCE40 they are not counted, since each is in a logic cell."""
    device, largest = DEVICES["lfe5u-25f"], Manifest.load("manifests/s4d-64h-w8a8x8")
    few = FILL["ecp5"] * device.flip_flops - 10_000
    report = size(largest, device, reserve=Use(0, 10_000, 0, 0)).report
    assert report.luts < 0.7 * device.luts and 0.9 * few < report.flip_flops <= few
    assert DEVICES["up5k"].flip_flops is None


def test_what_is_reserved_is_left(manifest):
    reserve = Use(300, 300, 1, 1)
    report = size(manifest, SMALL, reserve=reserve).report
    assert report.luts <= FILL["ice40"] * SMALL.luts - 300 and report.dsp <= 2 and report.block_rams["ice40"] <= 10


def test_layers_share_stages_only_where_that_is_better(random_manifest):
    deep = random_manifest(channels=8, modes=4, steps=8, layers=3, alike=True)
    tight = replace(DEVICES["lfe5u-25f"], luts=8000, dsps=4)
    little, much = size(deep, tight), size(deep, DEVICES["lfe5u-85f"])
    assert little.plan.share_layers and not much.plan.share_layers
    assert little.report.layers == 3 and little.report.cycles > much.report.cycles
    assert not size(deep, DEVICES["lfe5u-85f"], 16e3, share_layers=False).plan.share_layers


@pytest.mark.parametrize("device", [SMALL, FEW], ids=lambda device: device.name)
def test_bits_and_interval_of_a_sized_pipeline(manifest, random_samples, device):
    """In the cells of the device."""
    sized = size(manifest, device)
    samples = random_samples(manifest, batch=3)
    model = VerilatedModel(manifest, sized.plan)
    free = model.run(samples)
    assert np.array_equal(free.outputs, run(manifest, samples).outputs)
    assert free.interval == sized.report.cycles
    assert np.array_equal(model.run(samples, stalls=0.4, seed=3).outputs, free.outputs)


def test_what_takes_more_dsp_blocks_than_there_are_is_partly_in_them(random_samples):
    digits = Manifest.load("manifests/digits")
    sized = size(digits, DEVICES["lfe5u-25f"], dsp=12)
    part = [stage for stage in sized.report.stages if 0 < stage.dsp_multipliers < stage.multipliers]
    assert part and sized.report.dsp == sum(stage.dsp for stage in sized.report.stages) <= 12
    assert all(stage.dsp_multipliers / stage.multipliers == stage.dsp / 16 for stage in part)  # 8 bits: one in a block
    in_blocks = sum(stage.products * stage.dsp_multipliers / stage.multipliers for stage in part)
    others = sum(stage.products for stage in sized.report.stages if stage.dsp and stage not in part)
    assert sized.report.utilisation == pytest.approx((in_blocks + others) / (sized.report.dsp_multipliers * sized.report.cycles))
    samples = random_samples(digits, batch=2)
    model = VerilatedModel(digits, sized.plan)
    free = model.run(samples)
    assert np.array_equal(free.outputs, run(digits, samples).outputs) and free.interval == sized.report.cycles
    assert np.array_equal(model.run(samples, stalls=0.4, seed=3).outputs, free.outputs)


def test_dsp_blocks_are_filled_up_with_what_keeps_them_busy():
    """The decoder works once a sequence, and half of a large dense takes the blocks that it does not get."""
    device = DEVICES["lfe5u-25f"]
    report = size(Manifest.load("manifests/s4d-64h-w8a8x8"), device, 236e3).report
    assert any(0 < 2 * stage.dsp_multipliers == stage.multipliers for stage in report.stages)
    assert report.dsp == device.dsps and report.utilisation > 0.985


def test_what_a_scan_reads_may_leave_late():
    """A scan takes an interval anyway, so that no second multiplier is worth it in front of one."""
    stages = size(Manifest.load("manifests/s4d-64h-w4a6x8"), DEVICES["up5k"], 22700).report.stages
    assert stages[0].name == "encoder" and stages[0].multipliers == 1 and stages[1].op == "scan"


def test_tables_go_to_spram_where_block_rams_end():
    report = size(Manifest.load("manifests/s4d-64h-w4a6x8"), DEVICES["up5k"]).report
    assert 0 < report.sprams <= 4 and report.block_rams["ice40"] <= 30


def test_refusals(manifest):
    with pytest.raises(SsmHdlError, match=r"^device 'xc7' is not known; there are up5k, lfe5u-25f, lfe5u-45f, lfe5u-85f$"):
        find_device("xc7")
    assert find_device("LFE5U-25F") is DEVICES["lfe5u-25f"]
    with pytest.raises(SsmHdlError, match="a rate of 0 time steps a second is none"):
        size(manifest, SMALL, 0)
    tiny = replace(SMALL, rams=2, sprams=0)
    with pytest.raises(SsmHdlError, match=r"small: .* block RAMs where 1 can be used, .* bits too many.*; it fits the iCE40UP5K"):
        size(manifest, tiny)
    with pytest.raises(SsmHdlError, match=r"some .* LUTs where"):
        size(manifest, replace(SMALL, luts=800))


def test_foldings_by_hand_are_kept_and_have_to_go_together(manifest):
    device = DEVICES["lfe5u-25f"]
    assert size(manifest, device, folding={"mixing": "2x4"}).plan.stages["mixing"].folding == "2x4"
    with pytest.raises(SsmHdlError, match="the foldings ssm=2x1, readout=1x1x1 do not go together"):
        size(manifest, device, folding={"ssm": "2x1", "readout": "1x1x1"})


def test_the_largest_model_of_the_zoo_is_sized_for_every_device():
    """With DSP blocks that are busy, on the 25F too, where what stands between its stages has to fit with them."""
    largest = Manifest.load("manifests/s5-mnist-w4a8")
    shell = shell_use(largest, find_board("ulx3s-25f"))
    found = {name: size(largest, device, reserve=shell).report for name, device in DEVICES.items() if name != "up5k"}
    assert found["lfe5u-25f"].cycles > found["lfe5u-45f"].cycles >= found["lfe5u-85f"].cycles
    assert found["lfe5u-25f"].utilisation >= 0.92 and found["lfe5u-85f"].utilisation >= 0.92
