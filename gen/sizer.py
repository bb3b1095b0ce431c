"""The sizer: the pipeline that reaches a rate on a device with the least hardware, or the fastest that fits.

**What is chosen.** The folding of every stage that multiplies, whether its multipliers are DSP blocks or LUTs, and whether the
layers of a deep model share their stages. A pipeline runs at the pace of its slowest stage, so that for a given initiation
interval the stages are independent of each other but for the budget that they share: DSP blocks, LUTs and block RAMs. That is a
knapsack with one choice for each stage (a scan and what reads its channels choose together), and it is solved exactly, as an
integer program with a few hundred binary variables, by HiGHS (`scipy.optimize.milp`):

    minimise    sum x[s, o] price . use(s, o)        what it takes, in LUTs (`PRICES`)
    subject to  sum_o x[s, o] = 1                    for every stage s
                sum x[s, o] use(s, o, r) <= budget(r)    for r in LUTs, DSP blocks, block RAMs, SPRAMs

**Throughput.** Whatever fits at an interval fits at a longer one, since every folding that keeps up with the shorter keeps up
with the longer: the shortest interval is found by bisection over those at which some folding changes.

**Latency.** What makes one of every element costs few LUTs, and a result waits for the packet that goes through it. So a plan is
made for several speeds of these stages (`BURSTS`), and the one whose price, with that of waiting, is least is taken.

The use of an option is the estimate of its stage (`ssm_hdl.gen.costs`). What stands between the stages depends on the options on
both of its sides and is not in the program; the plan as a whole is estimated afterwards, and where it exceeds the budget, the
program is solved again with less to spend.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.gateware.folding import Folding
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.memories import shape_for
from ssm_hdl.gateware.queue import BURST
from ssm_hdl.gateware.stream import reals
from ssm_hdl.gen.costs import Taken, spram_choices, use_of
from ssm_hdl.gen.depth import find_layers
from ssm_hdl.gen.devices import DEVICES, Device
from ssm_hdl.gen.knapsack import NOTHING, Use, choose, pareto
from ssm_hdl.gen.options import Choice, units
from ssm_hdl.gen.plan import Plan, StagePlan, intervals, passes, plan_stage
from ssm_hdl.gen.report import Report, estimate
from ssm_hdl.gen.structure import Structure

FILL = {"ice40": 0.85, "ecp5": 0.9}
"""Share of the LUTs of a device that a plan may take: with more, place and route does not get through, or not at a good clock."""

PRICES = Use(luts=1, dsps=20, rams=40, sprams=200, idle=200, wait=0)
"""What one of each costs, in LUTs: a DSP block that is busy is cheaper than the LUTs of a multiplier, one that is not is dearer,
so that LUTs multiply what comes rarely, and where the blocks end; the first SPRAM brings the logic that loads it. A result that
comes an interval later, since a dense has many rows to go through, costs a share of the device."""

WAIT = 0.2
"""That share of the device's LUTs, where a model has one scan; where it has several, each makes a result wait as long."""

BURSTS = (BURST, 2 * BURST)
"""How many times as fast as the interval asks packets may go through element-wise stages."""

_TRIES = 6  # with less and less to spend, for what stands between the stages

_SPARE_RAMS = {"ice40": 1, "ecp5": 0}  # nextpnr places the last of 30 block RAMs in hours, if at all


@dataclass(frozen=True)
class Sized:
    """A plan for a device.

    Attributes:
        device: the device.
        clock_hz: the clock that it was sized for.
        plan: the plan.
        report: its estimates.
    """

    device: Device
    clock_hz: float
    plan: Plan
    report: Report

    @property
    def rate_hz(self) -> float:
        """Time steps a second."""
        return self.clock_hz / self.report.cycles


