# amaranth: UnusedElaboratable=no
"""``make soak-shell``: the shell of random models, with frames that are whole and frames that are
not, and a reset at any time.

Each round draws a model, the divisor of its line and its pauses from the number of the round.
What comes back is compared byte by byte with what `Host` expects, which reads the bytes of the
line by the text of `ssm_hdl.boards.protocol` alone. A run goes on where the results end.
"""

import argparse
import binascii
import json
import math
import time
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
from random_graphs import random_manifest

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.boards.protocol import (
    PART,
    REQUEST,
    Status,
    answer,
    codes_to_bytes,
    element_bytes,
    frame_steps,
    request,
)
from ssm_hdl.boards.shell import shell_verilog
from ssm_hdl.files import update_json
from ssm_hdl.fingerprint import fingerprint
from ssm_hdl.fixed import Codes
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.timing import Timing
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.pins import Pins

FRAMES = 50_000
"""Of a round."""

BYTES, CYCLES = 40, 2000
"""Most bytes of the samples or the results of a sequence, and most cycles that it takes."""

SEQUENCES = 256
"""That a round chooses from."""

PATIENCE = 1 << 20
"""Cycles after which a board that is busy hangs."""


class Host:
    """What a board has to say to bytes that come in one burst.

    Args:
        manifest: of its model.
    """

    def __init__(self, manifest: Manifest) -> None:
        edge, self.model = manifest.input, fingerprint(manifest)
        self.format, self.bytes = edge.format, element_bytes(edge)
        self.step, self.most = edge.size * self.bytes, frame_steps(manifest)
        self.first = (REQUEST,) if manifest.output.per_sequence else (REQUEST, PART)

    def expects(self, burst: bytes) -> list[tuple[int, Status]]:
        """Tags and statuses of the answers."""
        begin = next((at for at, byte in enumerate(burst) if byte in self.first), len(burst))
        frame = burst[begin:]
        if len(frame) < 6:
            return [(0, Status.BROKEN_OFF)]
        tag, end = frame[1], 6 + int.from_bytes(frame[4:6], "little")
        if len(frame) < end + 2:
            return [(tag, Status.BROKEN_OFF)]
        status = self._judge(frame[:end], frame[end : end + 2])
        more = status is Status.OK and len(frame) > end + 2
        return [(tag, status), *[(tag, Status.OVERRUN)] * more]

    def _judge(self, frame: bytes, check: bytes) -> Status:
        samples = frame[6:]
        numbers = [
            int.from_bytes(samples[at : at + self.bytes], "little", signed=self.format.signed)
            for at in range(0, len(samples), self.bytes)
        ]
        if binascii.crc_hqx(frame, 0xFFFF) != int.from_bytes(check, "little"):
            return Status.DAMAGED
        if int.from_bytes(frame[2:4], "little") != self.model:
            return Status.OTHER_MODEL
        if len(samples) % self.step or not 0 < len(samples) <= self.most * self.step:
            return Status.BAD_LENGTH
        if any(not self.format.min <= number <= self.format.max for number in numbers):
            return Status.OUT_OF_RANGE
        return Status.OK


class Talk:
    """Sequences in one part or several, and what disturbs them."""

    def __init__(self, dice: Random, manifest: Manifest) -> None:
        self.dice, self.manifest, self.host = dice, manifest, Host(manifest)
        edge, numbers = manifest.input, np.random.default_rng(dice.randrange(1 << 32))
        self.samples = numbers.integers(
            edge.format.min, edge.format.max + 1, (SEQUENCES, manifest.steps, edge.size)
        )
        self.results: dict[tuple[int, int], Codes] = {}
        self.begin()

    def begin(self) -> None:
        """Choose the next sequence."""
        self.number = self.dice.randrange(SEQUENCES)
        self.length, self.sent = self.dice.randint(1, self.manifest.steps), 0

    def part(self) -> tuple[bytes, bytes]:
        """The next frame, and the bytes of its results."""
        manifest, whole = self.manifest, self.manifest.output.per_sequence
        most = min(self.length - self.sent, frame_steps(manifest))
        steps = self.length if whole else self.dice.randint(1, most)
        end = self.sent + steps
        samples, last = self.samples[self.number, self.sent : end], end == self.length
        wanted = self._golden() if whole else self._golden()[self.sent : end]
        self.sent = end
        tag, data = self.dice.randrange(256), codes_to_bytes(samples, manifest.input.format)
        frame = request(tag, self.host.model, data, REQUEST if last else PART)
        if last:
            self.begin()
        return frame, codes_to_bytes(wanted, manifest.output.format)

    def _golden(self) -> Codes:
        """The results of the sequence: of all its steps, or its only one."""
        key = self.number, self.length
        if key not in self.results:
            samples = self.samples[self.number, : self.length]
            self.results[key] = run(self.manifest, samples[None]).outputs[0]
        return self.results[key]

    def wrong(self) -> bytes:
        """Bytes in which no frame is right."""
        while True:
            burst = self._spoilt()
            if all(status is not Status.OK for _, status in self.host.expects(burst)):
                return burst

    def _spoilt(self) -> bytes:
        dice, edge = self.dice, self.manifest.input
        steps = dice.randint(0, self.host.most + 1)
        samples = self.samples[dice.randrange(SEQUENCES), np.arange(steps) % self.manifest.steps]
        data = bytearray(codes_to_bytes(samples, edge.format))
        kind = dice.randrange(6)
        if kind == 0:
            return dice.randbytes(dice.randint(1, 12))
        if kind == 1 and data:  # in the range of its bytes, and perhaps not of its format
            data[dice.randrange(len(data))] = dice.randrange(256)
        if kind == 2:
            data += dice.randbytes(dice.randint(1, 3))
        model = self.host.model ^ (1 << dice.randrange(16) if kind == 3 else 0)
        first = dice.choice([REQUEST, PART])
        frame = bytearray(request(dice.randrange(256), model, bytes(data), first))
        if kind == 4:
            frame[dice.randrange(len(frame))] ^= 1 << dice.randrange(8)
        if kind == 5:
            frame = frame[: dice.randrange(1, len(frame))]
        return bytes(frame)


