# amaranth: UnusedElaboratable=no
"""Queues that never fill, whatever stalls: faults that act only where they do change nothing.

How many results a stage can have begun, while its readers have taken some of them, does not depend
on time (`ssm_hdl.gen.liveness`). So the pipeline is run without time, its readers stopping after
each number of results in turn, and with room for any number of them. If none of these runs reaches
the places of the queue, the counter of free places never gets to 0.
"""

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mutants.cut import Gates, cut
from ssm_hdl import Manifest
from ssm_hdl.gateware.queue import Queue
from ssm_hdl.gateware.timing import Beats, Cycles, Process, known
from ssm_hdl.gen.network import Port
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.traffic import Room, Traffic

PACKETS, STEPS = 4, 64
"""Packets of each layer of which some results are taken;
time steps that do not all get in where the readers of a queue stop, or it is not known to."""


class Gate:
    """Passes a number of beats, and no more, to what waits at an input."""

    def __init__(self, limit: int, waits: Room | None) -> None:
        self.limit, self.waits = limit, waits

    def timing(self, i: Beats, o: Beats) -> list[Process]:
        """When its beats move."""
        if self.waits is None:
            return [Process(self._pass, i, o)]
        passed = Beats()
        return [Process(self._pass, i, passed), *self.waits.timing(passed, o)]

    def _pass(self, i: Beats, o: Beats) -> Cycles:
        for beat in range(self.limit):
            o.offered.append((yield from known(i.offered, beat)))
            i.taken.append((yield from known(o.taken, beat)))
        yield [], 0


def always_free(manifest: Manifest, plan: Plan, name: str) -> bool:
    """Whether the queue after a stage always has a free place when a result is begun, beside it."""
    pipeline = Pipeline(manifest, plan)
    stage, reads = pipeline.stages[name], pipeline.structure.reads
    gates = [(reader, index) for reader, streams in reads.items()
             for index, stream in enumerate(streams) if stream == name]  # fmt: skip
    if pipeline.structure.readers(name) != len(gates):
        return False  # results leave the pipeline, or go round
    depth, limits = stage.queue.depth, PACKETS * stage.layers.count * stage.layers.node.output.size
    with _counted(stage.queue) as begun:
        found = Counter[int]()
        for ends, limit in itertools.product((False, True), range(limits)):
            begun.clear()
            taken = _taken(pipeline, name, gates, limit, ends)
            if taken is None:
                return False
            found[taken] = max(found[taken], len(begun))
    # adapters may take several at once: fewer begin no more
    most = [found[taken] for taken in range(max(found) + 1)]
    most = list(itertools.accumulate(reversed(most), lambda more, at: at or more))[::-1]
    # those that leave in two cycles are not counted yet, and in two cycles two are begun
    return all(
        min(most[taken + 2], most[taken] + 2) - taken < depth for taken in range(len(most) - 2)
    )


def _taken(
    pipeline: Pipeline, name: str, gates: list[tuple[str, int]], limit: int, ends: bool
) -> int | None:
    """How many results of a stage are taken in the end, if its readers stop at some number of them;
    None if the pipeline does not stop then."""
    # in simulation a queue may hold one more than it promises
    rooms = {sink: Room(queue.capacity + 1) for sink, queue in pipeline.network.queues.items()}
    closing = {sink: Gate(limit, rooms.get(sink)) for sink in gates}
    network = pipeline.assemble(pipeline.ring, rooms | closing)
    traffic = Traffic(network, pipeline.manifest.input.size, lambda step: ends)
    traffic.feed(STEPS)
    stopped = len(traffic.i.taken) < STEPS * traffic.size
    return len(traffic.streams[Port(name, "o")].taken) if stopped else None


@contextmanager
def _counted(queue: Queue) -> Iterator[set[int]]:
    """A queue with room for any number of results; those that are begun."""
    begun = set[int]()

    def place(o: Beats, result: int, cycle: int) -> Any:
        begun.add(result)
        return cycle
        yield

    depth, queue.depth, queue.place = queue.depth, 1 << 30, place  # type: ignore[method-assign]
    try:
        yield begun
    finally:
        queue.depth = depth
        del queue.place


def transition(path: Path, name: str) -> bool:
    """Make a step of a design: what its registers hold comes in, what they will hold goes out;
    nothing goes out if no place is free. False if it has no counter of places.

    Args:
        path: the design, JSON of Yosys.
        name: what to call its top module.
    """
    cut(path, name)
    design: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    module = design["modules"][name]
    gates = Gates(module)
    registers = {
        cell: held["connections"]
        for cell, held in module["cells"].items()
        if held["type"] == "$dff"
    }
    nets = [module["netnames"].get(name, {}).get("bits") for name in ("places", "left")]
    counters = [held for bits in nets for held in registers.values() if held["Q"] == bits]
    if len(counters) != len(nets):
        return False  # the fault is at one of them
    places, left = counters
    # a place is free now, and then: more than those that left, which count too late
    now, (last, *others) = gates.add("$reduce_or", A=places["Q"]), places["D"]
    one = gates.add("$and", A=[last], B=gates.add("$not", A=left["Q"]))
    then = gates.add("$or", A=gates.add("$reduce_or", A=others or ["0"]), B=one)
    free = gates.add("$and", A=now, B=then)
    for cell, held in registers.items():
        del module["cells"][cell]
        next_ones = [gates.add("$and", A=[bit], B=free)[0] for bit in held["D"]]
        for port, way, bits in (("Q", "input", held["Q"]), ("D", "output", next_ones)):
            module["ports"][f"{cell}.{port}"] = {"direction": way, "bits": bits}
    path.write_text(json.dumps(design), encoding="utf-8")
    return True
