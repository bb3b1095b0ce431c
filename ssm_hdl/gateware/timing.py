"""When beats move: the cycles of every transfer, found beat by beat and without data.

A handshake is a recurrence. Beat k of a stream is *offered* in the first cycle in which ``valid``
is high for it, and *taken* in the cycle in which ``ready`` is high too. A component takes a beat,
or offers one, some cycles after others were offered or taken at its ports, so its timing is a
process that reads cycles and appends cycles: `Component.timing` of the gateware returns it.
Cycle 0 is the first after reset. The cost is per beat, however many cycles pass between two.

Each process is deterministic and reads its streams in a fixed order, with blocking reads and
bounded buffers. Such a network moves the same beats whatever the speed of its parts (Kahn 1974).
So one run that does not stick shows that no stalls at either end can make it stick.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from itertools import count
from typing import TypeAlias

Wait: TypeAlias = tuple[list[int], int]
"""A list of cycles, and the index of the one that a process waits for."""

Cycles: TypeAlias = Generator[Wait, bool | None]
"""A process: it yields what it waits for, and goes on once that is known."""

Cycle: TypeAlias = Generator[Wait, bool | None, int]
"""A part of a process that returns a cycle."""


def known(cycles: list[int], index: int) -> Cycle:
    """A cycle of a list, as soon as it is known."""
    if len(cycles) <= index:
        yield cycles, index
    return cycles[index]


class Beats:
    """The transfers of a stream.

    Args:
        name: what an error calls the stream.
        ends: whether a packet, by its index, is the last of its sequence; every one is unless told.

    Attributes:
        offered: by beat, the first cycle in which it is valid.
        taken: by beat, the cycle in which it moves.
    """

    def __init__(self, name: str = "", ends: Callable[[int], bool] = lambda packet: True) -> None:
        self.name, self.ends = name, ends
        self.offered: list[int] = []
        self.taken: list[int] = []


class Process:
    """The timing of a component, or of a part of it that goes on while another waits.

    Args:
        function: makes the generator from the streams.
        streams: it reads and writes them.

        chooses: it takes whichever of two beats comes first, see `Schedule.run`.

    Attributes:
        waits: what it waits for.
    """

    def __init__(
        self,
        function: Callable[..., Cycles],
        *streams: Beats | Sequence[Beats],
        chooses: bool = False,
    ) -> None:
        self.chooses = chooses
        self.streams = [
            beats for each in streams for beats in ([each] if isinstance(each, Beats) else each)
        ]
        self._cycles = function(*streams)
        self.waits: Wait = [], 0
        self.neighbours: list[Process] = []
        self.queued = True

    def go(self, last: bool = False) -> None:
        """Go on until it waits again."""
        self.queued = False
        self.waits = self._cycles.send(last or None)

    @property
    def able(self) -> bool:
        """What it waits for is known."""
        return len(self.waits[0]) > self.waits[1]


class Schedule:
    """Runs processes until none can go on.

    Args:
        processes: all of them.
    """

    def __init__(self, processes: Sequence[Process]) -> None:
        self.processes = processes
        users: dict[int, list[Process]] = {}
        for process in processes:
            for beats in process.streams:
                users.setdefault(id(beats), []).append(process)
        for process in processes:
            near = [other for beats in process.streams for other in users[id(beats)]]
            process.neighbours = list(dict.fromkeys(near))

    def run(self, paused: Callable[[], bool] = lambda: False) -> None:
        """Go on until every process waits for what no other will do.

        Args:
            paused: beats may still come from outside. If not, a process that chooses the first of
                two beats, and knows when one of them comes, learns that the other comes later:
                it depends on the choice.
        """
        ready = deque(process for process in self.processes if process.queued or process.able)
        for process in ready:
            process.queued = True
        while ready:
            process = ready.popleft()
            process.go()
            ready += self._woken(process)
            if not ready and not paused():
                for process in filter(lambda each: each.chooses, self.processes):
                    process.go(last=True)
                    ready += self._woken(process)

    def _woken(self, process: Process) -> list[Process]:
        woken = []
        for neighbour in process.neighbours:
            cycles, beat = neighbour.waits
            if len(cycles) > beat and not neighbour.queued:
                neighbour.queued = True
                woken.append(neighbour)
        return woken


def stuck(processes: Sequence[Process]) -> list[str]:
    """For each stream at which a process waits in vain, what it waits for."""
    lists = {
        id(cycles): (beats.name, what)
        for process in processes
        for beats in process.streams
        if beats.name
        for cycles, what in ((beats.offered, "a beat of"), (beats.taken, "room for"))
    }
    reasons = (lists.get(id(process.waits[0])) for process in processes)
    return list(dict.fromkeys(f"{what} {name}" for name, what in filter(None, reasons)))


def source(earliest: list[int]) -> Callable[[Beats], Cycles]:
    """Offers a beat for each of the earliest cycles in a list, which may grow;
    each only once the one before has gone."""

    def run(o: Beats) -> Cycles:
        before = -1
        for beat in count():
            o.offered.append(max((yield from known(earliest, beat)), before + 1))
            before = yield from known(o.taken, beat)

    return run


def sink(i: Beats) -> Cycles:
    """Takes every beat at once."""
    while True:
        i.taken += i.offered[len(i.taken) :]
        yield i.offered, len(i.taken)