def drawn(number: int) -> tuple[Random, Manifest, Plan, int]:
    """Choices, a model that is small and quick enough, its hardware,
    and cycles that are enough for a sequence."""
    dice = Random(f"shell {number}")
    while True:
        manifest = random_manifest(dice, dice.choice([4, 6, 12]))
        i, o = manifest.input, manifest.output
        packets = 1 if o.per_sequence else manifest.steps
        sizes = (manifest.steps * i.size * element_bytes(i), packets * o.size * element_bytes(o))
        if manifest.feeds_back or max(sizes) > BYTES:
            continue
        try:
            pipeline = Pipeline(manifest, plan_for(manifest).plan)
        except SsmHdlError:  # it takes more multipliers than there are
            continue
        timing = Timing(pipeline)
        work = math.ceil(timing.cycles * manifest.steps) + timing.latency_full
        if work < CYCLES and not pipeline.sprams:
            return dice, manifest, pipeline.plan, work


def conversed(number: int, cache: Path | None = None, frames: int = FRAMES) -> Counter[str]:
    """Counts of a round.

    Raises:
        AssertionError: the board says anything but what is expected; the message tells it.
    """
    dice, manifest, plan, work = drawn(number)
    divisor, timeout = dice.randint(4, 6), dice.choice([128, 256])
    verilog = shell_verilog(manifest, plan, divisor, timeout)
    pins, talk = Pins(verilog, "shell", divisor, cache=cache), Talk(dice, manifest)
    counts, quiet = Counter[str](models=1), 2 * timeout + 20 * divisor
    for _ in range(frames):
        wrong, results = dice.random() < 0.4, b""
        burst = talk.wrong() if wrong else b""
        if not wrong:
            burst, results = talk.part()
            burst += dice.randbytes(dice.choice([0] * 9 + [1, 2, 4]))
        replies = talk.host.expects(burst)
        wanted = b"".join(
            answer(tag, status, results if status is Status.OK else b"") for tag, status in replies
        )
        lines = 10 * divisor * (len(burst) + len(wanted) + 1)
        length = lines + quiet * (len(replies) - (not wrong)) + work * (not wrong)
        if dice.random() < 0.01:
            rest, _, _ = pins.run(dice.randrange(length), burst)
            pins.reset(True)
            pins.run(dice.randint(1, 30))
            pins.reset(False)
            pins.run(10 * divisor * len(rest) + quiet, rest[: dice.randint(0, len(rest))])
            settled(pins, quiet)
            talk.begin()
            counts["resets"] += 1
            continue
        _, came, busy = pins.run(length, burst)
        came += settled(pins, quiet) if busy else b""
        assert came == wanted, (number, counts, burst.hex(), came.hex(), wanted.hex())
        counts["frames"] += 1
        counts.update(status.name.lower() for _, status in replies)
    pins.close()
    return counts + Counter(cycles=pins.cycles)


def settled(pins: Pins, quiet: int) -> bytes:
    """Run until the board has nothing more to do; what it says."""
    said, began = b"", pins.cycles
    while True:
        _, came, busy = pins.run(quiet)
        said += came
        if not busy:
            return said
        assert pins.cycles - began < PATIENCE, "it hangs"


def main() -> None:
    """Run rounds until there are as many frames as asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--frames", type=float, default=1e7, help="those of earlier runs included")
    asked = parser.parse_args()
    rows = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.exists() else {}
    counts, began = Counter[str](rows.get("shell", {})), time.monotonic()
    while counts["frames"] < asked.frames:
        counts += conversed(counts["models"])
        update_json(asked.out, {"shell": dict(sorted(counts.items()))})
        took = time.monotonic() - began
        print(f"{counts['frames']:,} frames, {counts['cycles']:,} cycles, {took:.0f} s", flush=True)


if __name__ == "__main__":
    main()
