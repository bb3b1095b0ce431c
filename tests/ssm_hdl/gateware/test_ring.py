# amaranth: UnusedElaboratable=no
"""The ring alone: every packet passes all layers in order, none overtakes another,
and it never locks up."""

import random

import pytest
from amaranth.hdl import Module, Shape
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped
from amaranth.sim import Simulator

from ssm_hdl.gateware.queue import Queue
from ssm_hdl.gateware.ring import Ring
from ssm_hdl.gateware.stream import signature

BEATS, LAYERS = 3, 3
SHAPE = Shape(8)


class Rounds(wiring.Component):
    """A ring around a queue, in place of stages."""

    def __init__(self, flight: int, held: int) -> None:
        self.ring, self.stages = (
            Ring(SHAPE, 1, BEATS, LAYERS, flight),
            Queue(SHAPE, 1, held, LAYERS),
        )
        super().__init__({"i": In(signature(SHAPE)), "o": Out(signature(SHAPE))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.ring, m.submodules.stages = self.ring, self.stages
        connect(m, flipped(self.i), self.ring.i)
        connect(m, self.ring.entry, self.stages.i)
        connect(m, self.stages.o, self.ring.back)
        connect(m, self.ring.o, flipped(self.o))
        return m


def simulate(top, packets, stalls=0.0, deaf=0, cycles=6000):
    """What came out of the top as (cycle, number, last),
    and what entered the stages as (number, layer)."""
    dice, out, entered, queue = (
        random.Random(1),
        [],
        [],
        [(p * BEATS + b, p % 5 == 4) for p in range(packets) for b in range(BEATS)],
    )

    async def bench(ctx):
        offered = False
        for cycle in range(cycles):
            offered = bool(queue) and (offered or dice.random() >= stalls)
            ctx.set(top.i.valid, offered)
            if offered:
                ctx.set(top.i.p.data[0], queue[0][0])
                ctx.set(top.i.p.last, queue[0][1])
            accepting = cycle >= deaf and dice.random() >= stalls
            ctx.set(top.o.ready, accepting)
            entry = top.ring.entry
            _, _, ready, valid, payload, goes, enters = await ctx.tick().sample(
                top.i.ready, top.o.valid, top.o.payload, entry.valid & entry.ready, entry.payload
            )
            if offered and ready:
                queue.pop(0)
                offered = False
            if valid and accepting:
                out.append((cycle, payload.data[0], payload.last))
            if goes:
                entered.append((enters.data[0], enters.layer))
            if len(out) == packets * BEATS:
                return

    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return out, entered


@pytest.mark.parametrize("flight,held", [(1, 3), (2, 3), (4, 30)])
@pytest.mark.parametrize("stalls", [0.0, 0.5])
def test_every_packet_passes_all_layers_in_order(flight, held, stalls):
    packets = 20
    out, entered = simulate(Rounds(flight, held), packets, stalls)
    assert [(number, last) for _, number, last in out] == [
        (n, n // BEATS % 5 == 4) for n in range(packets * BEATS)
    ]
    for layer in range(LAYERS):
        assert [number for number, at in entered if at == layer] == list(range(packets * BEATS))
    groups = [entered[k : k + BEATS] for k in range(0, len(entered), BEATS)]
    # never mixed
    assert all(len({(number // BEATS, layer) for number, layer in group}) == 1 for group in groups)


def test_nobody_listening_for_long_is_no_reason_to_lock_up():
    out, _ = simulate(Rounds(4, 3), 20, deaf=400)
    assert [number for _, number, _ in out] == list(range(20 * BEATS))
    assert out[0][0] == 400


def test_cycles_of_a_packet():
    """With enough packets on their way the ring itself is the slowest: a beat per cycle,
    and one to choose."""
    top = Rounds(6, 30)
    out, _ = simulate(top, 60)
    first = [cycle for cycle, number, _ in out if number % BEATS == 0]
    flight = 6
    assert first[-1] - first[-1 - 3 * flight] == 3 * flight * top.ring.cycles
    assert top.ring.cycles == LAYERS * (BEATS + 1)
