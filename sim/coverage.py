"""Stalls and other codes at the links inside a pipeline, see `ssm_hdl.sim.links`,
until every word of the tables of lookups has been read."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ssm_hdl import Manifest
from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Lookup
from ssm_hdl.sim.compare import Comparison
from ssm_hdl.sim.inside import compared
from ssm_hdl.sim.links import Links, Place, with_bits
from ssm_hdl.sim.verilated import VerilatedModel


class Kind(NamedTuple):
    """A kind of run.

    Attributes:
        sequences: how many.
        steps: time steps of each, at most.
        held: all time steps have the same sample.
        stalled: links hold beats back, and a reset comes at a random cycle.
    """

    sequences: int
    steps: int
    held: bool = False
    stalled: bool = False


ROUND = (
    Kind(64, 1),
    Kind(2, 1, stalled=True),
    Kind(32, 2),
    Kind(2, 2, stalled=True),
    Kind(1, 64),  # a mean overflows only in a long sequence
    Kind(32, 3),
    Kind(2, 3, stalled=True),
    Kind(64, 1),
    Kind(2, 16, stalled=True),
    Kind(16, 64, held=True),  # as many means
)
"""Runs that come again and again."""

LONG = 16
"""Steps from which all numbers of a stage are changed alike: a mean needs it to come far."""

READS = 4
"""Runs that read a word until it counts as read."""

LEAST, MOST = (1 << 20, 128), (1 << 22, 1024)
"""Cycles and runs after which it is enough where all words have been read, and where not:
no code of the formats may lead to some."""

PERIODS, CHANCES = (1, 4, 16), (0.25, 0.5, 0.75)
"""Cycles between new stalls, and their chance: in the long ones some queues run full
and others empty."""


def covered(manifest: Manifest, model: VerilatedModel, seed: int) -> Iterator[Comparison]:
    """Compare a pipeline with links, run by run.

    Args:
        manifest: the integer program.
        model: its pipeline, with links.
        seed: of samples, masks and stalls.
    """
    dice, edge, cycles = np.random.default_rng(seed), manifest.input, 0
    coverage = _Coverage(manifest, model.design.masks or {})
    for index in range(MOST[1]):
        kind = ROUND[index % len(ROUND)]
        steps = min(manifest.steps, kind.steps)
        shape = (kind.sequences, 1 if kind.held else steps, edge.size)
        samples = dice.integers(edge.format.min, edge.format.max, shape, endpoint=True)
        samples = samples.repeat(steps if kind.held else 1, 1)
        # the more, the fewer bits are inverted
        draws = dice.integers(0, 1 << 64, 1 + index % 3, np.uint64)
        mask, turns = int(np.bitwise_and.reduce(draws)), steps < LONG and bool(dice.integers(2))
        links, reset = Links(coverage.aimed(mask, turns, dice), turns), None
        if kind.stalled:
            chance, period = float(dice.choice(CHANCES)), int(dice.choice(PERIODS))
            links, reset = replace(links, stalls=chance, period=period), int(dice.integers(1, 2048))
        done = model.run(samples, seed=seed + index, links=links, reset_after=reset)
        coverage.note(edge.name, samples, samples)
        yield compared(manifest, model, samples, done, links, coverage.note)
        cycles += done.cycles
        most_cycles, most_runs = MOST if coverage.left else LEAST
        if cycles >= most_cycles or index + 1 >= most_runs:
            return


class _Coverage:
    """Words of the tables of lookups, and in how many runs each has still to be read."""

    def __init__(self, manifest: Manifest, masks: Mapping[str, Place]) -> None:
        self.masks = masks
        self.readers: dict[str, list[str]] = {}
        self.unread: dict[str, Codes] = {}
        self.codes: dict[str, Codes] = {}
        for node in manifest.nodes.values():
            if isinstance(node.op, Lookup):
                self.readers.setdefault(node.inputs[0].name, []).append(node.name)
                self.unread[node.name] = np.full(len(node.arrays["table"]), READS)

    @property
    def left(self) -> bool:
        """Whether there are any."""
        return any((unread > 0).any() for unread in self.unread.values())

    def note(self, edge: str, codes: Codes, read: Codes) -> None:
        """The codes of an edge, and what is read in their place."""
        if readers := self.readers.get(edge):
            self.codes[edge], words = codes.reshape(-1, codes.shape[-1]), np.unique(read)
            for reader in readers:
                self.unread[reader][words & len(self.unread[reader]) - 1] -= 1

    def aimed(self, mask: int, turns: bool, dice: np.random.Generator) -> int:
        """The mask with other bits for the tables, so that a code that came in the last run
        reads a word that is left."""
        for source, codes in self.codes.items():
            for reader in self.readers[source]:
                words = np.flatnonzero(self.unread[reader] > 0)
                if source in self.masks and words.size:
                    most = len(self.unread[reader]) - 1
                    packet, number = (int(dice.integers(count)) for count in codes.shape)
                    flipped = int((dice.choice(words) ^ codes[packet, number]) & most)
                    place = self.masks[source]
                    start = place.start(packet, number) if turns else place.first
                    mask = with_bits(mask, start, most, flipped)
        return mask
