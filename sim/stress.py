"""What ordinary samples leave out: stalls, resets, short and whole sequences, the ends of formats,
and other codes inside."""

import numpy as np

from ssm_hdl import Manifest
from ssm_hdl.fixed import Codes
from ssm_hdl.sim.compare import Comparison, joined, judge
from ssm_hdl.sim.coverage import covered
from ssm_hdl.sim.extremes import extremes
from ssm_hdl.sim.verilated import VerilatedModel

FEW, LONG, SHORT = 8, 16, (1, 2, 3)
"""Time steps of the sequences of `stress`."""

WAVES = 6
"""Square waves of `stress`, each of twice the period, up to 32 steps high and 32 low:
states saturate in a slow one."""

FULL, PAUSES = 12, 8
"""Short sequences for a reader that pauses until nothing moves, and how often they run:
all queues are full then."""

RESETS = 64
"""Resets of `stress` at random cycles: what a register without one makes of it is seen if it comes
while that is set."""


def stress(manifest: Manifest, model: VerilatedModel, samples: Codes, seed: int = 0) -> Comparison:
    """What ordinary samples leave out: stalls, resets, short sequences,
    the least and the greatest code, a reader that pauses; then whole sequences,
    and stalls and other codes inside.

    Some million cycles, however many samples there are.

    Args:
        manifest: the integer program.
        model: its pipeline, compiled.
        samples: codes of the input format; of the first few, the first steps.
        seed: of the stalls, the cycle of the reset and the codes.
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
    if (linked := model.linked()) is not None:  # a netlist is too slow
        comparisons += extremes(manifest, linked, seed)
        comparisons += covered(manifest, linked, seed)
    return joined(comparisons)
