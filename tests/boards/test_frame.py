"""The gateware of the frames, without a serial line: bytes in, samples out;
results in, bytes out."""

import random

import numpy as np
import pytest
from amaranth.sim import Simulator

from ssm_hdl.boards.frame import Answers, Requests
from ssm_hdl.boards.protocol import PART, REQUEST, Status, answer, codes_to_bytes, request
from ssm_hdl.fingerprint import fingerprint

TIMEOUT = 60
BUSY = 150
PAUSE = TIMEOUT + BUSY + 20


class Line:
    """`Requests` in simulation; a reply is taken `BUSY` cycles after it came,
    when its samples have left."""

    def __init__(self, manifest, gaps=3):
        self.manifest, self.gaps, self.random = manifest, gaps, random.Random(0)
        self.samples, self.replies = [], []

    def run(self, *events):
        """``events``: bytes to send, or cycles to wait. Samples as (code, last),
        replies as (tag, status, length)."""
        component = Requests(self.manifest, TIMEOUT)

        async def drive(ctx):
            for event in events:
                if isinstance(event, int):
                    await ctx.tick().repeat(event)
                    continue
                for byte in event:
                    ctx.set(component.i.valid, 1)
                    ctx.set(component.i.payload, byte)
                    await ctx.tick().until(component.i.ready)
                    ctx.set(component.i.valid, 0)
                    if self.gaps:
                        await ctx.tick().repeat(self.random.randrange(1, self.gaps + 1))
            await ctx.tick().repeat(2 * PAUSE)

        async def take_samples(ctx):
            o = component.o
            async for _, _, valid, ready, payload in ctx.tick().sample(o.valid, o.ready, o.p):
                ctx.set(o.ready, self.random.random() < 0.7)
                if valid and ready:
                    self.samples.append((payload.data[0], payload.last))

        async def take_replies(ctx):
            waited = 0
            reply = component.reply
            async for _, _, valid, ready, payload in ctx.tick().sample(
                reply.valid, reply.ready, reply.p
            ):
                waited = waited + 1 if valid and not ready else 0
                ctx.set(reply.ready, waited == BUSY)
                if valid and ready:
                    self.replies.append((payload.tag, payload.status, payload.length))

        sim = Simulator(component)
        sim.add_clock(1e-6)
        sim.add_testbench(drive)
        sim.add_testbench(take_samples, background=True)
        sim.add_testbench(take_replies, background=True)
        sim.run()
        return self


def beats(codes):
    """What a sequence (steps, size) looks like on the stream."""
    return [(int(code), int(t == len(codes) - 1)) for t, step in enumerate(codes) for code in step]


def frame(manifest, codes, tag=9, model=None):
    model = fingerprint(manifest) if model is None else model
    return request(tag, model, codes_to_bytes(codes, manifest.input.format))


@pytest.fixture(params=["SQ(3, 7)", "UQ(0, 8)", "UQ(1, 4)", "SQ(1, 15)", "UQ(12, 5)", "SQ(4, 1)"])
def manifest(request, double):
    return double(format=request.param)


