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
        cycles, latency_full = search.sequences() if pipeline.manifest.output.per_sequence else search.endless()[:2]
        return cls(cycles, search.latency_alone, latency_full)


def latency_alone(pipeline: "Pipeline") -> int:
    """See `Timing`; this alone takes a fraction of the time.

    Raises:
        SsmHdlError: it would hang.
    """
    return _Search(pipeline).latency_alone


class _Search:
    """Looks for a repetition.

    Attributes:
        latency_alone: see `Timing`.
    """

    def __init__(self, pipeline: "Pipeline") -> None:
        manifest, self.network = pipeline.manifest, pipeline.network
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
        self.memory = max(depths) + 2  # packets that a process looks back, those of a norm included

    def latency(self, traffic: Traffic, step: int, packet: int) -> int:
        """Cycles from the last sample of a time step in to the last result of a packet out."""
        return traffic.o.taken[(packet + 1) * self.results - 1] - traffic.i.taken[(step + 1) * self.size - 1]

    def fed(self, traffic: Traffic, goes_on: bool) -> None:
        """Refuse a network that sticks."""
        if not goes_on:
            raise SsmHdlError(f"{self.name}: the pipeline would hang, waiting for {', '.join(traffic.stuck)}")

    def endless(self) -> tuple[Fraction, int, int, int]:
        """An endless sequence: cycles per time step, latency, time steps that repeat, and those until they do."""
        traffic = Traffic(self.network, self.size, lambda step: False)
        for _ in range(_MOST):
            self.feed(traffic, 1)
            if found := self.repeats(traffic, self.per_step, 1):
                period, cycles = found
                steps = range(len(traffic.o.taken) // self.results)[-period:]
                latencies = [self.latency(traffic, step, step) for step in steps]
                return Fraction(cycles, period), max(latencies, default=0), period, traffic.steps
        raise SsmHdlError(f"{self.name}: its cycles do not repeat in {_MOST} time steps")

    def sequences(self) -> tuple[Fraction, int]:
        """Sequences one after the other: cycles per time step, and latency.

        Of a long sequence the middle is left out, where its cycles repeat as in an endless one.
        """
        cycles, _, period, length = self.endless()
        while True:
            length *= 2
            short = self.steps - (self.steps - length) // period * period if length < self.steps else self.steps
            if found := self.shortened(short, period):
                each, latency = found
                return (each + (self.steps - short) * cycles) / self.steps, latency

    def shortened(self, length: int, period: int) -> tuple[Fraction, int] | None:
        """Cycles of a sequence of some length, and latency; None if one does not get to its repetition before it ends.

        Then its results are also out: sequences do not wait for one another but for a moment.
        """
        traffic = Traffic(self.network, self.size, lambda step: step % length == length - 1)
        counts = {link: count * length for link, count in self.per_step.items()} | self.per_sequence
        for sequence in range(_MOST):
            if length < self.steps:
                self.feed(traffic, length - 1)
                within = self.repeats(traffic, self.per_step, 1, period)
                out = (len(traffic.streams[link.source].taken) == sequence * n for link, n in self.per_sequence.items())
                if not within or not all(out):
                    return None
            self.feed(traffic, length - (traffic.steps - sequence * length))
            if found := self.repeats(traffic, counts, length):
                turns, cycles = found
                ends = range(len(traffic.o.taken) // self.results)[-turns:]
                return Fraction(cycles, turns), max(self.latency(traffic, (end + 1) * length - 1, end) for end in ends)
        raise SsmHdlError(f"{self.name}: its cycles do not repeat in {_MOST} sequences")

    def feed(self, traffic: Traffic, steps: int) -> None:
        """Feed time steps; others follow."""
        traffic.feed(steps, more=True)
        self.fed(traffic, len(traffic.i.taken) == traffic.steps * self.size)

    def repeats(
        self, traffic: Traffic, counts: Mapping[Link, int], steps: int, period: int | None = None
    ) -> tuple[int, int] | None:
        """The period with which all streams repeat, and its cycles, for as long as any process looks back.

        Args:
            traffic: what moves.
            counts: beats of a unit, such as a time step or a sequence.
            steps: time steps of a unit.
            period: the only period to try, in units.
        """
        units = traffic.steps // steps
        ends = traffic.i.taken[steps * self.size - 1 :: steps * self.size]
        late = None
        for turns in range(1, units - self.memory) if period is None else [period]:
            cycles = ends[-1] - ends[-1 - turns]
            if cycles == ends[-2] - ends[-2 - turns]:
                late = late or max(units - len(traffic.streams[link.source].taken) // count for link, count in counts.items())
                if all(
                    _repeats(traffic.streams[link.source].taken, turns * count, (turns + self.memory + late) * count, cycles)
                    for link, count in counts.items()
                ):
                    return turns, cycles
        return None


def _repeats(taken: list[int], period: int, window: int, cycles: int) -> bool:
    """Each of the latest beats came a number of cycles after the one a period before."""
    if len(taken) < window + period:
        return False
    return all(now - then == cycles for now, then in zip(taken[-window:], taken[-window - period :], strict=False))


def _depths(component: wiring.Component) -> list[int]:
    """Depths of the queues of a component, or of what is one."""
    return [each.depth for each in (component, *vars(component).values()) if isinstance(each, Queue)]


__all__ = ["Timing", "latency_alone"]
