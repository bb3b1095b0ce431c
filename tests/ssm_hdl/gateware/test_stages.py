# amaranth: UnusedElaboratable=no
"""Every operation's gateware: equal to its golden function under random stalls,
cycles and latency as it states them."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from ssm_hdl import SQ, UQ, SsmHdlError
from ssm_hdl.families.ecp5 import ECP5, dsp
from ssm_hdl.families.generic import GENERIC, Generic
from ssm_hdl.families.ice40 import ICE40
from ssm_hdl.gateware.add import Add
from ssm_hdl.gateware.arithmetic import delay, operand
from ssm_hdl.gateware.dense import Dense
from ssm_hdl.gateware.dense_folding import DenseFolding
from ssm_hdl.gateware.embedding import Embedding
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.lookup import Lookup
from ssm_hdl.gateware.memories import shape_for
from ssm_hdl.gateware.multiply import Multiply
from ssm_hdl.gateware.pool import Pool
from ssm_hdl.gateware.scan import Scan
from ssm_hdl.gateware.scan_folding import ScanFolding
from ssm_hdl.gateware.slice import Slice
from ssm_hdl.operations import Add as AddOperation
from ssm_hdl.operations import Edge, Tensors
from ssm_hdl.operations.dense import Dense as DenseOperation
from ssm_hdl.sim.golden import evaluate

KINDS = ("dsp", "lut")
FILL = 1 << 62
"""Stands for numbers that do not count."""
PACKETS = 24


def on(family, node):
    """A node for a stage of a family."""
    return Layers([node], family=family)


@pytest.fixture
def make_nodes(random_manifest):
    return lambda features=(): (
        random_manifest(channels=4, modes=3, steps=PACKETS, classes=6, features=features).nodes
    )


@pytest.fixture
def nodes(make_nodes):
    return make_nodes()


def dense_cases():
    """(operation, folding) of ways to fold the three shapes of dense: plain,
    of one row per group, of several."""
    plain = [
        ("mixing", name) for name in ("1x1", "2x1", "1x2", "3x1", "8x1", "3x2", "1x4", "4x2", "8x4")
    ]
    groups = (
        "1x1x1",
        "1x1x3",
        "1x1x4",
        "1x1x6",
        "2x1x1",
        "2x1x3",
        "2x1x4",
        "4x1x2",
        "2x1x6",
        "4x1x6",
    )
    complex_groups = [("readout", name) for name in groups]
    return [
        *plain,
        *complex_groups,
        ("encoder", 1),
        ("encoder", 2),
        ("encoder", 4),
        ("decoder", "1x1"),
        ("decoder", "6x1"),
    ]


SCANS = (
    *("1x1/4", "1x1/3", "1x1/2", "1x1", "1x1*3", "1x3", "1x3*3", "2x1", "2x1*3", "2x3", "2x3*3"),
    *("4x1", "4x1*3", "4x3", "4x3*3", "2x1/3", "1x2/3", "1x3/3", "4x1/3", "2x3/3", "1x2", "1x2*3"),
)
"""The foldings of a scan of 4 channels of 3 modes."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name,folding", dense_cases())
def test_dense(nodes, name, folding, kind, check):
    node = nodes[name]
    check(lambda: Dense(node, folding, kind), node)


def test_dense_folds_onto_any_number_of_rows_and_divisors_of_its_columns(nodes):
    """3 of 8 rows, and 4 of 6 columns of a group, fill up what they take."""
    mixing, readout = (DenseFolding.choices(nodes[name]) for name in ("mixing", "readout"))
    names = [
        "1x1",
        "2x1",
        "1x2",
        "3x1",
        "4x1",
        "2x2",
        "1x4",
        "3x2",
        "8x1",
        "4x2",
        "2x4",
        "3x4",
        "8x2",
        "4x4",
        "8x4",
    ]
    assert [choice.name for choice in mixing] == names
    assert [choice.name for choice in readout if choice.groups == 1] == [
        "1x1x1",
        "1x1x2",
        "1x1x3",
        "1x1x4",
        "1x1x6",
    ]
    for choice in (*mixing, *readout):
        assert choice.cycles * choice.multipliers >= np.prod(choice.shape) == choice.products
        assert choice.exact == (choice.cycles * choice.multipliers == choice.products)
    assert [choice.name for choice in (*mixing, *readout) if not choice.exact] == [
        "3x1",
        "3x2",
        "3x4",
        "1x1x4",
        "2x1x4",
        "4x1x4",
    ]


