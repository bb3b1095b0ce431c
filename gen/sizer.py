"""The sizer: the pipeline that reaches a rate on a device with the least hardware, or the fastest that fits.

**What is chosen.** The folding of every stage that multiplies, whether its multipliers are DSP blocks or LUTs, and whether the
layers of a deep model share their stages. A pipeline runs at the pace of its slowest stage, so that for a given initiation
interval the stages are independent but for the budget that they share: DSP blocks, LUTs, flip-flops, block RAMs. That is a
knapsack with one choice for each stage (a scan and what reads its channels choose together), and it is solved exactly, as an
integer program with a few hundred binary variables, by HiGHS (`scipy.optimize.milp`):

    minimise    sum x[s, o] price . use(s, o)        what it takes, in LUTs (`ssm_hdl.gen.prices`)
    subject to  sum_o x[s, o] = 1                    for every stage s
                sum x[s, o] use(s, o, r) <= budget(r)    for r in LUTs, flip-flops, DSP blocks, block RAMs, SPRAMs

**Throughput.** Whatever fits at an interval fits at a longer one, since every folding that keeps up with the shorter keeps up
with the longer: the shortest interval is found by bisection over those at which some folding changes.

**Latency.** What makes one of every element costs few LUTs, and a result waits for the packet that goes through it. So a plan is
made for several speeds of these stages (`ssm_hdl.gen.search.BURSTS`), and that is taken whose price is least, waiting included.

The use of an option is the estimate of its stage (`ssm_hdl.gen.costs`). What stands between the stages depends on the options on
both of its sides and is not in the program, but for a bound of what makes beats as wide as a dense reads them; the plan as a
whole is estimated afterwards. Where it exceeds the budget, the program is solved again with less to spend of that, by what stands
between the stages, until a plan fits or nothing is left to choose, and then by what is halfway between that and too little, a few
times. The cheapest plan that fits is taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.gen.depth import find_layers
from ssm_hdl.gen.devices import DEVICES, Device
from ssm_hdl.gen.knapsack import NOTHING, Use
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.prices import price
from ssm_hdl.gen.report import Report
from ssm_hdl.gen.search import FILL, Search
from ssm_hdl.gen.structure import Structure


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
    searches = [Search(manifest, structure, device, dsp, folding or {}, reserve) for structure in structures]
    limit = None if rate_hz is None else int(clock_hz / rate_hz * (1 + 1e-9))  # the clock over some cycles may be a hair too high
    plans = list[tuple[Plan, Report]]()
    for search in searches:
        best_yet = min((report.bound for _, report in plans), default=None)
        plan = search.fastest(best_yet) if limit is None else search.at(limit)
        plans += [] if plan is None else [plan]
    if plans:
        rank = [(report.bound if limit is None else 0, price(report, device, limit or report.bound)) for _, report in plans]
        best = plans[rank.index(min(rank))]
        return Sized(device, clock_hz, *best)
    fastest = [found[1].bound for search in searches if (found := search.fastest()) is not None]
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


def _misfit(manifest: Manifest, device: Device, searches: Sequence[Search], dsp: int | None) -> str:
    """Why nothing fits, by how much, and where it would."""
    search = max(searches, key=lambda search: -search.least().rams)
    least, budget = search.least(), search.budget
    missing = []
    if least.rams > budget.rams:
        bits = (least.rams - budget.rams) * device.ram_bits
        missing.append(
            f"its memories take {least.rams:,.0f} block RAMs where {budget.rams:,.0f} can be used, {bits:,.0f} bits too many"
        )
    for what, some, can in (("LUTs", least.luts, budget.luts), ("flip-flops", least.flip_flops, budget.flip_flops)):
        if some > can:
            missing.append(f"it takes some {some:,.0f} {what} where {can:,.0f} can be used")
    if not missing:
        luts = f"{budget.luts:,.0f} LUTs ({FILL[device.family]:.0%} of them, since place and route needs the rest)"
        missing.append(f"no plan keeps within {luts}, {budget.rams:,.0f} block RAMs and {budget.dsps:,.0f} DSP blocks")
    others = [other.title for other in DEVICES.values() if other is not device and _fits(manifest, other)]
    way = f"it fits the {' and the '.join(others)}" if others else "no device that is known holds it; give it narrower formats"
    return f"{manifest.name} does not fit the {device.title}: {', and '.join(missing)}; {way}"


def _fits(manifest: Manifest, device: Device) -> bool:
    structures = _structures(manifest, device, None)
    return any(Search(manifest, structure, device, None, {}, NOTHING).possible() for structure in structures)
