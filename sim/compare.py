"""RTL against the golden model, by equality of every element of the output."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ssm_hdl import Manifest
from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.links import Links, masked
from ssm_hdl.sim.verilated import Run, VerilatedModel

NO_MASKS: Mapping[str, int] = MappingProxyType({})
"""Of a pipeline as it is."""

FEW, LONG, SHORT = 8, 16, (1, 2, 3)
"""Time steps of the sequences of `stress`."""

WAVES = 6
"""Square waves of `stress`, each of twice the period, up to 32 steps high and 32 low:
states saturate in a slow one."""

FULL, PAUSES = 12, 8
"""Short sequences for a reader that pauses until nothing moves, and how often they run:
all queues are full then."""

INSIDE, MOST = 1 << 19, 128
"""Cycles and runs of `stress` with stalls and other codes inside:
enough for most words of the tables of a small pipeline."""

WHOLE = 64
"""Time steps of its sequences without stalls, at most: a mean overflows only in a long one."""

PERIODS, CHANCES = (1, 4, 16), (0.25, 0.5, 0.75)
"""Cycles between new stalls inside, and their chance: in the long ones some queues run full
and others empty."""

RESETS = 64
"""Resets of `stress` at random cycles: what a register without one makes of it is seen if it comes
while that is set."""


@dataclass(frozen=True)
class Comparison:
    """How a compiled pipeline compares with the golden model.

    Attributes:
        sequences: sequences compared.
        elements: elements of the output edge compared.
        differences: elements with another code, or with another ``last``.
        first: the first difference in words, or nothing.
        cycles: clock cycles simulated.
        interval: cycles per time step, see `Run.interval`.
        latency: cycles from the last sample of a time step in to its last result out, the most,
            see `Run.latency`.
        cycles_per_second: speed of the simulation.
        stress: the comparison under `stress`, if there was one.
    """

    sequences: int
    elements: int
    differences: int
    first: str
    cycles: int
    interval: float
    latency: int
    cycles_per_second: float
    stress: "Comparison | None" = None

    @property
    def equal(self) -> bool:
        """Whether nothing differs, under stress either."""
        return not self.differences and (self.stress is None or self.stress.equal)


def compare(
    manifest: Manifest,
    model: VerilatedModel,
    samples: Codes,
    progress: Callable[[int], None] | None = None,
    *,
    stalls: float = 0.0,
    seed: int = 0,
    jobs: int = 1,
) -> Comparison:
    """Run a batch through the pipeline and the golden model, and compare the results.

    Args:
        manifest: the integer program.
        model: its pipeline, compiled.
        samples: codes of the input format, integers of shape (batch, steps, size),
            at least one sequence.
        progress: called with the number of sequences that the pipeline has done since the last
            call, from any thread.
        stalls: chance of a stall in every cycle, at both ends.
        seed: of these chances.
        jobs: threads to run parts of the batch in, each on its own instance of the pipeline.

    Raises:
        SsmHdlError: samples that the manifest does not take; a pipeline that is stuck or breaks the
            rules of streams.
    """
    samples = manifest.check_samples(samples)
    parts = np.array_split(samples, max(1, min(jobs, len(samples))))

    def simulate(part: int) -> Run:
        # stalls of its own for each part
        return model.run(parts[part], progress, stalls=stalls, seed=seed + part)

    with ThreadPoolExecutor(len(parts)) as pool:
        runs = list(pool.map(simulate, range(len(parts))))
    return judge(manifest, samples, runs)


def stress(
    manifest: Manifest,
    model: VerilatedModel,
    samples: Codes,
    seed: int = 0,
    *,
    inside: VerilatedModel | None = None,
) -> Comparison:
    """What ordinary samples leave out: stalls, resets, short sequences,
    the least and the greatest code, a reader that pauses; then stalls and other codes inside.

    About a thousand time steps, however many samples there are.

    Args:
        manifest: the integer program.
        model: its pipeline, compiled.
        samples: codes of the input format; of the first few, the first steps.
        seed: of the stalls, the cycle of the reset and the codes.
        inside: the same pipeline with links, for what happens inside; without it nothing does.
    """
    dice, edge = np.random.default_rng(seed), manifest.input
    ends = np.array([edge.format.min, edge.format.max])
    few, long = manifest.check_samples(samples)[:2, :FEW], min(manifest.steps, LONG)
    parts = [dice.choice(ends, (2, min(steps, manifest.steps), edge.size)) for steps in SHORT]
    parts += [
        few,
        dice.choice(ends, (2, long, edge.size)),
        np.broadcast_to(ends[:, None, None], (2, long, edge.size)),
    ]
    wave = np.arange(min(manifest.steps, 1 << WAVES)) >> np.arange(WAVES)[:, None] & 1
    waves = np.broadcast_to(ends[wave][..., None], (*wave.shape, edge.size))
    full = np.random.default_rng(seed).choice(
        ends, (FULL, min(manifest.steps, SHORT[-1]), edge.size)
    )
    comparisons = []
    disturbed = [
        *((part, 1, 0) for part in parts),
        (waves, 0, 0),
        (full, 0, PAUSES),
        (full[:4, :1], RESETS, 0),
    ]
    for part, resets, pauses in disturbed:
        runs = [whole := model.run(part)]
        for index, reset in enumerate(dice.integers(1, whole.cycles, resets + pauses)):
            stalls, pause = 0.5 * (resets < RESETS), whole.latency * (index < pauses)
            runs.append(
                model.run(
                    part, stalls=stalls, pause=pause, seed=seed + index, reset_after=int(reset)
                )
            )
        comparisons.append(judge(manifest, np.concatenate([part] * len(runs)), runs))
    if inside is not None:
        comparisons += _inside(manifest, inside, seed)
    return joined(comparisons)


def _inside(manifest: Manifest, model: VerilatedModel, seed: int) -> Iterator[Comparison]:
    """Other codes at the links inside, with any samples, one sample for ever,
    or stalls at the links; see `ssm_hdl.sim.links`."""
    dice, edge, cycles = np.random.default_rng(seed), manifest.input, 0
    for index in range(MOST):
        stalled, held = index % 2 == 1, index % 4 == 2
        steps = min(manifest.steps, (*SHORT, LONG)[index // 2 % 4] if stalled else WHOLE)
        shape = (1 + stalled, 1 if held else steps, edge.size)
        part = dice.integers(edge.format.min, edge.format.max, shape, endpoint=True).repeat(
            steps if held else 1, 1
        )
        # the more, the fewer bits are inverted
        draws = dice.integers(0, 1 << 64, 1 + index % 3, np.uint64)
        links, reset = Links(int(np.bitwise_and.reduce(draws))), None
        if stalled:
            links = replace(
                links, stalls=float(dice.choice(CHANCES)), period=int(dice.choice(PERIODS))
            )
            reset = int(dice.integers(1, 2048))
        done = model.run(part, seed=seed + index, links=links, reset_after=reset)
        yield judge(manifest, part, [done], model.design.masks)
        cycles += done.cycles
        if cycles >= INSIDE:
            return


def joined(parts: Sequence[Comparison]) -> Comparison:
    """The comparisons of several batches as one; the interval comes from the batch
    that took longest."""
    return Comparison(
        sequences=sum(part.sequences for part in parts),
        elements=sum(part.elements for part in parts),
        differences=sum(part.differences for part in parts),
        first=next((part.first for part in parts if part.first), ""),
        cycles=sum(part.cycles for part in parts),
        interval=max(parts, key=lambda part: part.cycles).interval,
        latency=max(part.latency for part in parts),
        cycles_per_second=parts[0].cycles_per_second,
    )


def judge(
    manifest: Manifest, samples: Codes, runs: Sequence[Run], masks: Mapping[str, int] = NO_MASKS
) -> Comparison:
    """Compare the results of pipelines for the parts of a batch, in order,
    with the golden model's results for all of it.

    Args:
        manifest: the integer program.
        samples: codes of the input format.
        runs: of its parts; all have one mask.
        masks: where it acts, see `Design.masks`.
    """
    outputs, last = (
        np.concatenate([run.outputs for run in runs]),
        np.concatenate([run.last for run in runs]),
    )
    mask = runs[0].mask

    def change(node: Node, codes: Codes) -> Codes:
        return (
            masked(codes, node.output.format, mask, masks[node.name])
            if node.name in masks
            else codes
        )

    expected = run(manifest, samples, change=change if mask else None).outputs
    expected_last = np.ones(expected.shape, bool)
    if not manifest.output.per_sequence:
        expected_last[:, :-1] = False
    differ = (outputs != expected) | (last != expected_last)
    return Comparison(
        sequences=len(samples),
        elements=expected.size,
        differences=int(np.count_nonzero(differ)),
        first=_first(manifest, differ, outputs, expected),
        cycles=sum(run.cycles for run in runs),
        interval=runs[0].interval,
        latency=max(run.latency for run in runs),
        cycles_per_second=sum(run.cycles / run.seconds for run in runs),
    )


def _first(
    manifest: Manifest, differ: np.ndarray[Any, Any], outputs: Codes, expected: Codes
) -> str:
    if not differ.any():
        return ""
    place = tuple(np.argwhere(differ)[0])
    names = (
        ("sequence", "element") if manifest.output.per_sequence else ("sequence", "step", "element")
    )
    where = ", ".join(f"{name} {index}" for name, index in zip(names, place, strict=True))
    if outputs[place] == expected[place]:
        return f"{where}: `last` is wrong"
    return f"{where}: the pipeline says {outputs[place]}, the golden model {expected[place]}"