def size(
    manifest: Manifest,
    device: Device,
    rate_hz: float | None = None,
    *,
    clock_hz: float | None = None,
    dsp: int | None = None,
    folding: Mapping[str, str] | None = None,
    share_layers: bool | None = None,
    reserve: Use = NOTHING,
) -> Sized:
    """The plan that reaches a rate at the least cost, or the fastest that fits.

    Args:
        manifest: the integer program.
        device: the device.
        rate_hz: time steps a second; as many as there can be if None.
        clock_hz: clock; that of the device if None.
        dsp: DSP blocks to spend; all if None.
        folding: foldings that the caller decides, by stage.
        share_layers: the layers share their stages, or not; whatever is better if None.
        reserve: what to leave for others on the device.

    Raises:
        SsmHdlError: the rate is not reached (the message says the highest), or the model does not fit (it says by how much, and
            where it would).
    """
    clock_hz = device.clock_hz if clock_hz is None else clock_hz
    if not 0 < clock_hz < float("inf"):
        raise SsmHdlError(f"a clock of {clock_hz / 1e6:g} MHz is none; ask for more than 0")
    if rate_hz is not None and not 0 < rate_hz < float("inf"):
        raise SsmHdlError(f"a rate of {rate_hz:g} time steps a second is none; ask for more than 0")
    structures = _structures(manifest, device, share_layers)
    searches = [_Search(manifest, structure, device, dsp, folding or {}, reserve) for structure in structures]
    limit = None if rate_hz is None else int(clock_hz // rate_hz)
    plans = [plan for search in searches if (plan := search.fastest() if limit is None else search.at(limit)) is not None]
    if plans:
        rank = [(report.cycles if limit is None else 0, price(report, device, limit or report.cycles)) for _, report in plans]
        best = plans[rank.index(min(rank))]
        return Sized(device, clock_hz, *best)
    fastest = [found[1].cycles for search in searches if (found := search.fastest()) is not None]
    if not fastest or rate_hz is None:
        raise SsmHdlError(_misfit(manifest, device, searches, dsp))
    raise SsmHdlError(
        f"{manifest.name} on the {device.title} cannot take {rate_hz:,.0f} time steps a second at {clock_hz / 1e6:g} MHz; the "
        f"most that fits is {clock_hz / min(fastest):,.0f}, a step every {min(fastest):,} cycles (ask for it with --max)"
    )


def _structures(manifest: Manifest, device: Device, share_layers: bool | None) -> list[Structure]:
    if share_layers is None:
        try:
            find_layers(manifest)
        except SsmHdlError:
            share_layers = False
    shares = (False, True) if share_layers is None else (share_layers,)
    return [Structure.of(manifest, shared, device.family) for shared in shares]


class _Search:
    """The plans of one structure."""

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
        luts = FILL[device.family] * device.luts - reserve.luts
        dsps = device.dsps - reserve.dsps if dsp is None else min(dsp, device.dsps - reserve.dsps)
        rams = device.rams - reserve.rams - _SPARE_RAMS[device.family]
        self.budget = Use(luts, dsps, rams, device.sprams, float("inf"), float("inf"))
        self.prices = prices(device)
        self.units = units(structure, manifest.steps, folding, (device.family, "lut"))
        self._uses: dict[object, Taken] = {}
        self._tables: dict[object, list[tuple[str, ...]]] = {}

    def fastest(self) -> tuple[Plan, Report] | None:
        """The plan with the fewest cycles a step."""
        candidates = intervals(self.manifest, self.units)
        low, high, best = 0, len(candidates), None  # what is at high and beyond fits, what is below low does not
        while low < high:
            middle = (low + high) // 2
            if self._at(candidates[middle], BURST) is None:
                low = middle + 1
            else:
                best = high = middle
        return None if best is None else self.at(candidates[best])

    def slowest(self) -> tuple[Plan, Report] | None:
        """The cheapest plan at the longest interval at which there is anything to choose: if that does not fit, none does."""
        return self._at(intervals(self.manifest, self.units)[-1], BURST)

    def least(self) -> Use:
        """The least that can be taken of each, at the longest interval."""
        options = list(self._options(intervals(self.manifest, self.units)[-1], BURST))
        return Use(*(sum(min(use[what] for use, _ in each) for each in options) for what in range(len(NOTHING))))

    def at(self, interval: int) -> tuple[Plan, Report] | None:
        """The cheapest plan that takes a step in so many cycles."""
        found = [plan for burst in BURSTS if (plan := self._at(interval, burst)) is not None]
        return min(found, key=lambda plan: price(plan[1], self.device, interval), default=None)

    def _at(self, interval: int, burst: int) -> tuple[Plan, Report] | None:
        """The same with element-wise stages of one speed."""
        if interval < intervals(self.manifest, self.units)[0]:
            return None
        options = list(self._options(interval, burst))
        if not all(options):
            return None
        between = NOTHING  # the most that has stood between the stages
        for _ in range(_TRIES):
            left = Use(*(most - other for most, other in zip(self.budget, between, strict=True)))
            picked = choose([[use for use, _ in each] for each in options], left, self.prices)
            if picked is None:
                return None
            stages, taken = dict[str, StagePlan](), NOTHING
            for each, index in zip(options, picked, strict=True):
                stages |= each[index][1]
                taken = taken.plus(each[index][0])
            plan = Plan(
                self.device.family, {name: stages[name] for name in self.structure.stages}, self.structure.loop is not None
            )
            report = estimate(self.manifest, plan)
            total = _total(report, self.device)
            if total.within(self.budget) and report.cycles <= interval:
                return plan, report
            between = Use(*(max(most, whole - part) for most, whole, part in zip(between, total, taken, strict=True)))
        return None

    def _options(self, interval: int, burst: int) -> Iterator[list[tuple[Use, dict[str, StagePlan]]]]:
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
                for way in unit.within(interval)
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
                idle, wait = plan.blocks * (1 - busy), self._wait(name, taken, interval, burst)
                use = use.plus(taken.use._replace(idle=idle, wait=wait))
            uses.append(use)
        return [(uses[index], dict(ways[index])) for index in pareto(uses)]

    def _wait(self, name: str, taken: Taken, interval: int, burst: int) -> float:
        """Intervals for which a stage works with its last beat and its results do not leave; with all, if they come at once."""
        output = self.structure.stages[name].node.output
        leave = 0 if output.per_sequence else min(reals(output), interval // burst)
        return max(0, (taken.work if output.per_sequence else taken.behind) - leave) / interval

    def _use(self, name: str, plan: StagePlan) -> Taken:
        """What a stage takes; counted once for layers that are alike."""
        layers = self.structure.stages[name]
        key = _alike(layers), plan
        if key not in self._uses:
            self._uses[key] = use_of(layers, plan, self.device.family)
        return self._uses[key]


def prices(device: Device) -> Use:
    """What one of each costs on a device, in LUTs."""
    return PRICES._replace(wait=WAIT * device.luts)


def price(report: Report, device: Device, interval: float) -> float:
    """What a pipeline costs on a device where time steps come every so many cycles, in LUTs."""
    idle = report.dsp * (1 - report.utilisation * report.cycles / interval)
    scans = sum(stage.layers for stage in report.stages if stage.op == "scan")
    use = _total(report, device)._replace(idle=idle, wait=report.latency / interval / max(1, scans))
    return sum(number * each for number, each in zip(use, prices(device), strict=True))


def _total(report: Report, device: Device) -> Use:
    return Use(report.luts, report.dsp, report.block_rams[device.family], report.sprams)


def _alike(layers: Layers) -> Hashable:
    """What the stages of two layers have to agree in to take the same: all but constants and binary points."""
    node = layers.node
    edges = [(edge.size, edge.is_complex, edge.format.width, edge.format.signed) for edge in (*node.inputs, node.output)]
    arrays = [(name, array.shape, shape_for(array).width) for name, array in node.arrays.items()]
    return layers.count, layers.marked, layers.width, node.op.op, tuple(edges), tuple(arrays)


def _misfit(manifest: Manifest, device: Device, searches: Sequence["_Search"], dsp: int | None) -> str:
    """Why nothing fits, by how much, and where it would."""
    search = max(searches, key=lambda search: -search.least().rams)
    least, budget = search.least(), search.budget
    missing = []
    if least.rams > budget.rams:
        bits = (least.rams - budget.rams) * device.ram_bits
        missing.append(
            f"its memories take {least.rams:,.0f} block RAMs where {budget.rams:,.0f} can be used, {bits:,.0f} bits too many"
        )
    if least.luts > budget.luts:
        missing.append(f"it takes some {least.luts:,.0f} LUTs where {budget.luts:,.0f} can be used")
    if not missing:
        luts = f"{budget.luts:,.0f} LUTs ({FILL[device.family]:.0%} of them, since place and route needs the rest)"
        missing.append(f"no plan keeps within {luts}, {budget.rams:,.0f} block RAMs and {budget.dsps:,.0f} DSP blocks")
    others = [other.title for other in DEVICES.values() if other is not device and _fits(manifest, other)]
    way = f"it fits the {' and the '.join(others)}" if others else "no device that is known holds it; give it narrower formats"
    return f"{manifest.name} does not fit the {device.title}: {', and '.join(missing)}; {way}"


def _fits(manifest: Manifest, device: Device) -> bool:
    structures = _structures(manifest, device, None)
    return any(_Search(manifest, structure, device, None, {}, NOTHING).slowest() is not None for structure in structures)
