# amaranth: UnusedElaboratable=no
"""The search: the cheapest plan for an interval, the shortest interval at which a plan fits.

The integer program knows what stages and their adapters take. It does not know the queues of joins
and of the ring, whose depth depends on the pipeline as a whole, nor all of the latency: the rest of
a pipeline. So a plan that it proposes is estimated as a whole, and compared with others
by its whole price.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf

from amaranth.hdl import unsigned

from ssm_hdl import Manifest
from ssm_hdl.families import Device
from ssm_hdl.gateware.fork import Fork
from ssm_hdl.gateware.queue import BURST
from ssm_hdl.gen.costs import rest_of
from ssm_hdl.gen.pipeline import Pipeline, entry_of
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.size.objective import NOTHING, Use, price
from ssm_hdl.gen.size.options import FEW, Option, Options
from ssm_hdl.gen.size.program import Program
from ssm_hdl.gen.structure import Structure
from ssm_hdl.gen.timing import Timing

SEEKS, TRIES = 8, 16
"""Solutions of the program that are estimated as a whole: until one fits,
and until the best that fits is known.

They trade time for LUTs: a try takes up to 0.5 seconds. Up to 15 are needed where all plans of
small pipelines were compared. Of the pipelines of ``manifests`` none became cheaper
between 8 tries and 64.
"""

SPEEDS = (BURST, 4 * BURST)
"""How many times as fast as the interval asks results leave their queues,
where the latency is bounded."""

MANY = 12
"""Multipliers that a stage may have though half of them would keep up,
where the latency is bounded."""

SHORTER = 0.8
"""Ratio of the intervals that are tried where the latency is bounded. It trades LUTs for time,
as the two above do."""


@dataclass(frozen=True)
class Candidate:
    """A plan.

    Attributes:
        plan: the plan.
        cycles: cycles per time step, see `Pipeline.bound`.
        use: what it takes; the latency is only known where it is bounded.
    """

    plan: Plan
    cycles: int
    use: Use

    @property
    def price(self) -> float:
        """What it costs."""
        return price(self.use)


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
        self.manifest, self.structure, self.device, self.budget = (
            manifest,
            structure,
            device,
            budget,
        )
        self.bounded = budget.latency < inf
        self.options = Options(
            manifest, structure, device, budget.dsps, folding, luts_multiply, self.bounded
        )

    def fastest(self, limit: float = inf) -> Candidate | None:
        """The cheapest of the plans with the fewest cycles per step,
        if those are at most ``limit``."""
        intervals = [interval for interval in self.options.intervals if interval <= limit]
        if not intervals or not self.feasible(intervals[-1]):
            return None
        low, high = 0, len(intervals) - 1  # what fits at an interval fits at a longer one
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if self.feasible(intervals[middle]) else (middle + 1, high)
        return self._cheapest(intervals[high])

    def feasible(self, interval: int) -> bool:
        """A plan fits that takes a step in ``interval`` cycles."""
        return any(next(self._fitting(interval, *variant), None) for variant in self._variants())

    def cheapest(self, interval: int, below: float = inf) -> Candidate | None:
        """The cheapest plan that takes a step in at most ``interval`` cycles,
        if its price is less than ``below``.

        A shorter interval costs more. It is tried where no plan at a longer one keeps the
        bound of the latency.
        """
        shorter = int(min(interval, self.budget.latency))
        while shorter >= self.options.intervals[0]:
            candidate = self._cheapest(shorter, below)
            if candidate is not None or not self.bounded:
                return candidate
            shorter = int(shorter * SHORTER)
        return None

    def without_rams(self) -> "Search":
        """The same where block RAMs have no limit."""
        options, budget = self.options, self.budget._replace(rams=inf)
        return Search(
            self.manifest,
            self.structure,
            self.device,
            budget,
            options.folding,
            options.luts_multiply,
            self._progress,
        )

    def least(self) -> Use:
        """The least that can be taken of each resource, at the longest interval."""
        options = self.options.at(self.options.intervals[-1])
        return Use(
            *(
                sum(min(option.use[what] for option in alternatives) for alternatives in options)
                for what in range(len(NOTHING))
            )
        )

    def _cheapest(self, interval: int, below: float = inf) -> Candidate | None:
        best = None
        for variant in self._variants():
            for best in self._fitting(interval, *variant, below):
                below = best.price
        return best

    def _variants(self) -> list[tuple[int, int]]:
        """Speeds, and multipliers up to which none are too many."""
        return [(speed, MANY) for speed in SPEEDS] if self.bounded else [(BURST, FEW)]

    def _fitting(
        self, interval: int, speed: int, many: int, below: float = inf
    ) -> Iterator[Candidate]:
        """Plans that fit, each cheaper than the one before, the first cheaper than ``below``.

        Where the budget is short, the rest of a pipeline needs a reserve. It is raised by the
        overrun until a plan fits or the program has no solution, then bisected. After that the
        program gives plan after plan, the cheapest first, until no other can be cheaper than the
        best: all take the least rest.
        """
        if interval < self.options.intervals[0]:
            return
        options = self.options.at(interval, speed, many)
        program = Program(
            [[option.use for option in alternatives] for alternatives in options],
            self.options.links(options, interval),
        )
        reserve, short, enough = NOTHING, NOTHING, None
        excluded, fits = list[list[int]](), False
        shared = "" if self.structure.loop is None else ", layers sharing stages"
        for attempt in range(TRIES):
            self._progress(f"{interval:,} cycles per step{shared}")
            answer = program.solve(self.budget.less(self._least_rest).less(reserve), excluded)
            if answer is None or price(answer[1].plus(self._least_rest)) >= below:
                if reserve == NOTHING:
                    return
                enough = reserve
            else:
                picked, use = answer
                excluded.append(picked)
                candidate = self._made(
                    [
                        alternatives[index]
                        for alternatives, index in zip(options, picked, strict=True)
                    ],
                    use,
                )
                if not candidate.use.within(self.budget):
                    short = reserve
                else:
                    enough = reserve
                    if candidate.price < below and candidate.cycles <= interval:
                        fits, below = True, candidate.price
                        yield candidate
            if attempt >= SEEKS and not fits:
                return
            if attempt >= SEEKS or enough == NOTHING:
                reserve = NOTHING
            elif enough is None:
                reserve = _raised(reserve, candidate.use, use.plus(self._least_rest), self.budget)
            else:
                reserve = Use(*((a + b) / 2 for a, b in zip(short, enough, strict=True)))

    def _made(self, picked: Sequence[Option], use: Use) -> Candidate:
        """The plan of an option for each stage; ``use`` is what these take with their adapters."""
        stages = {name: plan for option in picked for name, plan in option.stages.items()}
        stages = {name: stages[name] for name in self.structure.stages}
        shared, luts_below = self.structure.loop is not None, self.structure.memories.luts_below
        plan = Plan(self.device.family, stages, shared, luts_below)
        pipeline = Pipeline(self.manifest, plan)
        whole = use.plus(rest_of(pipeline.network.components.values(), plan.family))
        if self.bounded:
            whole = whole._replace(latency=Timing(pipeline).latency_alone)
        return Candidate(plan, pipeline.bound, whole)

    @cached_property
    def _least_rest(self) -> Use:
        """What forks and the queue of the samples take, in every pipeline of the structure."""
        readers = [self.structure.readers(stream) for stream in self.structure.edges]
        forks = [Fork(unsigned(1), 1, number) for number in readers if number > 1]
        return rest_of(
            [entry_of(self.manifest, self.structure.memories), *forks], self.device.family
        )


def _raised(reserve: Use, whole: Use, priced: Use, budget: Use) -> Use:
    """The reserve, raised by what a plan takes beyond the program's sum of each resource
    that it exceeds."""
    return Use(*(
        total - part if total > limit else before
        for before, total, part, limit in zip(reserve, whole, priced, budget, strict=True)
    ))  # fmt: skip
