"""One option for each stage, at the least cost within a budget: exact, by an integer program."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp


class Use(NamedTuple):
    """What something takes of a device, or what there is to take.

    Attributes:
        luts: LUT4s; on the iCE40 logic cells.
        flip_flops: flip-flops; of an iCE40 not to be counted, since each is in a logic cell.
        dsps: DSP blocks.
        rams: block RAMs.
        sprams: SPRAMs of an iCE40 UP5K.
        idle: DSP blocks, as far as they have nothing to do.
        wait: intervals that a time step waits longer for its result.
    """

    luts: float
    flip_flops: float
    dsps: float
    rams: float
    sprams: float = 0
    idle: float = 0
    wait: float = 0

    def plus(self, other: "Use") -> "Use":
        """Both together."""
        return Use(*(a + b for a, b in zip(self, other, strict=True)))

    def less(self, other: "Use") -> "Use":
        """What is left of it beside the other."""
        return Use(*(a - b for a, b in zip(self, other, strict=True)))

    def within(self, other: "Use") -> bool:
        """The other is enough for it."""
        return all(a <= b for a, b in zip(self, other, strict=True))


NOTHING = Use(0, 0, 0, 0)


def pareto(uses: Sequence[Use]) -> list[int]:
    """Indices of the options that no other one beats or equals in everything."""
    kept: list[int] = []
    for index in sorted(range(len(uses)), key=lambda index: uses[index]):
        if not any(uses[other].within(uses[index]) for other in kept):
            kept.append(index)
    return kept


def choose(options: Sequence[Sequence[Use]], budget: Use, prices: Use) -> list[int] | None:
    """The index of the option for each stage with which all together cost the least; None if nothing fits the budget.

    Args:
        options: what each option of each stage takes.
        budget: what all may take.
        prices: what one of each costs.
    """
    uses = np.array([use for each in options for use in each])
    stage = np.repeat(np.arange(len(options)), [len(each) for each in options])
    one_each = LinearConstraint((stage == np.arange(len(options))[:, np.newaxis]).astype(float), 1, 1)
    fits = LinearConstraint(uses.T, -np.inf, np.array(budget))
    cost = uses @ np.array(prices)
    answer = milp(cost, constraints=[one_each, fits], integrality=np.ones(len(uses)), bounds=Bounds(0, 1))
    if answer.x is None:
        return None
    picked = np.flatnonzero(answer.x > 0.5)
    firsts = np.searchsorted(stage, np.arange(len(options)))
    return [int(index - first) for index, first in zip(picked, firsts, strict=True)]
