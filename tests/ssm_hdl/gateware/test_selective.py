# amaranth: UnusedElaboratable=no
"""The gateware of the selective scan, as that of the other operations."""

import numpy as np
import pytest
from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator

from ssm_hdl import SQ, UQ
from ssm_hdl.families.ecp5 import ECP5
from ssm_hdl.families.generic import GENERIC
from ssm_hdl.families.ice40 import ICE40
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.multiplier import LutMultiplier
from ssm_hdl.gateware.selective import Selective
from ssm_hdl.gateware.selective_folding import SelectiveFolding
from ssm_hdl.operations import Edge, Tensor, Tensors
from ssm_hdl.operations import Selective as Operation
from ssm_hdl.sim.golden import evaluate

KINDS = ("dsp", "lut")
PACKETS = 24
FORMATS = {
    "usual": {"state": SQ(3, 5)},
    "fine": {
        "rate": SQ(5, 9),
        "alpha": SQ(3, 7),
        "state": SQ(4, 8),
        "y": SQ(5, 11),
        "exponents": (-3, 3),
    },
    "coarse": {
        "rate": SQ(6, -1),
        "alpha": UQ(2, 1),
        "drive": UQ(2, 4),
        "b": UQ(1, 5),
        "state": UQ(3, 5),
        "c": UQ(0, 4),
    },
    # on an ECP5 shifted before and after the product
    "spread": {"drive": SQ(2, 10), "state": SQ(4, 8), "exponents": (-4, 10)},
    "unsigned spread": {"drive": UQ(2, 8), "b": UQ(0, 6), "state": SQ(4, 8), "exponents": (-4, 3)},
    "wide": {
        "drive": SQ(4, 15),
        "b": SQ(2, 14),
        "state": SQ(6, 12),
        "c": SQ(3, 16),
        "exponents": (0, 1),
    },
}


def selective(channels, modes, name="usual", seed=0):
    f = {
        "rate": SQ(5, 6),
        "drive": SQ(3, 5),
        "b": SQ(2, 5),
        "c": SQ(1, 7),
        "alpha": SQ(4, 4),
        "y": SQ(5, 3),
        "exponents": (-2, 2),
    }
    f |= FORMATS[name]
    dice = np.random.default_rng(seed)
    codes = {"a": dice.integers(f["alpha"].min, f["alpha"].max + 1, (channels, modes))}
    codes["e"] = dice.integers(*f["exponents"], channels)
    op = Operation(
        name="y",
        inputs=tuple("rvbc"),
        alpha=Tensor(tensor="a", format=f["alpha"]),
        exponent="e",
        state=f["state"],
        format=f["y"],
    )
    sizes = {"rate": channels, "drive": channels, "b": modes, "c": modes}
    return op.bind(
        tuple(Edge(name, size, f[name]) for name, size in sizes.items()),
        Tensors(codes, {}),
        PACKETS,
    )


SIZES = [(4, 4, 4), (4, 4, 2), (3, 6, 1), (1, 1, 1), (8, 3, 3), (2, 9, 3), (24, 2, 1)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("channels,modes,folding", SIZES)
def test_selective(channels, modes, folding, kind, check):
    node = selective(channels, modes)
    check(lambda: Selective(node, f"1x{folding}", kind), node)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "family,folding,shifts",
    [(GENERIC, "1x1", False), (ICE40, "1x4", False), (GENERIC, "1x2", True)],
)
def test_formats(name, family, folding, shifts, check, monkeypatch):
    """At last with multipliers that shift as well as a MULT18X18D,
    which Amaranth does not simulate."""
    node = selective(5, 4, name, seed=3)
    if shifts:
        monkeypatch.setattr(LutMultiplier, "shifts", True)
        monkeypatch.setattr(LutMultiplier, "spare", ECP5.dsp.spare)
    check(lambda: Selective(Layers([node], family=family), folding, "lut"), node)


