"""The cycles of a pipeline: per time step, and two latencies, as its RTL has them.

`Timing` feeds the network of a pipeline (see `ssm_hdl.gateware.timing`) until its transfers repeat.
A process looks back at a limited number of beats, and from equal cycles it makes equal cycles. Say
that the beats of all streams have moved like the beats some time steps earlier, all later by the
same number of cycles. Once that has lasted as long as any process looks back, it lasts for ever.
"""

from collections.abc import Mapping
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from amaranth.lib import wiring

from ssm_hdl import SsmHdlError
from ssm_hdl.gateware.queue import Places, Queue
from ssm_hdl.gen.liveness import check
from ssm_hdl.gen.network import Link
from ssm_hdl.gen.traffic import Traffic

if TYPE_CHECKING:
    from ssm_hdl.gen.pipeline import Pipeline

_NEVER = 1 << 60

_MOST = 4000
"""Time steps, or sequences, that may pass until they repeat: more are an error of this module."""


class Timing:
    """What a pipeline needs, fed and drained without a pause; found when it is first asked for.

    Args:
        pipeline: the pipeline.

    Raises:
        SsmHdlError: whoever asks, it would hang.
    """

    def __init__(self, pipeline: "Pipeline") -> None:
        self._pipeline, manifest, self._network = pipeline, pipeline.manifest, pipeline.network
        self._name, self._size, self._steps = manifest.name, manifest.input.size, manifest.steps
        self._once = manifest.output.per_sequence
        self._last: Link | None = None

    @cached_property
    def latency_alone(self) -> int:
        """Cycles from the last sample of a time step in to its last result out,
        for a step alone in the pipeline.

        If there are results once per sequence, for a sequence of one step.
        """
        return self._latency(self._alone, 0, 0)

    @property
    def cycles(self) -> float:
        """Cycles per time step; the mean, where several time steps take turns."""
        cycles = self._steady[0]
        return int(cycles) if cycles.denominator == 1 else float(cycles)

    @property
    def latency_full(self) -> int:
        """Cycles from the last sample of a time step in to its last result out,
        once the cycles of the pipeline repeat.

        The most, where several time steps take turns. If there are results once per sequence,
        for the last step of one.
        """
        return self._steady[1]

    @cached_property
    def _steady(self) -> tuple[Fraction, int]:
        """Cycles per time step, and the latency."""
        ends: set[int] = set()
        traffic = Traffic(self._network, self._size, ends.__contains__)
        period, cycles = self._settle(traffic)
        if not self._once:
            steps = range(len(traffic.o.taken) // len(self._alone.o.taken))[-period:]
            return (
                Fraction(cycles, period),
                max(self._latency(traffic, step, step) for step in steps),
            )
        length = 2 * traffic.steps
        latency = self._ends(traffic, ends, period, cycles)
        return (
            (Fraction(cycles, period), latency)
            if latency
            else self._sequences(length, period, cycles)
        )

    @cached_property
    def _alone(self) -> Traffic:
        alone = Traffic(self._network, self._size)
        alone.feed(1)
        self._check(alone, len(alone.o.taken) > 0)
        return alone

    @cached_property
    def _counts(self) -> tuple[dict[Link, int], dict[Link, int]]:
        """Beats of the streams per time step, and of the streams that come once in a sequence,
        per sequence."""
        edges = self._network.structure.edges
        beats = {link: len(self._alone.streams[link.source].taken) for link in self._network.links}
        once = {link: count for link, count in beats.items() if edges[link.stream].per_sequence}
        return {link: count for link, count in beats.items() if link not in once}, once

    def _latency(self, traffic: Traffic, step: int, packet: int) -> int:
        """Cycles from the last sample of a time step in to the last result of a packet out."""
        return (
            traffic.o.taken[(packet + 1) * len(self._alone.o.taken) - 1]
            - traffic.i.taken[(step + 1) * self._size - 1]
        )

    def _check(self, traffic: Traffic, goes_on: bool) -> None:
        """Refuse a network that sticks."""
        if not goes_on:
            check(self._pipeline)
            raise SsmHdlError(
                f"{self._name}: the pipeline would hang, waiting for {', '.join(traffic.stuck)}"
            )

    def _settle(self, traffic: Traffic) -> tuple[int, int]:
        """Feed time steps until they repeat: how many, and their cycles."""
        for _ in range(_MOST):
            self._feed(traffic, 1)
            if repetition := self._repeats(traffic, self._counts[0], 1):
                return repetition
        raise SsmHdlError(f"{self._name}: its cycles do not repeat in {_MOST} time steps")

    def _ends(self, traffic: Traffic, ends: set[int], period: int, cycles: int) -> int | None:
        """The latency of the end of a sequence, the most of the turns that ends can have.

        None if an end delays other time steps, or the end of the next sequence.
        """
        start, latencies = traffic.steps, list[int]()
        for turn in sorted({(self._steps * count - 1) % period for count in range(1, period + 1)}):
            end = traffic.steps + (turn - traffic.steps) % period
            ends.add(end)
            while traffic.steps <= end or self._out(traffic, len(ends)) >= _NEVER:
                self._feed(traffic, 1)
            if (
                self._out(traffic, len(ends))
                > traffic.i.taken[end * self._size] + self._steps * cycles // period
            ):
                return None
            latencies.append(self._latency(traffic, end, len(ends) - 1))
        repetition = self._repeats(traffic, self._counts[0], 1, period, traffic.steps - start)
        return max(latencies) if repetition == (period, cycles) else None

    def _out(self, traffic: Traffic, sequences: int) -> int:
        """The cycle in which a number of sequences have left, and their places in queues are free;
        `_NEVER` if not yet."""
        transfers = [
            (traffic.streams[link.source].taken, sequences * count)
            for link, count in self._counts[1].items()
        ]
        return (
            max(
                cycles[beats - 1] if len(cycles) >= beats else _NEVER for cycles, beats in transfers
            )
            + Places.latency
        )

    def _sequences(self, length: int, period: int, cycles: int) -> tuple[Fraction, int]:
        """Cycles per time step of sequences one after the other, and latency.

        Of a long sequence the middle is left out, where its cycles repeat as in an endless one.
        """
        while True:
            short = (
                self._steps - (self._steps - length) // period * period
                if length < self._steps
                else self._steps
            )
            if repetition := self._shortened(short, period, cycles):
                whole, latency = repetition
                return (
                    (whole + (self._steps - short) * Fraction(cycles, period)) / self._steps,
                    latency,
                )
            length *= 2

    def _shortened(self, length: int, period: int, cycles: int) -> tuple[Fraction, int] | None:
        """Cycles of a sequence of some length, and latency.

        None if the length matters: before a sequence ends, its time steps repeat,
        and the results of the one before are out.
        """
        traffic = Traffic(self._network, self._size, lambda step: step % length == length - 1)
        per_step, once = self._counts
        counts = {link: count * length for link, count in per_step.items()} | once
        for sequence in range(_MOST):
            self._feed(traffic, length - 1)
            settled = length == self._steps or self._repeats(traffic, per_step, 1, period) == (
                period,
                cycles,
            )
            self._feed(traffic, 1)
            late = sequence and self._out(traffic, sequence) > traffic.i.taken[-self._size]
            if not settled or (late and length < self._steps):
                return None
            if repetition := self._repeats(traffic, counts, length):
                turns, total = repetition
                ends = range(len(traffic.o.taken) // len(self._alone.o.taken))[-turns:]
                return (
                    Fraction(total, turns),
                    max(self._latency(traffic, (end + 1) * length - 1, end) for end in ends),
                )
        raise SsmHdlError(f"{self._name}: its cycles do not repeat in {_MOST} sequences")

    def _feed(self, traffic: Traffic, steps: int) -> None:
        """Feed time steps; others follow."""
        traffic.feed(steps, more=True)
        self._check(traffic, len(traffic.i.taken) == traffic.steps * self._size)

    def _repeats(
        self,
        traffic: Traffic,
        counts: Mapping[Link, int],
        steps: int,
        period: int | None = None,
        least: int = 0,
    ) -> tuple[int, int] | None:
        """The period with which all streams repeat, and its cycles,
        for as long as any process looks back.

        Args:
            traffic: what moves.
            counts: beats of a unit, such as a time step or a sequence.
            steps: time steps of a unit.
            period: the only period to try, in units.
            least: units that have to repeat at least.
        """
        units = traffic.steps // steps
        ends = traffic.i.taken[steps * self._size - 1 :: steps * self._size]
        memory = self._memory(counts)
        for turns in range(1, units - memory) if period is None else [period]:
            cycles = ends[-1] - ends[-1 - turns]
            if cycles == ends[-2] - ends[-2 - turns]:
                late = max(
                    units - len(traffic.streams[link.source].taken) // count
                    for link, count in counts.items()
                )
                window = max(turns + memory, least) + late
                # what has not repeated lately is slow to
                first = [link for link in (self._last,) if link and link in counts]
                for link in [*first, *counts]:
                    if not _repeats(
                        traffic.streams[link.source].taken,
                        turns * counts[link],
                        window * counts[link],
                        cycles,
                    ):
                        self._last = link
                        break
                else:
                    return turns, cycles
        return None

    def _memory(self, counts: Mapping[Link, int]) -> int:
        """Units that a process looks back: the depth of a queue, or the three packets of a norm."""
        per_step, once = self._counts
        beats = {
            link: max(
                _depth(self._network.components.get(link.source.component)),
                3 * (per_step | once)[link],
            )
            for link in counts
        }
        return max(-(-beats[link] // count) for link, count in counts.items())


def _repeats(transfers: list[int], period: int, window: int, cycles: int) -> bool:
    """Each of the latest beats came a number of cycles after the one a period before."""
    if len(transfers) < window + period:
        return False
    return all(
        now - then == cycles
        for now, then in zip(
            transfers[-window:], transfers[-window - period : -period], strict=True
        )
    )


def _depth(component: wiring.Component | None) -> int:
    """The depth of the deepest queue of a component, which may be one itself."""
    members = [] if component is None else [component, *vars(component).values()]
    return max((member.depth for member in members if isinstance(member, Queue)), default=0)
