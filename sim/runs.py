"""What a pipeline did with a batch, and its interval and latency, whatever ran it."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ssm_hdl.fixed import Codes

_ROUND = 64  # time steps that go in one after the other, at the most
_MOST = 0.8  # of the rounds of time steps that are alike, for their cycles to be the interval


@dataclass(frozen=True)
class Run:
    """What a pipeline did with a batch; times are clock cycles from the start of the run.

    Attributes:
        outputs: codes of the output edge, (batch, steps, size), or (batch, size)
            if it comes once per sequence.
        last: the ``last`` that came with each of them, same shape.
        i_cycles: cycle in which each time step was taken whole, (batch, steps).
        o_cycles: cycle in which each packet of results had left, (batch, steps), or (batch,)
            for one per sequence.
        seconds: wall time that it took.
        inside: sum of the results of stages, of a design with links, see `ssm_hdl.sim.links`.
    """

    outputs: Codes
    last: np.ndarray[Any, np.dtype[np.bool_]]
    i_cycles: Codes
    o_cycles: Codes
    seconds: float
    inside: int = 0

    @property
    def cycles(self) -> int:
        """Cycles from the start to the last result."""
        return int(self.o_cycles.max(initial=-1)) + 1

    @property
    def interval(self) -> float:
        """Cycles per time step, from one step taken to the next, over the second half of the run;
        NaN below 4 steps.

        The mean over whole sequences, if their ends repeat. If not, over the time steps of a round
        that comes again and again: where layers share stages, several go in one after the other,
        then none for long. The end of a sequence may move a few.
        """
        if (period := _round(self.i_cycles[len(self.i_cycles) // 2 :, -1], 1.0)) is not None:
            return float(period / self.i_cycles.shape[1])
        transfers = self.i_cycles.ravel()[self.i_cycles.size // 2 :]
        # where all are alike, nothing else counts
        for share, longest in ((1.0, 4 * _ROUND), (_MOST, _ROUND)):
            if (period := _round(transfers, share, longest)) is not None:
                return float(period)
        return (
            float(transfers[-1] - transfers[0]) / (len(transfers) - 1)
            if len(transfers) > 1
            else math.nan
        )

    @property
    def latency(self) -> int:
        """Cycles from the last sample of a packet in to its last result out,
        the most of the second half of the run.

        Of a run of one time step it is `Timing.latency_alone`; of one without stalls that is long
        enough, `latency_full`.
        """
        transfers = self.i_cycles if self.o_cycles.ndim == 2 else self.i_cycles[:, -1]
        cycles = (self.o_cycles - transfers).ravel()
        return int(cycles[len(cycles) // 2 :].max(initial=0))


def _round(transfers: Codes, share: float, longest: int = _ROUND) -> Fraction | None:
    """Cycles from one to the next, over the fewest of which more than a share of the spans,
    or all, are alike."""
    for group in range(1, min(longest, len(transfers) // 2) + 1):
        spans = transfers[group:] - transfers[:-group]
        if share == 1.0 and spans[0] != spans[-1]:
            continue
        usual = np.median(spans)
        if float((spans == usual).mean()) >= share:
            return Fraction(float(usual)) / group
    return None