@pytest.mark.parametrize("stalls", (0.0, 0.4))
@pytest.mark.parametrize("folding", ("1x1", "1x2", "1x4"))
def test_a_sequence_starts_afresh(folding, stalls, run_stage, random_packets):
    """Whatever the sequence before has left: one of one step, and two that differ in length."""
    node = selective(3, 4)
    packets, ends = random_packets(node, 13, seed=1), (0, 5, 12)
    parts = zip(*(np.split(each, [end + 1 for end in ends[:-1]]) for each in packets), strict=True)
    expected = np.concatenate(
        [evaluate(node, *(each[np.newaxis] for each in part)).codes[0] for part in parts]
    )
    run = run_stage(Selective(node, folding), packets, expected.size, stalls, seed=2, ends=ends)
    assert np.array_equal(run.numbers, expected.ravel())
    assert np.array_equal(np.flatnonzero(np.array(run.last).reshape(13, 3).all(axis=1)), ends)


def test_reset_leaves_no_trace(random_packets):
    """In the middle of a step: what is held of B and C, words on their way, states and sums."""
    node, out = selective(3, 4), []
    stage = Selective(node, "1x2")
    first, second = (random_packets(node, 4, seed=seed) for seed in (0, 1))

    async def bench(ctx):
        for packets, cycles in ((first, 41), (second, 400)):
            beats = [each.ravel().tolist() for each in packets]
            out.clear()
            ctx.set(stage.o.ready, 1)
            for _ in range(cycles):
                for sink, numbers in zip(stage.sinks, beats, strict=True):
                    ctx.set(sink.valid, bool(numbers))
                    ctx.set(sink.p.data[0], numbers[0] if numbers else 0)
                _, _, valid, number, *ready = await ctx.tick().sample(
                    stage.o.valid, stage.o.p.data[0], *(sink.ready for sink in stage.sinks)
                )
                out.extend([number] * valid)
                for numbers, taken in zip(beats, ready, strict=True):
                    del numbers[: int(taken)]
            if packets is first:
                assert 0 < len(out) < 12
                ctx.set(domain.rst, 1)
                await ctx.tick()
                ctx.set(domain.rst, 0)

    top = Module()
    top.domains.sync = domain = ClockDomain()
    top.submodules.stage = stage
    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert out == evaluate(node, *(each[np.newaxis] for each in second)).codes.ravel().tolist()


@pytest.mark.parametrize("pace", (4, 33))
def test_a_pace_makes_the_queue_smaller_and_is_kept(pace, run_stage, random_packets):
    node = selective(4, 4)
    slow, fast = Selective(node, "1x4", pace=pace), Selective(node, "1x4")
    assert slow.queue.depth < fast.queue.depth
    inputs = random_packets(node, PACKETS)
    run = run_stage(slow, inputs, PACKETS * 4)
    assert np.array_equal(
        run.numbers, evaluate(node, *(each[np.newaxis] for each in inputs)).codes.ravel()
    )
    assert run.given[-1] - run.given[0] <= PACKETS * slow.cycles


def test_foldings_and_blocks():
    """Two products of 8 bits by 8 share an SB_MAC16, one of more bits takes all of it,
    one of more than 16 is made of LUTs."""
    node = selective(6, 6)
    choices = SelectiveFolding.choices(node)
    assert [(each.name, each.multipliers, each.cycles) for each in choices] == [
        ("1x1", 3, 36),
        ("1x2", 6, 18),
        ("1x3", 9, 12),
        ("1x6", 18, 6),
    ]
    assert all(each.products == node.multiplications == 3 * 36 for each in choices)

    def blocks(name, modes):
        folding = SelectiveFolding.of(Layers([selective(6, 6, name)], family=ICE40), f"1x{modes}")
        return folding.blocks("dsp"), folding.in_blocks("dsp")

    assert blocks("usual", 2) == (1 + 1 + 1, 6)
    assert blocks("spread", 2) == (2 + 2 + 2, 6)
    assert blocks("wide", 2) == (0, 0)
