# amaranth: UnusedElaboratable=no
"""The search: the cheapest plan for an interval, the shortest interval at which a plan fits.

The integer program knows what stages and their adapters take. It does not know the queues of joins and of the ring, whose depth
depends on the pipeline as a whole, nor all of the latency. So a plan that it proposes is estimated as a whole, and compared with
others by its whole price.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf

from ssm_hdl import Manifest
from ssm_hdl.families import Device
from ssm_hdl.gateware.queue import BURST
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import Report, estimate
from ssm_hdl.gen.size.objective import NOTHING, Use, idle, price
from ssm_hdl.gen.size.options import FEW, Option, Options
from ssm_hdl.gen.size.program import Program
from ssm_hdl.gen.structure import Structure
from ssm_hdl.gen.timing import Timing

TRIES = 8
"""Solutions of the program that are estimated as a whole. It trades time for LUTs: a try takes up to 0.5 seconds."""

SPEEDS = (BURST, 4 * BURST)
"""How many times as fast as the interval asks results leave their queues, where the latency is bounded."""

MANY = 12
"""Multipliers that a stage may have though half of them would keep up, where the latency is bounded."""

SHORTER = 0.8
"""Ratio of the intervals that are tried where the latency is bounded. It trades LUTs for time, as the two above do."""


@dataclass(frozen=True)
class Candidate:
    """A plan, its report, and its price."""

    plan: Plan
    report: Report
    price: float


class Search:
    """The plans of one structure.

    Args:
        manifest: the integer program.
        structure: its stages.
        device: the device.
        budget: what a plan may take.
        folding: foldings that the caller decides, by stage.
        luts_multiply: see `Options`.
        progress: told the next attempt.
    """

    def __init__(
        self,
        manifest: Manifest,
        structure: Structure,
        device: Device,
        budget: Use,
        folding: Mapping[str, str],
        luts_multiply: bool = True,
        progress: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._progress = progress
        self.manifest, self.structure, self.device, self.budget = manifest, structure, device, budget
        self.bounded = budget.latency < inf
        self.options = Options(manifest, structure, device, budget.dsps, folding, luts_multiply, self.bounded)

    def fastest(self, most: float = inf) -> Candidate | None:
        """The cheapest of the plans with the fewest cycles per step, if those are at most ``most``."""
        intervals = [interval for interval in self.options.intervals if interval <= most]
        if not intervals or not self.feasible(intervals[-1]):
            return None
        low, high = 0, len(intervals) - 1  # what fits at an interval fits at a longer one
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.feasible(intervals[middle]) else (middle + 1, high)
        return self._cheapest(intervals[high])

    def feasible(self, interval: int) -> bool:
        """A plan fits that takes a step in ``interval`` cycles."""
        return any(next(self._fitting(interval, *each), None) for each in self._variants())

    def cheapest(self, interval: int) -> Candidate | None:
        """The cheapest plan that takes a step in at most ``interval`` cycles.

        A shorter interval costs more. It is tried where no plan at a longer one keeps the bound of the latency.
        """
        shorter = int(min(interval, self.budget.latency))
        while shorter >= self.options.intervals[0]:
            found = self._cheapest(shorter)
            if found is not None or not self.bounded:
                return found
            shorter = int(shorter * SHORTER)
        return None

    def least(self) -> Use:
        """The least that can be taken of each resource, at the longest interval."""
        options = self.options.at(self.options.intervals[-1])
        return Use(*(sum(min(option.use[what] for option in each) for each in options) for what in range(len(NOTHING))))

    def _cheapest(self, interval: int) -> Candidate | None:
        found = [candidate for each in self._variants() for candidate in self._fitting(interval, *each)]
        return min(found, key=lambda candidate: candidate.price, default=None)

    def _variants(self) -> list[tuple[int, int]]:
        """Speeds, and multipliers up to which none are too many."""
        return [(speed, MANY) for speed in SPEEDS] if self.bounded else [(BURST, FEW)]

    def _fitting(self, interval: int, speed: int, many: int) -> Iterator[Candidate]:
        """Plans that fit.

        Where the budget is short, what the program does not know is reserved. The reserve is raised by the overrun until a plan
        fits or the program has no solution, then bisected. Where a plan fits without a reserve, it is excluded and the next best
        is tried, until none can be cheaper.
        """
        if interval < self.options.intervals[0]:
            return
        options = self.options.at(interval, speed, many)
        program = Program([[option.use for option in each] for each in options], self.options.links(options, interval))
        reserve, little, enough = NOTHING, NOTHING, None
        excluded, best, least_rest = list[list[int]](), inf, inf
        shared = "" if self.structure.loop is None else ", layers sharing stages"
        for _ in range(TRIES):
            self._progress(f"{interval:,} cycles per step{shared}")
            answer = program.solve(self.budget.less(reserve), excluded)
            if answer is None:
                if reserve == NOTHING:
                    return
                enough = reserve
            else:
                picked, taken = answer
                candidate, whole = self._made([each[index] for each, index in zip(options, picked, strict=True)], interval)
                least_rest = min(least_rest, candidate.price - price(taken))
                if price(taken) + least_rest >= best:
                    return
                fits = whole.within(self.budget)
                if fits and candidate.report.cycles <= interval:
                    yield candidate
                    best = min(best, candidate.price)
                if not fits:
                    little = reserve
                elif reserve == NOTHING:
                    excluded.append(picked)
                    continue
                else:
                    enough = reserve
            if enough is None:
                reserve = _raised(reserve, whole, taken, self.budget)
            else:
                reserve = Use(*((a + b) / 2 for a, b in zip(little, enough, strict=True)))

    def _made(self, picked: Sequence[Option], interval: int) -> tuple[Candidate, Use]:
        """The plan of an option for each stage, and what it takes as a whole."""
        stages = {name: plan for option in picked for name, plan in option.stages.items()}
        plan = Plan(self.device.family, {name: stages[name] for name in self.structure.stages}, self.structure.loop is not None)
        report = estimate(self.manifest, plan, timed=False)
        if self.bounded:
            report = replace(report, latency_alone=Timing(Pipeline(self.manifest, plan)).latency_alone)
        whole = self.use_of(report, interval)
        return Candidate(plan, report, price(whole)), whole

    def use_of(self, report: Report, interval: int) -> Use:
        """What a pipeline takes of the device where time steps come every ``interval`` cycles."""
        busy = ((stage.dsp, stage.cycles * self.structure.share(stage.name, self.manifest.steps)) for stage in report.stages)
        idles = sum(idle(blocks, cycles, interval) for blocks, cycles in busy)
        rams = report.block_rams[self.options.family.costs]
        return Use(report.luts, report.flip_flops, report.dsp, rams, report.sprams, idles, report.latency_alone or 0)


def _raised(reserve: Use, whole: Use, taken: Use, budget: Use) -> Use:
    """The reserve, raised by what a plan takes beyond the program's sum of each resource that it exceeds."""
    return Use(*(
        total - part if total > limit else before
        for before, total, part, limit in zip(reserve, whole, taken, budget, strict=True)
    ))  # fmt: skip
