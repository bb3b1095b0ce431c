"""The cycles of a pipeline: those per time step, and two latencies, as its RTL has them.

`Timing.of` feeds the network of a pipeline (see `ssm_hdl.gateware.timing`) until its transfers repeat. A process looks back at a
limited number of beats, and from equal cycles it makes equal cycles. So once the beats of all streams have moved as those some
time steps before, each later by the same number of cycles, for as many time steps as any process looks back, they do so for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from amaranth.lib import wiring

from ssm_hdl import SsmHdlError
from ssm_hdl.gateware.queue import Queue
from ssm_hdl.gen.network import Link
from ssm_hdl.gen.traffic import Traffic

if TYPE_CHECKING:
    from ssm_hdl.gen.pipeline import Pipeline

_MOST = 4000
"""Time steps, or sequences, that may pass until they repeat: more are an error of this module."""


@dataclass(frozen=True)
class Timing:
    """What a pipeline needs.

    Attributes:
        cycles: per time step, if samples come and results leave without a pause; the mean, where several time steps take turns.
        latency_alone: cycles from the last sample of a time step in to its last result out, for a step alone in the pipeline
            (if results come once a sequence, for a sequence of one step).
        latency_full: the same in a pipeline that is fed and drained without a pause, once its cycles repeat (if results come
            once a sequence, for the last step of one); the most, where several time steps take turns.
    """

    cycles: Fraction
    latency_alone: int
    latency_full: int

    @classmethod
    def of(cls, pipeline: "Pipeline") -> "Timing":
        """Those of a pipeline.

        Raises:
            SsmHdlError: it would hang.
        """
        search = _Search(pipeline)
        cycles, latency_full = search.within() or search.over()
        return cls(cycles, search.latency_alone, latency_full)


class _Search:
    """Looks for a repetition.

    Attributes:
        latency_alone: see `Timing`.
    """

    def __init__(self, pipeline: "Pipeline") -> None:
        manifest, self.network, self.output = pipeline.manifest, pipeline.network, pipeline.manifest.output
        self.name, self.size, self.steps = manifest.name, manifest.input.size, manifest.steps
        alone = Traffic(self.network, self.size)
        alone.feed(1)
        self.results = len(alone.o.taken)
        self.fed(alone, bool(self.results))
        self.latency_alone = self.latency(alone, 0, 0)
        edges = self.network.structure.edges
        beats = {link: len(alone.streams[link.source].taken) for link in self.network.links}
        self.per_sequence = {link: count for link, count in beats.items() if edges[link.stream].per_sequence}
        self.per_step = {link: count for link, count in beats.items() if link not in self.per_sequence}
        holders = ((link, self.network.components[link.source.component]) for link in beats if link.source.component)
        depths = [-(-depth // beats[link]) for link, component in holders for depth in _depths(component)]
        self.memory = max(depths) + 3  # time steps that a process looks back, those of a norm included

    def latency(self, traffic: Traffic, step: int, packet: int) -> int:
        """Cycles from the last sample of a time step in to the last result of a packet out."""
        return traffic.o.taken[(packet + 1) * self.results - 1] - traffic.i.taken[(step + 1) * self.size - 1]

    def fed(self, traffic: Traffic, goes_on: bool) -> None:
        """Refuse a network that sticks."""
        if not goes_on:
            raise SsmHdlError(f"{self.name}: the pipeline would hang, waiting for {', '.join(traffic.stuck)}")

    def settle(self, traffic: Traffic, counts: Mapping[Link, int], steps: int) -> tuple[int, int]:
        """Feed until units of time steps repeat: how many of them do, and their cycles.

        Args:
            traffic: what moves.
            counts: beats of a unit.
            steps: time steps of a unit.
        """
        for units in range(1, _MOST):
            traffic.feed(steps, more=True)
            self.fed(traffic, len(traffic.i.taken) == traffic.steps * self.size)
            ends = traffic.i.taken[steps * self.size - 1 :: steps * self.size]
            for period in range(1, units // 3):
                cycles = ends[-1] - ends[-1 - period]
                if cycles == ends[-2] - ends[-2 - period] and self.repeats(traffic, counts, steps, period, cycles):
                    return period, cycles
        raise SsmHdlError(f"{self.name}: the pipeline does not repeat its cycles in {_MOST} rounds")

    def repeats(self, traffic: Traffic, counts: Mapping[Link, int], steps: int, period: int, cycles: int) -> bool:
        """The latest beats of all streams moved as those a period before, for as long as any process looks back."""
        units = traffic.steps // steps
        late = max(units - len(traffic.streams[link.source].taken) // count for link, count in counts.items())
        for link, count in counts.items():
            taken, before = traffic.streams[link.source].taken, period * count
            window = (period + self.memory + late) * count
            if len(taken) < window + before:
                return False
            if any(now - then != cycles for now, then in zip(taken[-window:], taken[-window - before :], strict=False)):
                return False
        return True

    def within(self) -> tuple[Fraction, int] | None:
        """Cycles per time step of an endless sequence, and the latency.

        None if the results of a sequence are not out before the next one ends: then sequences may wait for one another.
        """
        ends: set[int] = set()
        traffic = Traffic(self.network, self.size, ends.__contains__)
        period, cycles = self.settle(traffic, self.per_step, 1)
        if not self.output.per_sequence:
            done = len(traffic.o.taken) // self.results
            return Fraction(cycles, period), max(self.latency(traffic, step, step) for step in range(done - period, done))
        latencies: list[int] = []
        for _ in range(period):
            end = traffic.steps + (len(latencies) - traffic.steps) % period  # another of those that take turns
            ends.add(end)
            while any(len(traffic.streams[link.source].taken) < len(ends) * count for link, count in self.per_sequence.items()):
                if traffic.steps > end + self.steps:
                    return None
                traffic.feed(1, more=True)
            latencies.append(self.latency(traffic, end, len(ends) - 1))
        return (Fraction(cycles, period), max(latencies)) if self.repeats(traffic, self.per_step, 1, period, cycles) else None

    def over(self) -> tuple[Fraction, int]:
        """Cycles per time step of whole sequences, and the latency."""
        traffic = Traffic(self.network, self.size, lambda step: step % self.steps == self.steps - 1)
        counts = {link: count * self.steps for link, count in self.per_step.items()} | self.per_sequence
        period, cycles = self.settle(traffic, counts, self.steps)
        done = len(traffic.o.taken) // self.results
        latencies = [self.latency(traffic, (k + 1) * self.steps - 1, k) for k in range(done - period, done)]
        return Fraction(cycles, period * self.steps), max(latencies)


def _depths(component: wiring.Component) -> list[int]:
    """Depths of the queues of a component, or of what is one."""
    return [each.depth for each in (component, *vars(component).values()) if isinstance(each, Queue)]


__all__ = ["Timing"]