@pytest.mark.parametrize("name,folding", [case for case in dense_cases() if case[0] != "encoder"])
def test_dense_with_a_scale_for_each_row(make_nodes, name, folding, check):
    node, plain = (make_nodes(features)[name] for features in (("exponent", "narrow"), ("narrow",)))
    check(lambda: Dense(node, folding), node)
    stage, without = Dense(node, folding), Dense(plain, folding)
    assert shape_for(stage.weights()).width <= 5  # the sign of an imaginary part turns -8 into 8
    bits = spread_bits(node, stage.folding.o_lanes)
    assert (bits == 0) == (stage.folding.passes * stage.folding.blocks_of_groups == 1)
    assert stage.latency - stage.queue.latency - without.latency + without.queue.latency == bits
    assert ("scale" in [storage.name for storage in stage.storage]) == (bits > 0)


def spread_bits(node, lanes):
    """Bits of the largest shift that a lane needs in some word and not in another; as many cycles,
    as they are few."""
    scale = node.arrays["scale"].ravel()
    return spread_of(np.pad(scale, (0, -scale.size % lanes), mode="edge").reshape(-1, lanes))


def spread_of(scale):
    bits = int(np.ptp(scale, axis=0).max()).bit_length()
    assert bits <= 3
    return bits


@pytest.mark.parametrize("scaled", (False, True))
@pytest.mark.parametrize("multipliers", (1, 2, 4, 12, 24))
def test_dense_of_groups_with_several_rows(multipliers, scaled, check):
    dice = np.random.default_rng(3)
    codes = {
        "w": dice.integers(-128, 128, (2, 4, 3)),
        "b": dice.integers(-500, 500, 8),
        "s": dice.integers(-3, 12, (2, 4)),
    }
    op = DenseOperation.model_validate(
        {
            "name": "grouped",
            "input": "x",
            "weight": {"tensor": "w", "format": SQ(1, 7), "exponent": "s" if scaled else None},
            "bias": {"tensor": "b", "format": SQ(2, 10)},
            "format": SQ(3, 4),
        }
    )
    node = op.bind((Edge("x", 6, SQ(2, 6)),), Tensors(codes, {}), PACKETS)
    check(lambda: Dense(node, multipliers), node)


def test_dense_holds_a_burst_for_a_reader_that_takes_its_results_evenly(random_manifest):
    """48 results of 96 cycles, all of which come in the last 48,
    for a reader that takes one in two cycles."""
    node = random_manifest(channels=24, modes=1, steps=PACKETS).nodes["mixing"]

    def cycles(even):
        stage, taken = Dense(node, "1x12", even=even), []

        async def bench(ctx):
            ctx.set(stage.i.valid, 1)
            for cycle in range(1000):
                ctx.set(stage.o.ready, cycle % 2)
                _, _, ready = await ctx.tick().sample(stage.i.ready)
                taken.extend([cycle] * ready)

        simulator = Simulator(stage)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        simulator.run()
        return taken[-1] - taken[-3]  # two beats per packet

    assert cycles(even=True) == 96 < cycles(even=False)


def test_dense_says_how_it_can_fold(nodes):
    with pytest.raises(
        SsmHdlError,
        match=r"^mixing: cannot fold onto 5 multipliers; it can onto 1, 2, 3, 4, 6, 8, 12, 16, 32$",
    ):
        Dense(nodes["mixing"], 5)
    with pytest.raises(
        SsmHdlError,
        match=r"^mixing: cannot fold onto 5x1; it can onto 1, .*, 32 as 1x1, 2x1, 1x2, .*, 8x4$",
    ):
        Dense(nodes["mixing"], "5x1")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("folding", SCANS)
def test_scan(nodes, folding, kind, check):
    node = nodes["ssm"]
    assert {folding.name for folding in ScanFolding.choices(node)} == set(SCANS)
    check(lambda: Scan(node, folding, kind), node)


UNEVEN = ["1x2/3", "2x2/3", "1x2", "1x3*3", "1x3", "2x2*3", "2x2", "2x3*3", "2x3"]


