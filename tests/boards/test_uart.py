# amaranth: UnusedElaboratable=no
import random

import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from ssm_hdl import SsmHdlError
from ssm_hdl.boards.uart import FRAME_BITS, Receiver, Transmitter, divisor


def bits_of(byte, stop=1):
    return [0, *((byte >> i) & 1 for i in range(8)), stop]


def receive(component, levels, patience):
    """Bytes that the receiver gives for a list of (level, cycles); taken at once,
    or only at the end."""
    taken = []

    async def drive(ctx):
        for level, cycles in levels:
            ctx.set(component.rx, level)
            await ctx.tick().repeat(cycles)
        await ctx.tick().repeat(12 * component.divisor)

    async def take(ctx):
        if patience:
            await ctx.tick().repeat(patience)
        ctx.set(component.o.ready, 1)
        async for _, _, valid, byte in ctx.tick().sample(component.o.valid, component.o.payload):
            if valid:
                taken.append(byte)

    sim = Simulator(component)
    sim.add_clock(1e-6)
    sim.add_testbench(drive)
    sim.add_testbench(take, background=True)
    sim.run()
    return taken


@pytest.mark.parametrize("cycles", [4, 5, 48])
@pytest.mark.parametrize("error", [-0.02, 0.0, 0.02])
def test_receiver_reads_every_byte_at_a_rate_that_is_off(cycles, error):
    sent = random.Random(1).sample(range(256), 40) if cycles > 8 else list(range(256))
    levels, now, end = [], 0.0, 0
    for bit in (bit for byte in sent for bit in bits_of(byte)):
        now += cycles * (1 + error)
        levels.append((bit, round(now) - end))
        end = round(now)
    assert receive(Receiver(cycles), [(1, 7), *levels, (1, 1)], 0) == sent


def test_receiver_drops_glitches_and_bytes_without_a_stop_bit():
    cycles = 16
    levels = [(1, 50), (0, 5), (1, 200)]  # a glitch shorter than half a bit
    levels += [(bit, cycles) for bit in bits_of(0x12, stop=0)] + [(1, 200)]
    levels += [(bit, cycles) for bit in bits_of(0x34)] + [(1, 50)]
    assert receive(Receiver(cycles), levels, 0) == [0x34]


def test_receiver_keeps_the_byte_that_was_not_taken():
    levels = [(1, 9)] + [(bit, 8) for byte in (1, 2, 3) for bit in bits_of(byte)] + [(1, 1)]
    assert receive(Receiver(8), levels, 8 * 30 + 9) == [1]


@pytest.mark.parametrize("cycles", [4, 5, 48])
def test_transmitter_sends_every_bit_for_its_time(cycles):
    component = Transmitter(cycles)
    sent = [0x00, 0xFF, 0xA5, 0x5A, 0x01, 0x80]
    line = []

    async def feed(ctx):
        await ctx.tick().repeat(30 * cycles)
        for number, byte in enumerate(sent):
            if number == 3:  # a pause in between
                await ctx.tick().repeat(37)
            ctx.set(component.i.valid, 1)
            ctx.set(component.i.payload, byte)
            await ctx.tick().until(component.i.ready)
            ctx.set(component.i.valid, 0)
        await ctx.tick().repeat(11 * cycles)

    async def watch(ctx):
        async for _, _, level in ctx.tick().sample(component.tx):
            line.append(level)

    sim = Simulator(component)
    sim.add_clock(1e-6)
    sim.add_testbench(feed)
    sim.add_testbench(watch, background=True)
    sim.run()
    assert line[: 30 * cycles] == [1] * 30 * cycles
    for group in (sent[:3], sent[3:]):  # without a pause, bytes follow each other without one
        start = line.index(0)
        expected = [bit for byte in group for bit in bits_of(byte) for _ in range(cycles)]
        assert line[start : start + len(expected)] == expected
        line = line[start + len(expected) :]
    assert set(line) == {1}


def test_receiver_understands_transmitter():
    m = Module()
    m.submodules.receiver = receiver = Receiver(6)
    m.submodules.transmitter = transmitter = Transmitter(6)
    m.d.comb += receiver.rx.eq(transmitter.tx)
    got, cycles = [], [0]
    sent = random.Random(2).choices(range(256), k=50)

    async def feed(ctx):
        ctx.set(transmitter.i.valid, 1)
        for byte in sent:
            ctx.set(transmitter.i.payload, byte)
            await ctx.tick().until(transmitter.i.ready)
        ctx.set(transmitter.i.valid, 0)
        await ctx.tick().repeat(12 * 6)

    async def take(ctx):
        ctx.set(receiver.o.ready, 1)
        async for _, _, valid, byte in ctx.tick().sample(receiver.o.valid, receiver.o.payload):
            cycles[0] += 1
            if valid:
                got.append(byte)

    sim = Simulator(m)
    sim.add_clock(1e-6)
    sim.add_testbench(feed)
    sim.add_testbench(take, background=True)
    sim.run()
    assert got == sent
    assert FRAME_BITS * 6 * len(sent) <= cycles[0] < FRAME_BITS * 6 * (len(sent) + 2) + 12


def test_divisor():
    assert divisor(48e6, 1_000_000) == 48
    assert divisor(50.25e6, 1_000_000) == 50
    with pytest.raises(
        SsmHdlError, match=r"3 MHz is too slow for 1,000,000 baud; it has to be at least 4 times"
    ):
        divisor(3e6, 1_000_000)
    with pytest.raises(
        SsmHdlError,
        match=r"4\.5 MHz gives 1,125,000 baud instead of 1,000,000, .* 2% off; "
        r"choose that bit rate, or",
    ):
        divisor(4.5e6, 1_000_000)
    for component in (Receiver, Transmitter):
        with pytest.raises(SsmHdlError, match="3 clock cycles per bit are too few"):
            component(3)
