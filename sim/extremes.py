"""Whole sequences, every code of the input, and packets of every magnitude:
sums over time come to their ends, and tables are read in all their cells."""

import itertools
import math
from collections.abc import Iterator

import numpy as np

from ssm_hdl import Manifest
from ssm_hdl.fixed import Codes
from ssm_hdl.sim.compare import Comparison
from ssm_hdl.sim.coverage import LONG
from ssm_hdl.sim.inside import compared
from ssm_hdl.sim.links import BITS, NO_LINKS, Links
from ssm_hdl.sim.verilated import VerilatedModel

FIRST, PACKETS, CODES = 16, 256, 1 << 14
"""Packets that show how fast it is; packets of many magnitudes; most codes that come in turn."""

RUNS, SEQUENCES, OTHERS = 48, 4, 3
"""Runs of long sequences, most with other bits inside. In two of three all steps are alike, since
means come to the ends of their format only then. Most sequences of a run;
lengths between `LONG` and the most steps."""

BUDGET = 1 << 20
"""Cycles from which no other sequence begins, and after which a longer one ends."""


def extremes(manifest: Manifest, model: VerilatedModel, seed: int) -> Iterator[Comparison]:
    """Compare a pipeline, run by run.

    Args:
        manifest: the integer program.
        model: its pipeline, with links: the results of its stages are compared too,
            and some of their bits inverted in long sequences.
        seed: of samples and masks.
    """
    dice, cycles, steps = np.random.default_rng(seed), 0, 0

    def run(samples: Codes, links: Links = NO_LINKS) -> Comparison:
        nonlocal cycles, steps
        done = model.run(samples, links=links)
        cycles, steps = cycles + done.cycles, steps + samples.shape[0] * samples.shape[1]
        return compared(manifest, model, samples, done, links)

    packets = _magnitudes(manifest, dice)
    yield run(_in_sequences(packets[:FIRST], manifest.steps))
    for more in (packets[FIRST:], _codes(manifest)):
        if len(more) * cycles <= BUDGET * steps:
            yield run(_in_sequences(more, manifest.steps))
    most = max(1, min(manifest.steps, BUDGET * steps // cycles))
    lengths = (most, most, *dice.integers(min(LONG, most), most, OTHERS, endpoint=True).tolist())
    for index, length in zip(range(RUNS), itertools.cycle(lengths), strict=False):
        mask = int(dice.integers(0, 1 << BITS, dtype=np.uint64)) if index >= len(lengths) else 0
        count = BUDGET * steps // (cycles * length * RUNS)
        count, free = max(1, min(SEQUENCES, count)), index % 3 == 2
        samples = _random(manifest, dice, count * (length if free else 1))
        samples = samples.reshape(count, -1, manifest.input.size).repeat(1 if free else length, 1)
        if index < 2:
            samples[0] = (manifest.input.format.min, manifest.input.format.max)[index]
        if cycles < BUDGET:
            yield run(samples, Links(mask, turns=free) if model.design.masks else NO_LINKS)


def _random(manifest: Manifest, dice: np.random.Generator, count: int) -> Codes:
    format = manifest.input.format
    return dice.integers(format.min, format.max, (count, manifest.input.size), endpoint=True)


def _magnitudes(manifest: Manifest, dice: np.random.Generator) -> Codes:
    """Packets with a few large numbers, with many small ones, and all between."""
    codes, width = _random(manifest, dice, PACKETS), manifest.input.format.width
    low = dice.integers(0, width, (PACKETS, 1))
    kept = dice.random((PACKETS, manifest.input.size)) < dice.random((PACKETS, 1)) ** 2
    first = np.arange(manifest.input.size) == dice.integers(manifest.input.size, size=(PACKETS, 1))
    return np.where(kept | first, codes >> low, 0)


def _codes(manifest: Manifest) -> Codes:
    """All codes of the input in turn, or some if there are very many; each number has its own."""
    format, size = manifest.input.format, manifest.input.size
    count = min(1 << format.width, CODES)
    place = np.arange(count)[:, np.newaxis] + np.arange(size) * (count // size + 1)
    spread = (place % count) * ((1 << format.width) // count)
    return spread + format.min


def _in_sequences(packets: Codes, most: int) -> Codes:
    """Sequences of as many packets, the last one filled up."""
    steps = min(most, math.isqrt(len(packets)))
    missing = -len(packets) % steps
    return np.concatenate([packets, packets[:missing]]).reshape(-1, steps, packets.shape[-1])
