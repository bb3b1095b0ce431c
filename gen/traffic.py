"""A network in time: samples fed into it, and the cycles in which the beats of
every stream move."""

import math
from collections.abc import Callable
from itertools import count
from typing import TypeAlias

from ssm_hdl.gateware.timing import Beats, Cycles, Process, Schedule, known, sink, source, stuck
from ssm_hdl.gen.network import Network, Port

Input: TypeAlias = tuple[str, int]
"""A stage and the index of one of its inputs."""


class Room:
    """A queue without latency, which only has a timing.

    Args:
        capacity: beats that it holds; any number unless told.
    """

    def __init__(self, capacity: float = math.inf) -> None:
        self.capacity = capacity

    def timing(self, i: Beats, o: Beats) -> list[Process]:
        """When its beats move."""
        return [Process(self._take, i, o), Process(self._give, i, o)]

    def _take(self, i: Beats, o: Beats) -> Cycles:
        for beat in count():
            cycle = yield from known(i.offered, beat)
            if beat >= self.capacity:
                cycle = max(cycle, (yield from known(o.taken, beat - int(self.capacity))) + 1)
            i.taken.append(cycle)

    def _give(self, i: Beats, o: Beats) -> Cycles:
        for beat in count():
            comes = yield from known(i.taken, beat)
            o.offered.append(max(comes, (yield from known(o.taken, beat - 1)) + 1 if beat else 0))


class Traffic:
    """Transfers of a network that is fed and drained without a pause.

    Args:
        network: the network.
        size: samples of a time step.
        ends: which time steps end a sequence; each unless told.

    Attributes:
        streams: the transfers of every link, by either of its ports.
        i, o: the transfers of the samples, and of the results.
    """

    def __init__(
        self, network: Network, size: int, ends: Callable[[int], bool] = lambda step: True
    ) -> None:
        self.network, self.size = network, size
        self.streams = network.streams(ends)
        self.i, self.o = self.streams[Port("", "i")], self.streams[Port("", "o")]
        self._earliest: list[int] = []
        self._processes = [Process(source(self._earliest), self.i), Process(sink, self.o)]
        members: dict[str, dict[str, Beats | list[Beats]]] = {
            name: {} for name in network.components
        }
        for port, beats in sorted(
            (port, beats) for port, beats in self.streams.items() if port.component
        ):
            if port.branch is None:
                members[port.component][port.member] = beats
            else:
                branches = members[port.component].setdefault(port.member, [])
                assert isinstance(branches, list)
                branches.append(beats)
        for name, component in network.components.items():
            self._processes += component.timing(**members[name])
        self._schedule = Schedule(self._processes)

    def feed(self, steps: int, more: bool = False, start: int = 0) -> None:
        """Feed time steps and follow them as far as they get.

        Args:
            steps: how many more.
            more: others will follow, without a pause.
            start: the earliest cycle for their samples.
        """
        self._earliest += [start] * (steps * self.size)
        source = self._processes[0]
        self._schedule.run(lambda: more and source.waits[0] is self._earliest)

    @property
    def steps(self) -> int:
        """Time steps fed."""
        return len(self._earliest) // self.size

    @property
    def stuck(self) -> list[str]:
        """What the processes wait for; of a network that has done all it was to do,
        the next time step."""
        return stuck(self._processes)
