"""The planner: the plan that reaches a rate with the least hardware, or the fastest.

**Choices.** The folding of every stage that multiplies, its multipliers in DSP blocks or of LUTs,
the lanes of the others, tables in block RAM or SPRAM, and whether the layers of a deep model share
their stages. Small memories move to LUTs only where block RAMs are too few.

**How.** A pipeline runs at the pace of its slowest stage. For a given interval the stages are
independent but for the budget and for the adapters between them: an integer program
(`ssm_hdl.gen.size.program`). Its solutions are estimated as a whole and ranked by the same price
(`ssm_hdl.gen.size.refine`, `ssm_hdl.gen.size.objective`). Whatever fits at an interval fits at a
longer one, so the shortest is found by bisection.

**Goals.**

- A rate: the plan that reaches it with the least hardware.
- The fastest (``--max``): the fewest cycles per step that fit the device,
  LUTs multiplying where the DSP blocks end. Of equally fast plans, the cheapest.
- Neither: the fewest cycles per step that the DSP blocks give, LUTs multiplying only in small
  stages. Such a plan leaves most LUTs of a large device alone, so that place and route takes
  minutes. A model that fits only with more multipliers of LUTs gets them.

Latency is not weighed against hardware. ``latency`` bounds it, with each of the three.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.errors import UsageError
from ssm_hdl.families import GENERIC_DEVICE, Device
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import Report, estimate
from ssm_hdl.gen.size.attempts import LUTS_BELOW, structures, thresholds
from ssm_hdl.gen.size.misfit import misfit
from ssm_hdl.gen.size.objective import NOTHING, Use, budget
from ssm_hdl.gen.size.refine import Candidate, Search

DSP = 8
"""Limit of DSP blocks on a device that has none: the number of the smallest device,
an iCE40 UP5K."""

FASTEST_HZ = 1e9
"""Clock that no FPGA goes beyond, and so no rate:
the clock networks of the fastest end below it."""

SLOWEST_HZ = 1e-9
"""Rate of a time step in thirty years; the cycles of such an interval are still
exact in a float."""

Progress = Callable[[str], None]


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
        """Time steps per second."""
        return self.clock_hz / self.report.cycles


def plan_for(
    manifest: Manifest,
    device: Device = GENERIC_DEVICE,
    rate_hz: float | None = None,
    *,
    fastest: bool = False,
    clock_hz: float | None = None,
    dsp: int | None = None,
    latency: int | None = None,
    folding: Mapping[str, str] | None = None,
    share_layers: bool | None = None,
    reserve: Use = NOTHING,
    progress: Progress = lambda line: None,
) -> Sized:
    """The plan of a manifest for a device.

    Args:
        manifest: the integer program.
        device: the device.
        rate_hz: time steps per second to reach with the least hardware.
        fastest: the most time steps per second that fit, with multipliers of LUTs where DSP
            blocks are too few.
        clock_hz: clock; the device's if None.
        dsp: limit of DSP blocks; what a plan may take of the device if None,
            `DSP` where it has no limit.
        latency: limit of the cycles from the last sample in to the last result out,
            for a step alone.
        folding: foldings that the caller decides, by stage: a number of multipliers,
            or the name of a folding.
        share_layers: the layers share their stages, or not; whatever is better if None.
        reserve: what to leave for other logic on the device.
        progress: told the next attempt.

    Raises:
        SsmHdlError: the rate is not reached (the message says the highest), the model does not fit
            (it says by how much, and where it would), or ``folding`` names an unknown
            stage or folding.
    """
    _check(device, rate_hz, fastest, clock_hz, dsp, latency, reserve)
    clock_hz = device.clock_hz if clock_hz is None else clock_hz
    if dsp is None and not device.bounded:
        dsp = DSP
    limits = budget(device, dsp, reserve, latency)
    limit = None if rate_hz is None else int(clock_hz / rate_hz)
    # the quotient was rounded
    if limit is not None and rate_hz is not None and clock_hz / (limit + 1) >= rate_hz:
        limit += 1
    closest: Sized | None = None
    # LUTs without limit would multiply without limit
    first = limit is not None or (fastest and device.bounded)
    attempts = [
        (anything, 0) for anything in ([first] if first or not device.bounded else [False, True])
    ]
    attempts += [(True, bits) for bits in thresholds(device)]
    searches = list[Search]()
    for anything, luts_below in attempts:
        if luts_below == LUTS_BELOW[0] and not _rams_are_short(searches, limit):
            break
        searches = [
            Search(manifest, structure, device, limits, folding or {}, anything, progress)
            for structure in structures(manifest, device, share_layers, luts_below)
        ]
        for candidate in _candidates(searches, limit):
            sized = Sized(device, clock_hz, candidate.plan, estimate(manifest, candidate.plan))
            if rate_hz is None or sized.rate_hz >= rate_hz:
                return sized
            # as `--max` has it
            if closest is None or (luts_below == 0 and sized.rate_hz > closest.rate_hz):
                closest = sized
    if latency is not None:
        quick = plan_for(
            manifest,
            device,
            fastest=True,
            dsp=dsp,
            folding=folding,
            share_layers=share_layers,
            reserve=reserve,
            progress=progress,
        ).report
        raise SsmHdlError(
            f"{manifest.name} on the {device.title}: no plan has a latency of at most {latency:,} "
            f"cycles; the fastest, a step every {quick.cycles:,} cycles, "
            f"has {quick.latency_alone:,}"
        )
    if rate_hz is not None and closest is not None:
        raise SsmHdlError(
            f"{manifest.name} on the {device.title} cannot take {rate_hz:,.0f} time steps per "
            f"second at {clock_hz / 1e6:g} MHz; "
            f"the most that fits is {math.floor(closest.rate_hz):,}, "
            f"a step every {closest.report.cycles:,} cycles (ask for it with --max)"
        )
    raise SsmHdlError(misfit(manifest, device, reserve, searches[-1]))


def _candidates(searches: list[Search], limit: int | None) -> Iterator[Candidate]:
    """The best plan: the cheapest within ``limit`` cycles per step, or the fastest.

    After the cheapest come those within fewer cycles,
    should the RTL take more than `Pipeline.bound`, and the fastest at last.
    """
    while limit is not None:
        best: Candidate | None = None
        for search in reversed(searches):  # shared stages are cheaper, mostly
            best = search.cheapest(limit, best.price if best else math.inf) or best
        if best:
            yield best
        limit = best.cycles - 1 if best else None
    candidates = list[Candidate]()
    for search in searches:
        fastest = search.fastest(candidates[-1].cycles if candidates else math.inf)
        candidates += [fastest] if fastest else []
    yield from sorted(candidates, key=lambda candidate: (candidate.cycles, candidate.price))[:1]


def _check(
    device: Device,
    rate_hz: float | None,
    fastest: bool,
    clock_hz: float | None,
    dsp: int | None,
    latency: int | None,
    reserve: Use,
) -> None:
    """Refuse what nobody can mean.

    Raises:
        UsageError: an argument has no sense, or two exclude each other.
    """
    if rate_hz is not None and fastest:
        raise UsageError("--rate and --max are two different wishes; choose one")
    if clock_hz is not None and not 0 < clock_hz <= FASTEST_HZ:
        most = f"at most the {FASTEST_HZ / 1e6:,g} of the fastest FPGAs"
        raise UsageError(
            f"a clock of {clock_hz / 1e6:g} MHz is none; ask for more than 0, and {most}"
        )
    if rate_hz is not None and not SLOWEST_HZ <= rate_hz <= FASTEST_HZ:
        raise UsageError(
            f"a rate of {rate_hz:g} time steps per second is none; "
            f"ask for {SLOWEST_HZ:g} to {FASTEST_HZ:g}"
        )
    if rate_hz is not None and not (clock_hz or device.clock_hz):
        raise UsageError(f"a {device.title} has no clock of its own; give --rate a --clock")
    if latency is not None and latency < 1:
        raise UsageError(f"a latency of {latency} cycles is none; ask for 1 or more")
    if dsp is not None and dsp < 0:
        raise UsageError(f"{dsp} DSP blocks are none; ask for 0 or more")
    if dsp is not None and dsp > device.dsps:
        raise UsageError(f"{dsp} DSP blocks are more than the {device.dsps} of the {device.title}")
    if reserve.dsps > device.dsps:
        raise UsageError(
            f"--share-device leaves {reserve.dsps} DSP blocks, "
            f"more than the {device.dsps} of the {device.title}"
        )


def _rams_are_short(searches: Sequence[Search], limit: int | None) -> bool:
    """With more block RAMs a plan would fit, within ``limit`` cycles per step if there is one."""
    return any(
        search.without_rams().feasible(limit or search.options.intervals[-1]) for search in searches
    )
