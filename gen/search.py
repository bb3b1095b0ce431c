"""The search of the sizer: the cheapest plan for an interval, the shortest interval that fits."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

from ssm_hdl import Manifest
from ssm_hdl.gateware.folding import Folding
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.memories import shape_for
from ssm_hdl.gateware.queue import BURST
from ssm_hdl.gateware.stream import reals
from ssm_hdl.gen.costs import Taken, spram_choices, use_of
from ssm_hdl.gen.devices import Device
from ssm_hdl.gen.knapsack import NOTHING, Use, choose, pareto
from ssm_hdl.gen.options import FEW, Choice, intervals, units
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.prices import price, prices, total
from ssm_hdl.gen.report import Report, estimate
from ssm_hdl.gen.stage_plan import StagePlan, passes, plan_stage
from ssm_hdl.gen.structure import Structure

FILL = {"ice40": 0.85, "ecp5": 0.9}
"""Share of the LUTs, and of the flip-flops, of a device that a plan may take: with more, place and route does not get through, or
not at a good clock."""

BURSTS = (BURST, 2 * BURST)
"""How many times as fast as the interval asks packets may go through element-wise stages."""

_MANY = 40
"""Multipliers that are too many for any stage that would keep up with half of them."""

_LUTS = 100  # of a multiplier, with what is around it

_TRIES = 6  # to find out what to keep for what stands between the stages

_SPARE_RAMS = {"ice40": 1, "ecp5": 0}  # nextpnr places the last of 30 block RAMs in hours, if at all


class Search:
    """The plans of one structure.

    Args:
        manifest: the integer program.
        structure: its stages.
        device: the device.
        dsp: DSP blocks to spend; all if None.
        folding: foldings that the caller decides, by stage.
        reserve: what to leave for others on the device.

    Attributes:
        budget: what a plan may take.
        units: what there is to choose.
    """

    def __init__(
        self,
        manifest: Manifest,
        structure: Structure,
        device: Device,
        dsp: int | None,
        folding: Mapping[str, str],
        reserve: Use,
    ) -> None:
        self.manifest, self.structure, self.device = manifest, structure, device
        fill = FILL[device.family]
        luts = fill * device.luts - reserve.luts
        flip_flops = float("inf") if device.flip_flops is None else fill * device.flip_flops - reserve.flip_flops
        dsps = device.dsps - reserve.dsps if dsp is None else min(dsp, device.dsps - reserve.dsps)
        rams = device.rams - reserve.rams - _SPARE_RAMS[device.family]
        self.budget = Use(luts, flip_flops, dsps, rams, device.sprams, float("inf"), float("inf"))
        self.prices = prices(device, sum(layers.count for layers in structure.stages.values() if layers.node.op.op == "scan"))
        # results that leave earlier are worth, at most, what one costs that comes an interval late
        self._few = max(FEW, min(_MANY, int(self.prices.wait) // _LUTS))
        self.units = units(structure, manifest.steps, folding, (device.family, "lut"), int(dsps))
        self._uses: dict[object, Taken] = {}
        self._tables: dict[object, list[tuple[str, ...]]] = {}

    def fastest(self, most: int | None = None) -> tuple[Plan, Report] | None:
        """The plan with the fewest cycles a step, if that has not more than ``most``."""
        candidates = [cycles for cycles in intervals(self.manifest, self.units) if most is None or cycles <= most]
        if not candidates or self._at(candidates[-1]) is None:
            return None
        low, high = 0, len(candidates) - 1  # a plan is found at high and beyond, and none below low, as far as tries go
        while low < high:
            middle = (low + high) // 2
            if self._at(candidates[middle]) is None:
                low = middle + 1
            else:
                high = middle
        return self.at(candidates[high])

    def possible(self) -> bool:
        """A plan fits at the longest interval at which there is anything to choose: if none does, none fits at all."""
        return self._at(intervals(self.manifest, self.units)[-1]) is not None

    def least(self) -> Use:
        """The least that can be taken of each, at the longest interval."""
        options = list(self._options(intervals(self.manifest, self.units)[-1]))
        return Use(*(sum(min(use[what] for use, _ in each) for each in options) for what in range(len(NOTHING))))

    def at(self, interval: int) -> tuple[Plan, Report] | None:
        """The cheapest plan that takes a step in so many cycles."""
        found = [plan for burst in BURSTS for plan in self._fitting(interval, burst, self._few)]
        if not found:  # with less to choose from, less may stand between the stages
            return self._at(interval)
        return min(found, key=lambda plan: price(plan[1], self.device, interval))

    def _at(self, interval: int) -> tuple[Plan, Report] | None:
        """Any, with less than twice the multipliers that are needed, to see whether there is one."""
        return next(self._fitting(interval, BURST, 0), None)

    def _fitting(self, interval: int, burst: int, few: int) -> Iterator[tuple[Plan, Report]]:
        """Plans with element-wise stages of one speed, the cheapest each with so much kept for what stands between stages.

        What that takes depends on the plan. What a plan exceeds is kept, until one fits, or nothing is left to choose; then what
        is halfway between too little and that.
        """
        if interval < intervals(self.manifest, self.units)[0]:
            return
        options = list(self._options(interval, burst, few))
        if not all(options):
            return
        little, spare, most = NOTHING, NOTHING, None
        for _ in range(_TRIES):
            picked = choose([[use for use, _ in each] for each in options], self.budget.less(spare), self.prices)
            if picked is None:
                most = spare
            else:
                plan, report, taken = self._made([each[index] for each, index in zip(options, picked, strict=True)])
                whole = total(report, self.device)
                if not whole.within(self.budget):
                    little = spare
                else:
                    most = spare
                    if report.bound <= interval:
                        yield plan, report
            if most is None:
                spare = Use(*(
                    all_of_it - part if all_of_it > limit else before
                    for before, all_of_it, part, limit in zip(spare, whole, taken, self.budget, strict=True)
                ))  # fmt: skip
            elif most == NOTHING:
                return
            else:
                spare = Use(*((a + b) / 2 for a, b in zip(little, most, strict=True)))

    def _made(self, picked: Sequence[tuple[Use, dict[str, StagePlan]]]) -> tuple[Plan, Report, Use]:
        """A plan of an option for each stage, and what the stages alone take."""
        stages, taken = dict[str, StagePlan](), NOTHING
        for use, plans in picked:
            stages |= plans
            taken = taken.plus(use)
        plan = Plan(self.device.family, {name: stages[name] for name in self.structure.stages}, self.structure.loop is not None)
        return plan, estimate(self.manifest, plan), taken

    def _options(self, interval: int, burst: int = BURST, few: int = FEW) -> Iterator[list[tuple[Use, dict[str, StagePlan]]]]:
        """For each stage, or stages that choose together, what each option takes, and its plan."""
        # The foldings are those of the next shorter interval that there is; what has none may take until the next longer.
        longer = [other - 1 for other in intervals(self.manifest, self.units) if other > interval]
        time = min(longer, default=interval)
        alone = [name for name in self.structure.stages if not any(name in unit.names for unit in self.units)]
        for name in alone:
            yield self._costed(interval, burst, [{name: plan} for plan in self._kinds(name, time, burst)])
        for unit in self.units:
            yield self._costed(interval, burst, [
                dict(zip(unit.names, plans, strict=True))
                for way in unit.within(interval, few)
                if passes(self.manifest, self.structure, unit, way, time, self.device.family, burst)
                for plans in product(*(self._placed(name, interval, c) for name, c in zip(unit.names, way, strict=True)))
            ])  # fmt: skip

    def _placed(self, name: str, interval: int, choice: Choice) -> list[StagePlan]:
        """A stage with all that it keeps in block RAM; if the device has few, some tables in SPRAM, or sums in registers."""
        plan = self._plan(name, interval, choice.folding, choice.kind)
        if not self.device.sprams:
            return [plan]
        key = _alike(self.structure.stages[name]), plan
        if key not in self._tables:
            self._tables[key] = spram_choices(self.structure.stages[name], plan, self.device.family)
        sums = (False, True) if self.structure.stages[name].node.op.op == "dense" else (False,)
        return [replace(plan, spram=tables, registers=registers) for tables in self._tables[key] for registers in sums]

    def _plan(self, name: str, interval: int, folding: Folding | None, kind: str, burst: int = BURST) -> StagePlan:
        return plan_stage(self.manifest, self.structure, name, interval, self.device.family, folding, kind, burst)

    def _kinds(self, name: str, interval: int, burst: int) -> list[StagePlan]:
        """An element-wise stage with its multipliers in DSP blocks or of LUTs; a pool with its sums in memory or in registers."""
        plans = [self._plan(name, interval, None, kind, burst) for kind in (self.device.family, "lut")]
        if plans[0].multipliers:
            return plans
        if self.structure.stages[name].node.op.op == "pool":
            return [plans[0], replace(plans[0], registers=True)]
        return plans[:1]

    def _costed(self, interval: int, burst: int, ways: Sequence[dict[str, StagePlan]]) -> list[tuple[Use, dict[str, StagePlan]]]:
        uses = []
        for way in ways:
            use = NOTHING
            for name, plan in way.items():
                taken = self._use(name, plan)
                busy = min(1.0, taken.work * self.structure.share(name, self.manifest.steps) / interval)
                idle, wait = plan.blocks * (1 - busy), self._wait(name, plan, taken, interval, burst)
                use = use.plus(taken.use._replace(idle=idle, wait=wait))
                if len(way) == 1:  # one folded together with a scan reads what this sends
                    use = use.plus(taken.before)
            uses.append(use)
        return [(uses[index], dict(ways[index])) for index in pareto(uses)]

    def _wait(self, name: str, plan: StagePlan, taken: Taken, interval: int, burst: int) -> float:
        """Intervals for which a stage works with its last beat and its results do not leave; with all, if they come at once.

        What a scan reads may leave late, since the scan takes the whole interval for it anyway.
        """
        output = self.structure.stages[name].node.output
        if output.per_sequence:
            return (taken.work + taken.behind) / interval
        leaving = interval if plan.even else min(reals(output), interval // burst)
        return max(0, taken.behind - leaving) / interval

    def _use(self, name: str, plan: StagePlan) -> Taken:
        """What a stage takes; counted once for layers that are alike."""
        layers = self.structure.stages[name]
        key = _alike(layers), plan
        if key not in self._uses:
            self._uses[key] = use_of(layers, plan, self.device.family)
        return self._uses[key]


def _alike(layers: Layers) -> Hashable:
    """What the stages of two layers have to agree in to take the same: all but constants and binary points."""
    node = layers.node
    edges = [(edge.size, edge.is_complex, edge.format.width, edge.format.signed) for edge in (*node.inputs, node.output)]
    arrays = [(name, array.shape, shape_for(array).width) for name, array in node.arrays.items()]
    return layers.count, layers.marked, layers.width, node.op.op, tuple(edges), tuple(arrays)
