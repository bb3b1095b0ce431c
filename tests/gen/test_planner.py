# amaranth: UnusedElaboratable=no
"""The planner: the cheapest plan that fits, as all plans show it; rates, budgets and latencies;
what it refuses."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
import yaml

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.boards.catalog import find_board
from ssm_hdl.boards.resources import shell_use
from ssm_hdl.families import DEVICES, FAMILIES, find_device, unlimited
from ssm_hdl.families.generic import GENERIC_DEVICE as GENERIC
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gen.costs import build, use_of
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.size.objective import NOTHING, Use, budget, idle, price
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.size.program import Program
from ssm_hdl.gen.size.refine import Search
from ssm_hdl.gen.structure import Structure
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Tensors
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.verilated import VerilatedModel

ECP5, UP5K = DEVICES["lfe5u-25f"], DEVICES["up5k"]
FEW = replace(ECP5, name="few", title="few", luts=9000, dsps=9)
SMALL = replace(UP5K, name="small", title="small", luts=4800, dsps=3, rams=11, sprams=1)


@pytest.fixture(scope="module")
def manifest(random_manifest):
    return random_manifest(channels=16, modes=12, steps=16, classes=10, features=("narrow",))


def searched(manifest, device, **folding):
    """A search with foldings that are decided."""
    return Search(
        manifest, Structure.of(manifest, False, device.family), device, budget(device), folding
    )


def made(search, picked, interval):
    """The plan of an option for each stage; None if two do not go together."""
    options = [[option] for option in picked]
    program = Program([[option.use] for option in picked], search.options.links(options, interval))
    answer = program.solve(Use(*[float("inf")] * len(NOTHING)))
    return answer and search._made(picked, answer[1])


@pytest.mark.parametrize("seed,interval", [(1, 24), (9, 48), (3, 100)])
@pytest.mark.parametrize(
    "device",
    [
        UP5K,
        replace(UP5K, rams=20),
        replace(ECP5, dsps=3),
        replace(ECP5, luts=3100),
        replace(ECP5, family=GENERIC.family),
    ],
    ids=["ice40", "few RAMs", "ecp5", "few LUTs", "generic"],
)
def test_no_plan_is_cheaper(random_manifest, device, seed, interval):
    """All combinations of some options of each stage, estimated as wholes:
    what is found is the cheapest that fits."""
    small, dice = (
        random_manifest(channels=4, modes=3, steps=8, classes=3),
        np.random.default_rng(seed),
    )
    search = searched(small, device)
    options = search.options.at(interval)
    wide = set(dice.choice(len(options), 5, replace=False))
    some = [
        dice.permutation(len(each))[: 1 + (place in wide)] for place, each in enumerate(options)
    ]
    options = [
        [each[index] for index in sorted(indices)]
        for each, indices in zip(options, some, strict=True)
    ]
    search.options.at = lambda *_: options
    every = [
        candidate for picked in product(*options) if (candidate := made(search, picked, interval))
    ]
    fitting = [
        candidate.price
        for candidate in every
        if candidate.use.within(search.budget) and candidate.cycles <= interval
    ]
    found = search.cheapest(interval)
    assert (round(found.price, 6) if found else None) == (
        round(min(fitting), 6) if fitting else None
    )
    assert not fitting or search.cheapest(interval, below=min(fitting) - 1e-6) is None


def test_program_and_report_have_the_same_sums(manifest):
    """The program counts what the report counts, but for forks and queues,
    which each plan has at least."""
    for device, interval in ((UP5K, 200), (ECP5, 48), (ECP5, 16)):
        search = searched(manifest, device)
        options = search.options.at(interval)
        several = [[each[place % len(each)] for each in options] for place in range(6)]
        together = [
            (picked, candidate)
            for picked in several
            if (candidate := made(search, picked, interval))
        ]
        assert together
        for picked, candidate in together:
            report, use = estimate(manifest, candidate.plan, timed=False), candidate.use
            assert (report.luts, report.flip_flops) == (round(use.luts), round(use.flip_flops))
            assert (report.dsp, report.block_rams[device.family.costs]) == (use.dsps, use.rams)
            assert report.cycles == candidate.cycles
            busy = (
                (stage.dsp, stage.cycles * search.structure.share(stage.name, manifest.steps))
                for stage in report.stages
            )
            assert use.idle == pytest.approx(
                sum(idle(blocks, cycles, interval) for blocks, cycles in busy), abs=1e-9
            )
            assert (
                candidate.price
                == price(use)
                >= price(search._least_rest) + sum(price(option.use) for option in picked)
            )


def test_what_an_option_takes_is_that_of_its_stage(random_manifest):
    """Also of layers that differ only in how a scan rounds, or in the scales of their constants."""
    deep = random_manifest(channels=4, modes=4, steps=8, layers=3, alike=True)
    text = deep.graph.model_dump(exclude_none=True)
    for op in text["operations"]:
        op |= {"dither": True} if op["name"] == "ssm_2" else {}
    mixed = Manifest(Graph.model_validate(yaml.safe_load(yaml.safe_dump(text))), deep.tensors)
    options = searched(mixed, ECP5).options
    kinds = set()
    for each in options.at(options.intervals[-1]):
        for option in each:
            for name, plan in option.stages.items():
                layers = options.structure.stages[name]
                assert options._use(name, plan) == use_of(layers, plan, ECP5.family), name
                kinds.add((layers.node.op.op, getattr(layers.node.op, "dither", None)))
    assert {("scan", True), ("scan", False)} < kinds


def test_compact_forms_are_options_where_they_keep_up(manifest):
    options = searched(manifest, UP5K).options
    for interval in (200, 600, 4000):
        for each in options.at(interval):
            for name, plan in (
                pair for option in each for pair in option.stages.items() if pair[1].compact
            ):
                layers, share = (
                    options.structure.stages[name],
                    options.structure.share(name, manifest.steps),
                )
                assert build(layers, plan).cycles * share <= interval
    every = {
        name: plan
        for each in options.at(4000)
        for option in each
        for name, plan in option.stages.items()
        if plan.compact
    }
    assert {"dense", "lookup", "add", "pool"} <= {
        options.structure.stages[name].node.op.op for name in every
    }
    assert not any(
        plan.compact
        for each in searched(manifest, ECP5).options.at(4000)
        for o in each
        for plan in o.stages.values()
    )


@pytest.mark.parametrize(
    "device",
    [SMALL, *(device for device in DEVICES.values() if device.bounded)],
    ids=lambda device: device.name,
)
def test_the_fastest_keeps_within_the_device(manifest, device):
    sized = plan_for(manifest, device, fastest=True)
    report = sized.report
    assert report.luts <= device.family.fill * device.luts and report.dsp <= device.dsps
    assert report.block_rams[device.family.costs] <= device.rams and report.sprams <= device.sprams
    assert device.family is UP5K.family or report.flip_flops <= device.family.fill * device.luts
    assert sized.rate_hz == device.clock_hz / report.cycles
    assert report.cycles == plan_for(manifest, device, sized.rate_hz).report.cycles
    with pytest.raises(SsmHdlError, match=r"most that fits is [\d,]+, a step every \d+ cycles"):
        plan_for(manifest, device, 1.3 * sized.rate_hz)


@pytest.mark.parametrize(
    "name,device,clock_hz",
    [("s4d-16h-w8a8x8", "up5k", 45e6), ("s4d-64h-w8a8x8", "lfe5u-25f", 130e6 / 3)],
)
def test_a_rate_that_was_said_is_reached_and_no_higher_one(name, device, clock_hz):
    model, device = Manifest.load(f"manifests/{name}"), DEVICES[device]
    sized = plan_for(model, device, fastest=True, clock_hz=clock_hz)
    for rate in (sized.rate_hz, int(sized.rate_hz)):
        again = plan_for(model, device, rate, clock_hz=clock_hz)
        assert again.rate_hz >= rate and again.report.cycles == sized.report.cycles
    said = (
        rf"the most that fits is {int(sized.rate_hz):,}, "
        rf"a step every {sized.report.cycles:,} cycles"
    )
    with pytest.raises(SsmHdlError, match=f"cannot take .*{said}"):
        plan_for(model, device, np.nextafter(sized.rate_hz, np.inf), clock_hz=clock_hz)


@pytest.mark.parametrize("device", [UP5K, ECP5], ids=["ice40", "ecp5"])
@pytest.mark.parametrize("pool", ["pool", "mean", "largest"])
def test_the_end_of_a_sequence_adds_no_cycles(random_manifest, device, pool):
    """Though what works once in a sequence takes longer than a time step:
    the results that it reads wait, or it is faster."""
    small = random_manifest(channels=8, modes=4, steps=16, classes=10)
    text = small.graph.model_dump(exclude_none=True)
    for op in text["operations"]:
        if op["op"] == "pool":
            op["op"] = pool
            for field in {"mean": ["shift"], "largest": ["shift", "format"]}.get(pool, []):
                del op[field]
    search = searched(
        Manifest(Graph.model_validate(yaml.safe_load(yaml.safe_dump(text))), small.tensors), device
    )
    for interval in (32, 96):
        if found := search.cheapest(interval):
            assert estimate(search.manifest, found.plan).cycles <= found.cycles <= interval
    assert found


def test_what_fits_at_an_interval_fits_at_a_longer_one(manifest):
    """Which the bisection needs; and what is planned for an interval keeps it,
    with rows that fill up beats too."""
    search = searched(manifest, ECP5)
    intervals = search.options.intervals
    found = [
        (interval, search.cheapest(interval)) for interval in intervals[:: len(intervals) // 12]
    ]
    fits = [interval for interval, made in found if made is not None]
    assert len(fits) > 6 and fits == [interval for interval, _ in found][-len(fits) :]
    assert all(made.cycles <= interval for interval, made in found if made is not None)
    assert all(search.feasible(interval) == (made is not None) for interval, made in found)
    prices = [made.price for _, made in found if made is not None]
    # but for blocks that idle longer
    assert all(later < earlier + 40 for earlier, later in pairwise(prices))


@pytest.mark.parametrize(
    "name,device,rate,luts,dsps",
    [
        ("s4d-16h-w8a8x8", "up5k", 181_818, 3559, 8),
        ("digits", "lfe5u-25f", 6.94e6, 4456, 28),
        ("s4d-16h", "up5k", 100, 2147, 6),
        ("s4d-16h-w8a8x8", "up5k", 16e3, 2477, 6),
    ],
)
def test_least_hardware(name, device, rate, luts, dsps):
    """DSP blocks that nobody else needs are used though they idle; no LUTs are spent on latency."""
    report = plan_for(Manifest.load(f"manifests/{name}"), DEVICES[device], rate).report
    assert report.luts <= luts and report.dsp == dsps


def test_a_bound_of_the_latency():
    """The plan that keeps it costs the least: less than one of a shorter latency,
    more than one without a bound."""
    small = Manifest.load("manifests/s4d-16h-w8a8x8")
    free, middle, short = (
        plan_for(small, UP5K, 60e3, latency=latency).report for latency in (None, 800, 600)
    )
    assert free.latency_alone > 800 >= middle.latency_alone > 600 >= short.latency_alone
    assert free.luts <= middle.luts < short.luts
    quick = plan_for(small, UP5K, fastest=True).report
    assert quick.cycles <= 264
    words = (
        "no plan has a latency of at most 20 cycles; the fastest, "
        f"a step every {quick.cycles} cycles, has {quick.latency_alone}"
    )
    with pytest.raises(SsmHdlError, match=words):
        plan_for(small, UP5K, 60e3, latency=20)


def test_a_second_plan_of_a_manifest_builds_no_stage_to_price_it(random_manifest, monkeypatch):
    small = random_manifest(channels=4, modes=3, steps=8)
    first = plan_for(small, UP5K, fastest=True)
    monkeypatch.setattr("ssm_hdl.gen.size.options.use_of", None)
    assert plan_for(small, UP5K, fastest=True).plan == first.plan


def test_luts_multiply_where_the_dsp_blocks_end(random_manifest):
    wide = random_manifest(channels=16, modes=12, steps=16, classes=10)
    few, many = (plan_for(wide, replace(ECP5, dsps=dsps), fastest=True).report for dsps in (1, 28))
    assert few.dsp <= 1 and few.lut_multipliers > few.dsp_multipliers
    assert many.cycles <= few.cycles and many.dsp > 1


def test_without_a_wish_the_dsp_blocks_decide(manifest):
    """As many steps as they give, LUTs multiplying only what is small;
    as fast as it goes takes more of them."""
    plain, most = plan_for(manifest, ECP5), plan_for(manifest, ECP5, fastest=True)
    assert plain.report.cycles > most.report.cycles and plain.report.luts < most.report.luts
    large = {
        stage.name
        for stage in plain.report.stages
        if stage.kind == "lut" and stage.multiplications > 64
    }
    assert not large - {"decoder"}  # which works once per sequence
    few = plan_for(manifest, replace(ECP5, dsps=1))  # too few for that
    assert few.report.dsp <= 1


@pytest.mark.parametrize("dsp", (4, 8, 12, 28, 156))
def test_a_generic_device_has_no_limits_but_that_of_dsp_blocks(random_manifest, dsp):
    wide = random_manifest(channels=16, modes=33, steps=16, classes=10)
    sized = plan_for(wide, dsp=dsp)
    assert sized.report.dsp == sized.plan.dsp <= dsp
    search = Search(wide, Structure.of(wide), GENERIC, budget(GENERIC, dsp), {}, False)
    faster = [interval for interval in search.options.intervals if interval < sized.report.cycles]
    assert not any(map(search.feasible, faster[-4:]))
    assert dsp != 8 or sized.report.cycles == 528


def test_two_multipliers_in_a_block(random_manifest):
    """Codes of 4 bits and states of 6: pairs of everything on an iCE40;
    on an ECP5 of rows side by side."""
    narrow = random_manifest(channels=16, modes=32, steps=16, features=("narrow",))
    reports = {
        family: plan_for(narrow, unlimited(FAMILIES[family]), dsp=8).report
        for family in ("generic", "ice40", "ecp5")
    }
    assert {family: report.cycles for family, report in reports.items()} == {
        "generic": 512,
        "ice40": 256,
        "ecp5": 512,
    }
    assert (
        reports["ice40"].dsp_multipliers > 8
        and reports["generic"].dsp_multipliers == reports["generic"].dsp
    )


def test_flip_flops_are_of_the_device_too():
    """They end a plan where LUTs do not: of an iCE40 they are not counted,
    since each is in a logic cell."""
    largest = Manifest.load("manifests/s4d-64h-w8a8x8")
    few = ECP5.family.fill * ECP5.flip_flops - 10_000
    limited, free = (
        plan_for(largest, ECP5, fastest=True, reserve=Use(0, less, 0, 0)).report
        for less in (10_000, 0)
    )
    assert (
        limited.luts < free.luts
        and limited.flip_flops <= few < free.flip_flops
        and int(limited.cycles) == 256
        and int(free.cycles) == 128
    )
    assert UP5K.flip_flops is None


def test_what_is_reserved_is_left(manifest):
    report = plan_for(manifest, SMALL, fastest=True, reserve=Use(300, 300, 1, 1)).report
    assert (
        report.luts <= SMALL.family.fill * SMALL.luts - 300
        and report.dsp <= 2
        and report.block_rams["ice40"] <= 9
    )


def test_layers_share_stages_only_where_that_is_better(random_manifest):
    deep = random_manifest(channels=8, modes=4, steps=8, layers=3, alike=True)
    tight = replace(ECP5, luts=8000, dsps=4)
    little, much = (
        plan_for(deep, tight, fastest=True),
        plan_for(deep, DEVICES["lfe5u-85f"], fastest=True),
    )
    assert little.plan.share_layers and not much.plan.share_layers
    assert little.report.layers == 3 and little.report.cycles > much.report.cycles
    assert not plan_for(deep, DEVICES["lfe5u-85f"], 16e3, share_layers=False).plan.share_layers


def test_a_deep_model_fits_a_board_without_options():
    model, board = Manifest.load("manifests/s5-mnist-w4a8"), find_board("ulx3s-25f")
    sized = plan_for(model, board.chip, clock_hz=board.clock_hz, reserve=shell_use(model, board))
    assert (
        sized.plan.share_layers
        and int(sized.report.cycles) == 256
        and sized.report.utilisation > 0.95
    )


@pytest.mark.parametrize("device", [SMALL, FEW], ids=lambda device: device.name)
def test_bits_and_interval_of_a_sized_pipeline(manifest, random_samples, device):
    """In the cells of the device."""
    sized = plan_for(manifest, device, fastest=True)
    samples = random_samples(manifest, batch=3)
    model = VerilatedModel(manifest, sized.plan, optimise=0)
    free = model.run(samples)
    assert np.array_equal(free.outputs, run(manifest, samples).outputs)
    assert free.interval == sized.report.cycles
    assert np.array_equal(model.run(samples, stalls=0.4, seed=3).outputs, free.outputs)


def test_what_takes_more_dsp_blocks_than_there_are_is_partly_in_them(random_samples):
    digits = Manifest.load("manifests/digits")
    sized = plan_for(digits, ECP5, fastest=True, dsp=12)
    part = [stage for stage in sized.report.stages if 0 < stage.dsp_multipliers < stage.multipliers]
    assert part and sized.report.dsp == sum(stage.dsp for stage in sized.report.stages) <= 12
    samples = random_samples(digits, batch=2)
    model = VerilatedModel(digits, sized.plan, optimise=0)
    free = model.run(samples)
    assert (
        np.array_equal(free.outputs, run(digits, samples).outputs)
        and free.interval == sized.report.cycles
    )
    assert np.array_equal(model.run(samples, stalls=0.4, seed=3).outputs, free.outputs)


def test_tables_go_to_spram_where_block_rams_end():
    report = plan_for(Manifest.load("manifests/s4d-64h-w4a6x8"), UP5K, fastest=True).report
    assert 0 < report.sprams <= 4 and report.block_rams["ice40"] <= 30


@pytest.mark.parametrize("rate", (None, 1e5))
def test_small_memories_go_to_luts_where_block_rams_end(manifest, rate):
    plenty = plan_for(manifest, ECP5, rate, dsp=9)
    used = plenty.report.block_rams["ecp5"]
    few = plan_for(manifest, replace(ECP5, rams=used // 2), rate, dsp=9)
    assert (
        plenty.plan.luts_below == 0 < few.plan.luts_below
        and few.report.block_rams["ecp5"] <= used // 2
    )
    assert rate is None or few.rate_hz >= rate


def test_refusals(manifest):
    with pytest.raises(
        SsmHdlError, match=r"^device 'xc7' is not known; there are up5k, .*, gw2ar-18, generic$"
    ):
        find_device("xc7")
    assert find_device("LFE5U-25F") is ECP5
    for words, arguments in (
        ("a rate of 0 time steps per second is none", {"rate_hz": 0}),
        ("--rate and --max are two different wishes", {"rate_hz": 9, "fastest": True}),
        ("a clock of -1 MHz is none", {"clock_hz": -1e6}),
        ("9 DSP blocks are more than the 3 of the small", {"dsp": 9}),
        (
            "no stage 'gelu' to fold; the stages that multiply are encoder, ssm, readout",
            {"folding": {"gelu": "2"}},
        ),
        (
            "mixing: cannot fold onto 77; it can onto 1, 2, 3, .* as 1x1, 2x1, 1x2, ",
            {"folding": {"mixing": "77"}},
        ),
    ):
        with pytest.raises(SsmHdlError, match=words):
            plan_for(manifest, SMALL, **arguments)
    with pytest.raises(
        SsmHdlError, match="generic device: it takes at least 3 DSP blocks where 2 can be used"
    ):
        plan_for(manifest, dsp=2)
    with pytest.raises(
        SsmHdlError, match="a generic device has no clock of its own; give --rate a --clock"
    ):
        plan_for(manifest, GENERIC, 9)
    tiny = replace(SMALL, rams=2, sprams=0)
    with pytest.raises(
        SsmHdlError,
        match=r"small: .* block RAMs where 1 can be used, .* bits too many.*; "
        r"it fits the iCE40UP5K",
    ):
        plan_for(manifest, tiny)
    with pytest.raises(SsmHdlError, match=r"at least .* LUTs where"):
        plan_for(manifest, replace(SMALL, luts=800))
    with pytest.raises(
        SsmHdlError,
        match=r"where 0 can be used, .*; no device that is known holds it beside other logic; "
        r"leave less for that, or give it",
    ):
        plan_for(manifest, ECP5, reserve=Use(0, 0, 0, 999))
    assert plan_for(manifest, ECP5, reserve=Use(0, 0, 28, 0)).report.dsp == 0


def test_foldings_by_hand_are_kept_and_have_to_go_together(manifest):
    assert (
        plan_for(manifest, ECP5, folding={"mixing": "2x4"}).plan.stages["mixing"].folding == "2x4"
    )
    assert (
        plan_for(manifest, dsp=12, folding={"mixing": "4"}).plan.stages["mixing"].multipliers == 4
    )
    with pytest.raises(SsmHdlError, match="the foldings ssm=2x1, readout=1x1x1 do not go together"):
        plan_for(manifest, ECP5, folding={"ssm": "2x1", "readout": "1x1x1"})


def test_block_rams_take_the_best_shape():
    assert FAMILIES["ice40"].rams.blocks(Storage("state", 528, 32, True, written=True)) == 6
    assert FAMILIES["ecp5"].rams.blocks(Storage("state", 528, 32, True, written=True)) == 2
    assert FAMILIES["ice40"].rams.blocks(Storage("shift", 528, 4, True)) == 1
    assert FAMILIES["ice40"].rams.blocks(Storage("bias", 16, 12, False)) == 0


@pytest.mark.parametrize("size,steps", [(1, 1), (6, 2), (6, 16)])
@pytest.mark.parametrize("device", [GENERIC, UP5K], ids=lambda device: device.name)
def test_a_mean_of_few_steps_takes_longer_than_a_step(size, steps, device):
    graph = Graph.model_validate(
        {
            "schema_version": 1,
            "name": "mean",
            "steps": steps,
            "input": {"name": "x", "size": size, "format": "SQ(4, 4)"},
        }
        | {
            "operations": [{"name": "y", "op": "mean", "input": "x", "format": "SQ(4, 12)"}],
            "output": "y",
        }
    )
    report = plan_for(Manifest(graph, Tensors({}, {})), device, fastest=True).report
    assert size <= report.cycles and steps * report.cycles >= 16  # a cycle for each bit of a result


def test_a_device_without_memories_of_luts_is_not_named_as_one_that_has_them():
    """33 tables of 256 words: the UP5K has 30 block RAMs and 4 SPRAMs, of which some are taken."""
    names = ["x", *(f"table_{index}" for index in range(33))]
    operations = [
        dict(name=name, op="lookup", input=source, function="gelu", format="SQ(2, 6)")
        for source, name in pairwise(names)
    ]
    fields = dict(schema_version=1, name="tables", steps=3, output=names[-1], operations=operations)
    fields["input"] = dict(name="x", size=1, format="SQ(2, 6)")
    manifest = Manifest(Graph.model_validate(fields), Tensors({}, {}))
    with pytest.raises(SsmHdlError, match="does not fit the iCE40UP5K"):
        plan_for(manifest, UP5K)
    tiny = replace(UP5K, title="tiny", rams=2, sprams=0)
    with pytest.raises(SsmHdlError, match=r"does not fit the tiny: .* fits the LFE5U-25F") as error:
        plan_for(manifest, tiny)
    assert "UP5K" not in str(error.value)