@pytest.mark.parametrize("features", [(), ("exponent", "delta", "dither")], ids=["plain", "all"])
@pytest.mark.parametrize("folding", ["1x2/3", "2x2/3", "1x3*3", "1x3", "2x2*3", "2x2"])
def test_scan_that_fills_up_words(random_manifest, folding, features, check):
    """2 or 3 of 5 modes side by side, if that is faster than what divides them,
    of one channel or of two alike, with as few."""
    node = random_manifest(channels=2, modes=5, steps=PACKETS, features=features).nodes["ssm"]
    uneven = [choice.name for choice in ScanFolding.choices(node) if not choice.exact]
    assert uneven == UNEVEN
    stage = Scan(node, folding)
    assert (
        stage.folding.products
        == 10 * stage.folding.terms
        < stage.folding.multipliers * stage.folding.cycles
    )
    check(lambda: Scan(node, folding), node)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", [name for name in SCANS if "*" in name or name == "1x1/3"])
def test_scan_by_three_products(nodes, name, kind):
    """The cycles of four with a quarter fewer multipliers; one multiplier takes 3 cycles for a
    mode, and its loop is as short."""
    node = nodes["ssm"]
    stage, plain = (
        Scan(node, name, kind),
        Scan(node, name.removesuffix("*3").replace("/3", "/4"), kind),
    )
    short, four = stage.folding, plain.folding
    assert (short.products, four.products) == (36, 48)
    assert (short.cycles, short.multipliers) == (
        (36, 1) if name == "1x1/3" else (four.cycles, four.multipliers * 3 // 4)
    )
    wider = kind == "lut"  # 17 bits are nine pairs, a tree of four levels
    assert stage.loop == plain.loop + 1 - (name == "1x1/3") + wider
    width = next(storage.width for storage in stage.storage if storage.name == "code")
    assert width == 3 * 17 * short.modes


@pytest.mark.parametrize(
    "name,cycles", [("1x2/3", 24), ("2x1/3", 18), ("1x3/3", 12), ("4x1/3", 9), ("2x3/3", 6)]
)
def test_scan_of_several_modes_with_a_multiplier_each(nodes, name, cycles):
    """A third of the multipliers of as many modes by three products, three times the cycles,
    and the loop of one mode."""
    short, one, all_at_once = (
        Scan(nodes["ssm"], each) for each in (name, "1x1/3", name.replace("/", "*"))
    )
    assert short.folding.cycles == cycles == 3 * all_at_once.folding.cycles
    assert short.folding.multipliers == short.folding.modes == all_at_once.folding.multipliers // 3
    assert short.loop == one.loop


ALL = ("exponent", "delta", "dither")
FEATURES = (("exponent",), ("delta",), ("dither",), ALL, ("narrow",), ("narrow", *ALL))


@pytest.mark.parametrize(
    "kind,features", [*(("dsp", each) for each in FEATURES), ("lut", FEATURES[-1])]
)
@pytest.mark.parametrize("folding", SCANS)
def test_scan_in_few_bits(make_nodes, folding, kind, features, check):
    node, plain = (make_nodes(chosen)["ssm"] for chosen in (features, set(features) & {"narrow"}))
    check(lambda: Scan(node, folding, kind), node)
    stage, without = Scan(node, folding, kind), Scan(plain, folding, kind)
    bits = spread_of(stage.folding.arrange(node.arrays["scale"]))
    assert (bits == 0) == (
        "exponent" not in features or folding.startswith("4x3")
    )  # alone in its multipliers, a mode shifts by wires
    assert stage.loop - without.loop == bits
    widths = {storage.name: storage.width for storage in stage.storage}
    numbers, wider = (2, 0) if stage.folding.terms == 4 else (3, 1)
    assert widths["code"] == numbers * stage.folding.modes * (
        (4 if "narrow" in features else 16) + wider
    )
    assert ("scale" in widths) == (bits > 0)


@pytest.fixture
def in_blocks(monkeypatch):
    """A MULT18X18D that Amaranth simulates."""

    def mult18x18d(m, a, b):
        a, b = (operand(value, dsp.WIDTH, "MULT18X18D").as_signed() for value in (a, b))
        return delay(m, delay(m, a, 1) * delay(m, b, 1), 2)

    monkeypatch.setattr(dsp, "_cell", mult18x18d)


@pytest.fixture
def byte_node(make_nodes):
    """A scan of codes and states of 8 bits, with exponents that spread further than such codes can
    be shifted in 18 bits."""
    op, node = (make_nodes(features)["ssm"] for features in (("narrow", *ALL), ("narrow", "delta")))
    op = op.op.model_copy(
        update={
            "format": SQ(1, 7),
            "transition": op.op.transition.model_copy(update={"format": SQ(1, 7)}),
        }
    )
    exponent = np.array([[0, 5, 12], [12, 0, 3], [9, 12, 0], [1, 0, 12]])
    codes = {
        "ssm.transition": 15 * node.arrays["code"],
        "ssm.transition.exponent": exponent,
        "ssm.exponent": -exponent,
    }
    return op.bind(node.inputs, Tensors(codes, {}), PACKETS)


@pytest.mark.parametrize("folding", ["2x1", "3x1", "3x2", "4x2", "8x4"])
def test_dense_with_two_products_in_a_block(make_nodes, in_blocks, folding, check):
    """Of two weights with the same x, the upper one has lent 1 to a negative lower one,
    in the table or as a constant."""
    node = make_nodes(("narrow",))["mixing"]
    check(lambda: Dense(on(ECP5, node), folding), node)
    stage, plain = Dense(on(ECP5, node), folding), Dense(node, folding, "dsp")
    lent = plain.weights() - stage.weights()
    assert stage.blocks == -(-stage.folding.rows // 2) * stage.folding.columns < plain.blocks
    assert (
        set(np.unique(lent)) == {0, 1}
        and not lent.reshape(-1, stage.folding.rows, stage.folding.columns)[:, ::2].any()
    )


@pytest.mark.parametrize("features", [(), ("narrow",)], ids=["wide", "narrow"])
@pytest.mark.parametrize(
    "name,folding",
    [("mixing", "8x4:1"), ("mixing", "3x2:1"), ("mixing", "3x4:3"), ("readout", "4x1x6:5")],
)
def test_dense_partly_in_blocks(make_nodes, in_blocks, name, folding, features, check):
    """Some columns in DSP blocks, and the others of LUTs, which wait for them."""
    node = make_nodes(features)[name]
    check(lambda: Dense(on(ECP5, node), folding), node)
    stage, whole = (Dense(on(ECP5, node), each) for each in (folding, folding.partition(":")[0]))
    some = int(folding.partition(":")[2])
    assert (
        stage.folding.name == folding
        and stage.latency == whole.latency
        and stage.cycles == whole.cycles
    )
    assert (
        stage.folding.in_blocks("dsp") * whole.folding.columns == whole.folding.multipliers * some
    )
    assert stage.blocks * whole.folding.columns == whole.blocks * some
    (part,) = {
        part for part in whole.folding.spread("dsp", stage.blocks) if part.columns_in_blocks == some
    }
    assert part == stage.folding


def test_dense_says_how_many_columns_may_be_in_blocks(nodes):
    for name in ("8x4:4", "8x4:0", "8x4:x"):
        with pytest.raises(
            SsmHdlError,
            match=rf"mixing: cannot fold onto {name}; 8x4 has 4 columns side by side, "
            r"of which some",
        ):
            Dense(on(ECP5, nodes["mixing"]), name)


def test_dense_in_no_more_blocks_than_there_are(nodes):
    folding = Dense(on(ECP5, nodes["mixing"]), "8x4").folding  # a column takes 8
    names = {
        blocks: [way.name for way in folding.spread("dsp", blocks)] for blocks in (7, 8, 31, 32)
    }
    assert names == {7: [], 8: ["8x4:1"], 31: ["8x4:2", "8x4:3"], 32: ["8x4", "8x4:2"]}
    assert folding.spread("lut", 0) == [folding]
    row = Dense(on(ICE40, nodes["mixing"]), "1x4").folding
    assert [way.name for way in row.spread("dsp", row.blocks("dsp"))] == ["1x4", "1x4:2"]


BLOCKS = [
    "1x1/4",
    "1x1/3",
    "1x1/2",
    "1x1",
    "1x1*3",
    "1x3/3",
    "2x1/3",
    "2x1",
    "2x1*3",
    "2x3",
    "1x3*3",
    "4x3*3",
]


@pytest.mark.parametrize("folding", BLOCKS)
@pytest.mark.parametrize("bits", (4, 8, 16))
def test_scan_that_shifts_in_its_multipliers(
    make_nodes, byte_node, in_blocks, bits, folding, check
):
    """Codes of 4 bits take all of a shift, of 8 bits all but one of the state, of 16 bits some."""
    node = {4: make_nodes(("narrow", *ALL))["ssm"], 8: byte_node, 16: make_nodes(ALL)["ssm"]}[bits]
    check(lambda: Scan(on(ECP5, node), folding), node)
    stage, plain = Scan(on(ECP5, node), folding), Scan(node, folding, "dsp")
    f, memories = stage.folding, {storage.name: storage.width for storage in stage.storage}
    spread = int(np.ptp(f.arrange(node.arrays["scale"]), axis=0).max())
    width = memories["code"] // f.modes // (2 if f.terms == 4 else 3)
    assert stage.blocks == plain.blocks and width <= 18
    room = 18 - bits - (f.terms == 3)
    behind = 0 if spread <= 2 * room else (spread // 2).bit_length()
    drive = plain.recurrence.drives.latency
    assert stage.loop == 6 + max(3 + (f.terms == 3) + behind, drive) + f.phases
    assert memories.get("scale", 0) == f.modes * (behind or spread > room)


def test_scan_of_an_unsigned_input(make_nodes, check):
    node = make_nodes(ALL)["ssm"]
    scale = node.arrays["scale"]
    codes = {"ssm.transition": node.arrays["code"], "ssm.transition.exponent": scale.max() - scale}
    codes["ssm.exponent"] = np.arange(-12, 0).reshape(4, 3)
    node = node.op.bind((Edge("encoder", 4, UQ(3, 5)),), Tensors(codes, {}), PACKETS)
    for multipliers in (1, 12, 48):
        check(lambda multipliers=multipliers: Scan(node, multipliers), node)


@pytest.fixture
def deep_nodes(random_manifest):
    return random_manifest(channels=4, modes=3, steps=PACKETS, layers=1, features=ALL).nodes


COMPLEX = ["1x1/4", "1x1/3", "1x1/2", "1x1*3", "3x1/3", "1x1", "3x1*3", "3x1"]


@pytest.mark.parametrize("folding", COMPLEX)
def test_scan_of_complex_elements(deep_nodes, folding, check):
    node = deep_nodes["ssm_1"]
    assert [folding.name for folding in ScanFolding.choices(node)] == COMPLEX
    check(lambda: Scan(node, folding), node)


@pytest.mark.parametrize("features", [(), ALL], ids=["plain", "all"])
@pytest.mark.parametrize("folding", ["1x1/4", "1x1/3", "1x1", "1x3/3", "2x1/3", "2x1*3", "4x3"])
def test_scan_of_complex_channels_with_several_modes(make_nodes, folding, features, check):
    node = make_nodes(features)["ssm"]
    codes = {"ssm.transition": node.arrays["code"], "ssm.exponent": np.arange(-12, 0).reshape(4, 3)}
    op = node.op.model_copy(
        update={"transition": node.op.transition.model_copy(update={"exponent": None})}
    )
    node = op.bind((Edge("encoder", 4, SQ(3, 5), is_complex=True),), Tensors(codes, {}), PACKETS)
    check(lambda: Scan(node, folding), node)


@pytest.mark.parametrize(
    "name,multipliers", [("drive_1", 3), ("drive_1", 24), ("readout_1", 2), ("readout_1", 12)]
)
def test_dense_from_and_to_complex_elements(deep_nodes, name, multipliers, check):
    node = deep_nodes[name]
    assert node.output.is_complex == (name == "drive_1")
    check(lambda: Dense(node, multipliers), node)


@pytest.mark.parametrize("stalls", (0.0, 0.4))
@pytest.mark.parametrize("features", [(), ALL], ids=["plain", "all"])
@pytest.mark.parametrize(
    "folding", ["1x1/4", "1x1/3", "1x1/2", "1x1", "1x3/3", "2x3/3", "2x1*3", "4x3"]
)
def test_scan_starts_afresh_after_a_step_marked_last(
    make_nodes, folding, features, stalls, run_stage, random_packets, orders
):
    """States, and the dither, whatever the sequence before has left: one of one step,
    and two that differ in length."""
    node = make_nodes(features)["ssm"]
    (packets,) = random_packets(node, 13, seed=1)
    ends = (0, 5, 12)
    sequences = np.split(packets, [end + 1 for end in ends[:-1]])
    states = np.concatenate([evaluate(node, part[np.newaxis]).codes[0] for part in sequences])
    stage = Scan(node, folding)
    expected = orders(stage)[1](states, FILL).ravel()
    run = run_stage(stage, [packets], len(expected), stalls, seed=2, ends=ends)
    assert np.array_equal(run.numbers[expected != FILL], expected[expected != FILL])
    beats = np.array(run.last).reshape(len(packets), -1)
    assert np.array_equal(np.flatnonzero(beats.all(axis=1)), ends) and beats.any(
        axis=1
    ).sum() == len(ends)


@pytest.mark.parametrize("lanes", (1, 2, 4))
def test_lookup(nodes, lanes, check):
    for name in ("gelu", "sigmoid"):
        check(lambda name=name: Lookup(nodes[name], lanes), nodes[name])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lanes", (1, 4))
def test_multiply(nodes, lanes, kind, check):
    check(lambda: Multiply(nodes["glu"], lanes, kind), nodes["glu"])


@pytest.mark.parametrize("lanes", (1, 4))
def test_add(nodes, lanes, check):
    check(lambda: Add(nodes["residual"], lanes), nodes["residual"])


def test_add_of_formats_that_differ(check):
    op = AddOperation(name="y", inputs=("a", "b"), format=SQ(4, 3))
    for a, b in ((SQ(3, 6), UQ(2, 1)), (UQ(5, -1), SQ(1, 9))):
        node = op.bind((Edge("a", 4, a), Edge("b", 4, b)), Tensors({}, {}), PACKETS)
        check(lambda node=node: Add(node, 2), node)


@pytest.mark.parametrize("lanes", (1, 2, 4))
@pytest.mark.parametrize("name", ("value", "gate"))
def test_slice(nodes, name, lanes, check):
    check(lambda: Slice(nodes[name], lanes), nodes[name])


def test_slice_refuses_lanes_that_cut_it(nodes):
    with pytest.raises(
        SsmHdlError, match=r"^value: 3 numbers per beat do not divide start 0 and size 4$"
    ):
        Slice(nodes["value"], 3)


@pytest.mark.parametrize("channels,rows", [(4, 16), (6, 11), (2, 1)])
def test_embedding(random_manifest, channels, rows, run_stage, random_packets, check):
    node = random_manifest(channels=channels, steps=PACKETS, layers=1, tokens=rows).nodes[
        "residual_0"
    ]
    check(lambda: Embedding(node), node)
    inputs = random_packets(node, PACKETS)
    slow = Embedding(node, pace=5)
    run = run_stage(slow, inputs, PACKETS * channels, stalls=0.3)
    assert np.array_equal(run.numbers, evaluate(node, inputs[0]).codes.ravel())


@pytest.mark.parametrize("lanes", (1, 2, 4))
def test_pool(nodes, lanes, check):
    check(lambda: Pool(nodes["pool"], lanes), nodes["pool"], per_step=False)


@pytest.mark.parametrize("lanes,registers", [(2, False), (12, False), (24, False), (2, True)])
def test_pool_of_many_sums(lanes, registers, random_manifest, check):
    """All of them in three beats are words that would be read before they are written:
    registers."""
    node = random_manifest(channels=24, modes=1, steps=PACKETS).nodes["pool"]
    (_, sums) = Pool(node, lanes, registers=registers).storage
    assert sums.bits >= 256 and sums.block == (not registers and lanes < 12)
    check(lambda: Pool(node, lanes, registers=registers), node, per_step=False)


class Fast(Generic):
    """A family whose block RAMs are as fast as those of an iCE40,
    with multipliers that Amaranth simulates."""

    fast_rams = True


FAST_STAGES = (
    [(Dense, "mixing", folding) for folding in ("1x1", "2x1", "2x4", "8x4")]
    + [(Dense, "readout", folding) for folding in ("1x1x2", "2x1x3")]
    + [
        (Scan, "ssm", folding)
        for folding in ("1x1/4", "1x1/3", "1x1/2", "1x1", "1x3/3", "2x1*3", "4x3")
    ]
    + [(Lookup, "gelu", 1), (Pool, "pool", 1), (Pool, "pool", 4)]
)


@pytest.mark.parametrize("make,name,how", FAST_STAGES)
@pytest.mark.parametrize("features", [(), ("exponent", "narrow")], ids=["plain", "shifts"])
def test_fast_memories_save_registers_behind_them(
    random_manifest, make, name, how, features, check
):
    node = random_manifest(channels=16, modes=3, steps=PACKETS, classes=6, features=features).nodes[
        name
    ]

    def of(family):
        return make(on(family, node), how)

    check(lambda: of(Fast()), node, per_step=name != "pool")
    fast, slow = of(Fast()), of(GENERIC)
    saved = 1 if name == "gelu" else 0
    assert slow.latency - fast.latency == saved + slow.queue.block_ram
    assert fast.queue.depth == slow.queue.depth - saved


@pytest.mark.parametrize("pace", (4, 33))
def test_a_pace_makes_queues_smaller_and_is_kept(nodes, pace, run_stage, random_packets):
    for make, node in (
        (lambda pace: Dense(nodes["encoder"], 1, "lut", pace), nodes["encoder"]),
        (lambda pace: Lookup(nodes["gelu"], 1, pace), nodes["gelu"]),
        (lambda pace: Scan(nodes["ssm"], 1, "dsp", pace + 4), nodes["ssm"]),
    ):
        slow, fast = make(pace), make(1)
        assert slow.queue.depth < fast.queue.depth
        inputs = random_packets(node, PACKETS)
        expected = evaluate(node, inputs[0][np.newaxis]).codes.ravel()
        run = run_stage(slow, inputs, expected.size)
        assert np.array_equal(run.numbers, expected)
        assert run.given[-1] - run.given[0] <= PACKETS * slow.cycles


def test_cycles_and_blocks_of_two_products_in_a_block(make_nodes):
    """Codes of 4 bits: an iCE40's take a cycle less in half a block,
    an ECP5's one more where rows share x."""
    nodes = make_nodes(("narrow",))

    def measures(make):
        stages = [
            make(*each)
            for each in ((GENERIC, "dsp"), (ICE40, "dsp"), (ECP5, "dsp"), (GENERIC, "lut"))
        ]
        depth = stages[0].latency - stages[0].queue.latency
        return [(stage.latency - stage.queue.latency - depth, stage.blocks) for stage in stages]

    assert measures(lambda family, kind: Dense(on(family, nodes["mixing"]), 1, kind)) == [
        (0, 1),
        (-1, 1),
        (0, 1),
        (-1, 0),
    ]
    assert measures(lambda family, kind: Dense(on(family, nodes["mixing"]), 8, kind)) == [
        (0, 8),
        (-1, 4),
        (1, 4),
        (-1, 0),
    ]
    assert measures(lambda family, kind: Dense(on(family, nodes["mixing"]), 32, kind)) == [
        (0, 32),
        (-1, 16),
        (1, 16),
        (-1, 0),
    ]
    assert measures(lambda family, kind: Dense(on(family, nodes["readout"]), 3, kind)) == [
        (0, 3),
        (-1, 2),
        (0, 3),
        (-1, 0),
    ]
    assert measures(lambda family, kind: Scan(on(family, nodes["ssm"]), 1, kind)) == [
        (0, 1),
        (-1, 1),
        (0, 1),
        (-1, 0),
    ]
    assert measures(lambda family, kind: Scan(on(family, nodes["ssm"]), 12, kind)) == [
        (0, 12),
        (-1, 6),
        (0, 12),
        (-1, 0),
    ]
    assert [Scan(on(family, nodes["ssm"]), 4).loop for family in (GENERIC, ICE40, ECP5)] == [
        10,
        9,
        10,
    ]
    wide = make_nodes()
    assert measures(lambda family, kind: Dense(on(family, wide["mixing"]), 8, kind)) == [
        (0, 8),
        (-1, 4),
        (0, 8),
        (0, 0),
    ]
    assert measures(lambda family, kind: Scan(on(family, wide["ssm"]), "1x3*3", kind)) == [
        (0, 9),
        (0, 9),
        (0, 9),
        (2, 0),
    ]
    mixing = [Dense(on(family, nodes["mixing"]), 8, "lut").folding for family in (ICE40, ECP5)]
    assert [folding.latency("lut") for folding in mixing] == [3, 2]
    assert measures(lambda family, kind: Multiply(on(family, nodes["glu"]), 4, kind)) == [
        (0, 4),
        (-1, 2),
        (0, 4),
        (0, 0),
    ]