@pytest.mark.parametrize("gaps", [0, 5])
def test_samples_come_out_as_they_went_in(manifest, random_samples, gaps):
    lengths = (5, 1, 3, 5)
    sequences = [random_samples(manifest, 1, steps, seed=steps)[0] for steps in lengths]
    edge = manifest.input.format
    sequences[1][0] = [edge.min, edge.max, 0]
    events = [
        event
        for tag, codes in enumerate(sequences)
        for event in (frame(manifest, codes, tag), PAUSE)
    ]
    line = Line(manifest, gaps).run(7, *events)
    assert line.samples == [beat for codes in sequences for beat in beats(codes)]
    size = manifest.output.size * -(-manifest.output.format.width // 8)
    assert line.replies == [(tag, Status.OK, size * steps) for tag, steps in enumerate(lengths)]


def test_a_sequence_in_parts_has_one_end(double, random_samples):
    manifest = double(steps=3)
    codes, model = random_samples(manifest, 1, 8)[0], fingerprint(manifest)
    parts = [codes_to_bytes(codes[at : at + 3], manifest.input.format) for at in (0, 3, 6)]
    events = [
        event
        for part in parts
        for event in (request(9, model, part, REQUEST if part is parts[-1] else PART), PAUSE)
    ]
    line = Line(manifest).run(*events)
    assert (line.samples, len(line.replies)) == (beats(codes), 3)


def test_results_once_a_sequence(random_manifest, random_samples):
    manifest = random_manifest(steps=6, classes=3)
    codes = random_samples(manifest, 1, 4)[0]
    line = Line(manifest).run(frame(manifest, codes))
    assert (line.samples, line.replies) == (beats(codes), [(9, Status.OK, 3 * 2)])


def test_every_damaged_byte_is_found_and_leaves_no_trace(double, random_samples):
    manifest = double(steps=2, size=1, format="UQ(0, 8)")
    codes = random_samples(manifest, 1)[0]
    good = frame(manifest, codes)
    for place in range(len(good)):
        damaged = bytearray(good)
        damaged[place] ^= 0x04
        line = Line(manifest).run(bytes(damaged), PAUSE, good)
        status = Status.BROKEN_OFF if place in (0, 4, 5) else Status.DAMAGED
        assert [reply[1:] for reply in line.replies] == [(status, 0), (Status.OK, 4)]
        assert line.replies[1][0] == 9
        assert line.samples == beats(codes)


def bad_frames(manifest):
    fit = np.zeros((manifest.steps, manifest.input.size), np.int64)
    long = np.zeros((manifest.steps + 1, manifest.input.size), np.int64)
    model = fingerprint(manifest)
    return {
        "no samples": (request(9, model, b""), Status.BAD_LENGTH),
        "one step too many": (frame(manifest, long), Status.BAD_LENGTH),
        "one byte too many": (
            request(9, model, codes_to_bytes(fit, manifest.input.format) + b"\0"),
            Status.BAD_LENGTH,
        ),
        "far too many": (request(9, model, bytes(3000)), Status.BAD_LENGTH),
        "half an element": (request(9, model, b"\0"), Status.BAD_LENGTH),
        "half a step": (request(9, model, b"\0\0"), Status.BAD_LENGTH),
        "another model": (frame(manifest, fit, model=model ^ 0x8000), Status.OTHER_MODEL),
        "another model, low byte": (frame(manifest, fit, model=model ^ 1), Status.OTHER_MODEL),
        "above the range": (
            request(9, model, (512).to_bytes(2, "little") + bytes(4)),
            Status.OUT_OF_RANGE,
        ),
        "below the range": (
            request(9, model, bytes(4) + (-513).to_bytes(2, "little", signed=True)),
            Status.OUT_OF_RANGE,
        ),
    }


@pytest.mark.parametrize("name", [
    "no samples", "one step too many", "one byte too many", "far too many", "half an element",
    "half a step", "another model", "another model, low byte", "above the range", "below the range",
])  # fmt: skip
def test_bad_requests_are_named_and_leave_no_trace(double, random_samples, name):
    manifest = double()
    bad, status = bad_frames(manifest)[name]
    codes = random_samples(manifest, 1, 3)[0]
    line = Line(manifest, gaps=1).run(bad, PAUSE, frame(manifest, codes, 10))
    assert line.replies == [(9, status, 0), (10, Status.OK, 18)]
    assert line.samples == beats(codes)


def test_a_frame_cut_anywhere_is_forgotten_when_the_line_is_idle(double, random_samples):
    manifest = double(steps=2, size=1)
    codes = random_samples(manifest, 1)[0]
    good = frame(manifest, codes)
    for length in range(1, len(good)):
        line = Line(manifest).run(good[:length], PAUSE, good)
        assert [reply[1:] for reply in line.replies] == [(Status.BROKEN_OFF, 0), (Status.OK, 4)]
        assert line.samples == beats(codes)
    # A pause that is shorter than that is part of the frame.
    line = Line(manifest).run(good[:5], TIMEOUT // 2, good[5:])
    assert line.replies == [(9, Status.OK, 4)]


def test_noise_in_front_of_a_frame_is_skipped(double, random_samples):
    manifest = double()
    codes = random_samples(manifest, 1)[0]
    line = Line(manifest).run(b"\0\xff noise", frame(manifest, codes), PAUSE, b"noise", PAUSE)
    assert line.replies == [(9, Status.OK, 30), (0, Status.BROKEN_OFF, 0)]
    assert line.samples == beats(codes)


def test_bytes_that_come_while_it_is_busy_are_reported_not_run(double, random_samples):
    manifest = double()
    codes = random_samples(manifest, 1)[0]
    line = Line(manifest, gaps=1).run(frame(manifest, codes, 1), frame(manifest, codes, 2))
    assert line.replies == [(1, Status.OK, 30), (1, Status.OVERRUN, 0)]
    assert line.samples == beats(codes)


def test_one_reply_for_a_burst_of_damaged_bytes(double):
    manifest = double()
    short = bytearray(frame(manifest, np.zeros((5, 3), np.int64)))
    short[4] = 2  # the length: what follows it is read as a CRC, and the rest is let pass
    line = Line(manifest, gaps=1).run(bytes(short), PAUSE)
    assert line.replies == [(9, Status.DAMAGED, 0)]


@pytest.mark.parametrize("result", ["SQ(4, 7)", "UQ(0, 8)", "SQ(1, 4)", "SQ(2, 30)", "UQ(3, 0)"])
@pytest.mark.parametrize("stalls", [0.0, 0.5])
def test_answers(double, result, stalls):
    manifest = double(result=result, size=1)
    edge = manifest.output.format
    chance = random.Random(5)
    replies = [
        (3, Status.OK, 4),
        (4, Status.DAMAGED, 0),
        (5, Status.OK, 1),
        (0xA5, Status.BROKEN_OFF, 0),
    ]
    codes = [chance.randint(edge.min, edge.max) for _ in range(3)] + [edge.min, edge.max]
    size = -(-edge.width // 8)
    component, line = Answers(manifest), bytearray()

    async def reply(ctx):
        ctx.set(component.reply.valid, 1)
        for tag, status, count in replies:
            ctx.set(component.reply.payload, {"tag": tag, "status": status, "length": count * size})
            await ctx.tick().until(component.reply.ready)
        ctx.set(component.reply.valid, 0)
        await ctx.tick().repeat(5)

    async def results(ctx):
        for code in codes:
            while chance.random() < stalls:
                await ctx.tick()
            ctx.set(component.i.valid, 1)
            ctx.set(component.i.payload, {"data": [code], "last": 1})
            await ctx.tick().until(component.i.ready)
            ctx.set(component.i.valid, 0)

    async def take(ctx):
        o = component.o
        async for _, _, valid, ready, byte in ctx.tick().sample(o.valid, o.ready, o.payload):
            ctx.set(o.ready, chance.random() >= stalls)
            if valid and ready:
                line.append(byte)

    sim = Simulator(component)
    sim.add_clock(1e-6)
    sim.add_testbench(reply)
    sim.add_testbench(results, background=True)
    sim.add_testbench(take, background=True)
    sim.run()
    expected, left = b"", codes
    for tag, status, count in replies:
        expected += answer(
            tag, status, codes_to_bytes(np.array(left[:count]), edge) if count else b""
        )
        left = left[count:]
    assert bytes(line) == expected
