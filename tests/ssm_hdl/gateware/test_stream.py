# amaranth: UnusedElaboratable=no
"""What stands between stages: nothing is lost, twice or out of order, whoever stalls,
in the cycles that it states."""

import numpy as np
import pytest
from amaranth.hdl import Module, Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ssm_hdl.gateware.fork import Fork
from ssm_hdl.gateware.repack import Repack, passing, widths
from ssm_hdl.gateware.stream import signature

SHAPE = Shape(9, True)
PACKETS, NUMBERS = 12, 8


@pytest.fixture
def packets():
    return np.random.default_rng(0).integers(-256, 256, (PACKETS, NUMBERS))


class Repacked(wiring.Component):
    """A `Repack` with the names that stages have."""

    def __init__(self, *args, **options):
        self.repack = Repack(SHAPE, *args, **options)
        super().__init__(
            {
                "i": In(signature(SHAPE, self.repack.i_lanes)),
                "o": Out(signature(SHAPE, self.repack.o_lanes)),
            }
        )
        self.sinks = [self.i]

    def elaborate(self, platform):
        m = Module()
        m.submodules.repack = self.repack
        connect(m, flipped(self.i), self.repack.i)
        connect(m, self.repack.o, flipped(self.o))
        return m


class Forked(wiring.Component):
    """A `Fork` of two ways, side by side again; one a beat later than the other, if it is late."""

    def __init__(self, slow, late):
        super().__init__({"i": In(signature(SHAPE)), "o": Out(signature(SHAPE, 2))})
        self.slow, self.late, self.sinks = slow, late, [self.i]

    def elaborate(self, platform):
        m = Module()
        m.submodules.fork = fork = Fork(SHAPE, 1, 2, slow=self.slow)
        connect(m, flipped(self.i), fork.i)
        ways = [*fork.o]
        if self.late:
            m.submodules.late = late = Repack(SHAPE, 1, 1)
            connect(m, ways[1], late.i)
            ways[1] = late.o
        for way, other in zip(ways, ways[::-1], strict=True):
            m.d.comb += way.ready.eq(self.o.ready & other.valid)
        m.d.comb += [
            self.o.valid.eq(ways[0].valid & ways[1].valid),
            self.o.p.last.eq(ways[0].p.last),
        ]
        m.d.comb += [
            number.eq(way.p.data[0]) for number, way in zip(self.o.p.data, ways, strict=True)
        ]
        return m


@pytest.mark.parametrize("slow", (False, True))
@pytest.mark.parametrize(
    "i_lanes,o_lanes,held", [(1, 4, 1), (1, 4, 9), (2, 4, 2), (4, 1, 1), (4, 2, 9), (8, 1, 1)]
)
def test_repack(packets, run_stage, i_lanes, o_lanes, held, slow):
    for stalls in (0.0, 0.4):
        run = run_stage(
            Repacked(i_lanes, o_lanes, held=held, slow=slow), [packets], packets.size, stalls
        )
        assert np.array_equal(run.numbers, packets.ravel())
        assert run.last[-1] and not any(run.last[: -NUMBERS // o_lanes])
    steady = run_stage(
        stage := Repacked(i_lanes, o_lanes, held=held, slow=slow), [packets], packets.size
    )
    few, many = sorted((i_lanes, o_lanes))
    wide = many // few + stage.repack.slow  # cycles of a wider beat
    period = NUMBERS // many
    assert stage.repack.slow == (slow or (held > many // few and o_lanes > i_lanes))
    taken = np.array(steady.taken).reshape(-1, many // i_lanes)[:, 0]
    assert (np.diff(taken)[period:] == wide).all()
    alone = run_stage(
        stage := Repacked(i_lanes, o_lanes, held=held, slow=slow), [packets[:1, :many]], many
    )
    assert alone.given[0] - alone.taken[-1] == stage.repack.latency


@pytest.mark.parametrize("slow", (False, True))
@pytest.mark.parametrize(
    "i_lanes,o_lanes,held",
    [(1, 3, 1), (1, 5, 9), (2, 6, 2), (3, 1, 1), (6, 2, 1), (5, 1, 9), (7, 1, 1)],
)
def test_repack_of_packets_that_beats_do_not_divide(
    packets, run_stage, i_lanes, o_lanes, held, slow
):
    """The last beat of 8 numbers is filled up: what fills it is dropped where it can be,
    and added where it has to be."""
    few, many = sorted((i_lanes, o_lanes))
    fill, beats = -(-NUMBERS // i_lanes) * i_lanes - NUMBERS, -(-NUMBERS // o_lanes)
    inputs = np.pad(packets, ((0, 0), (0, fill)), constant_values=-99)

    def make():
        return Repacked(i_lanes, o_lanes, held=held, slow=slow, packet=NUMBERS)

    for stalls in (0.0, 0.4):
        run = run_stage(make(), [inputs], PACKETS * beats * o_lanes, stalls)
        assert np.array_equal(run.numbers.reshape(PACKETS, -1)[:, :NUMBERS], packets)
        assert run.last == [0] * (PACKETS - 1) * beats + [1] * beats
    steady = run_stage(stage := make(), [inputs], PACKETS * beats * o_lanes)
    # a wider beat is gathered whole
    whole = -(-NUMBERS // many) * (many // few) if o_lanes > i_lanes else -(-NUMBERS // few)
    starts = np.array(steady.taken).reshape(PACKETS, -1)[:, 0]
    assert (np.diff(starts)[1:] == whole + stage.repack.slow * -(-NUMBERS // many)).all()
    assert passing(i_lanes, o_lanes, NUMBERS) == whole


def test_widths():
    """Straight between multiples, else by a common divisor; that of the packet too,
    where beats hold several."""
    assert (
        widths(4, 4, 8) == []
        and widths(1, 4, 8) == [4]
        and widths(6, 2, 8) == [2]
        and widths(6, 4, 8) == [2, 4]
    )
    assert widths(96, 96, 66) == [] and passing(96, 96, 66) == 66 / 96
    assert widths(132, 4, 66) == [2, 4] and widths(132, 22, 66) == [22] and widths(10, 5, 66) == [5]
    assert (
        passing(132, 4, 66) == 34
        and passing(132, 66, 66) == 1
        and passing(66, 132, 66) == 1
        and passing(2, 10, 66) == 35
    )


@pytest.mark.parametrize("late", (False, True))
@pytest.mark.parametrize("slow", (False, True))
def test_fork(packets, run_stage, slow, late):
    for stalls in (0.0, 0.4):
        run = run_stage(Forked(slow, late), [packets], 2 * packets.size, stalls)
        assert np.array_equal(run.numbers, packets.ravel().repeat(2))
    steady = run_stage(Forked(slow, late), [packets], 2 * packets.size)
    assert (np.diff(steady.taken) == 1 + late + slow).all()
