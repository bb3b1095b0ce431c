"""No pipeline hangs: a run of beats without regard to time, before any Verilog is written.

A component reads and writes its streams in an order that does not depend on time. It waits for a
beat that is not there, and for room that is not there. How far the beats of such a network get does
not depend on clocks, latencies or stalls (Kahn 1974). So one run decides for all of them.

A queue counts with the beats that it holds for certain (`Queue.capacity`).
In simulation it may hold one more, if two come in consecutive cycles.

The run takes a step within a sequence, then the last of a sequence. When all beats of a step have
left, every component is back where it began. So all sequences get through if these two steps do.

The ring alone chooses by time which of two packets enters first. Packets that return go first and
always find room, if its queue holds all packets in flight. Then packets leave in the order in which
they came, as from a queue.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ssm_hdl import SsmHdlError
from ssm_hdl.gateware.ring import WAITING
from ssm_hdl.gateware.stage import SINKS
from ssm_hdl.gateware.stream import beats, lanes, reals
from ssm_hdl.gen.joins import queue_at
from ssm_hdl.gen.structure import ENTRY
from ssm_hdl.gen.traffic import Input, Room, Traffic

if TYPE_CHECKING:
    from ssm_hdl.gen.pipeline import Pipeline


def check(pipeline: "Pipeline") -> None:
    """Refuse a pipeline that could hang.

    Raises:
        SsmHdlError: it could; the message names the queues that are too short,
            their depth and the one that they need.
    """
    wrong = _short_ring(pipeline)
    stuck = _stuck(
        pipeline, {sink: Room(queue.capacity) for sink, queue in pipeline.network.queues.items()}
    )
    if stuck:
        wrong += _short_queues(pipeline)
    if stuck or wrong:
        raise SsmHdlError(
            f"{pipeline.manifest.name}: the pipeline would hang: {'; '.join(wrong or stuck)}"
        )


def needed(pipeline: "Pipeline", sink: Input, others: Mapping[Input, Room]) -> int:
    """The least depth of the queue at an input with which no beat sticks, 0 if it needs none.

    Args:
        pipeline: the pipeline.
        sink: the input.
        others: the queues at the other inputs.
    """
    (name, index), structure = sink, pipeline.structure
    low, high = (
        0,
        beats(
            structure.numbers(structure.reads[name][index]),
            lanes(pipeline.stages[name], SINKS[index]),
        ),
    )
    while low < high:
        depth = (low + high) // 2
        if _stuck(
            pipeline,
            {**others, sink: Room(queue_at(pipeline, sink, depth).capacity)} if depth else others,
        ):
            low = depth + 1
        else:
            high = depth
    return low


def _short_queues(pipeline: "Pipeline") -> list[str]:
    """The queues of joins that are too short: one after the other gets its depth,
    the later ones having room for everything."""
    reads = pipeline.structure.reads
    inputs = [
        (name, index)
        for name, streams in reads.items()
        if len(streams) > 1
        for index in range(len(streams))
    ]
    rooms, wrong = {sink: Room() for sink in inputs}, []
    if _stuck(pipeline, rooms):
        return []
    for sink in inputs:
        del rooms[sink]
        queue, depth = pipeline.network.queues.get(sink), needed(pipeline, sink, rooms)
        if (queue.depth if queue else 0) < depth:
            name, index = sink
            has = f"has depth {queue.depth}" if queue else "is missing"
            wrong.append(
                f"the queue {name}_{index}_Queue, {reads[name][index]} to {name}, "
                f"{has} and needs {depth}"
            )
            rooms[sink] = Room()
        elif queue:
            rooms[sink] = Room(queue.capacity)
    return wrong


def _short_ring(pipeline: "Pipeline") -> list[str]:
    """The queues of the ring that are too short."""
    ring = pipeline.ring
    if ring is None:
        return []
    needs = {
        "waiting": (WAITING * ring.beats, "new packets"),
        "loop": (ring.flight * ring.beats, "packets in flight"),
    }
    return [
        f"the queue {ENTRY}.{name} of {what} has depth {getattr(ring, name).depth} "
        f"and needs {depth}"
        for name, (depth, what) in needs.items()
        if getattr(ring, name).depth < depth
    ]


def _stuck(pipeline: "Pipeline", rooms: Mapping[Input, Room]) -> list[str]:
    """What components wait for in vain with these queues; nothing if all beats get through."""
    manifest, ring = pipeline.manifest, pipeline.ring
    traffic = Traffic(pipeline.assemble(ring, rooms), manifest.input.size, lambda step: step > 0)
    for steps in (1, 1, 0 if ring is None else ring.flight + 1):
        traffic.feed(steps)
        waiting = any(
            len(stream.taken) < len(stream.offered) for stream in traffic.streams.values()
        )
        if waiting or len(traffic.o.taken) < reals(manifest.output) * (
            traffic.steps - manifest.output.per_sequence
        ):
            return traffic.stuck
    return []
