# amaranth: UnusedElaboratable=no
"""Queues where paths join.

A fork sends each beat to all of its readers, and takes the next one only when all have it. Where
two of its paths meet again, an operation takes a beat from each. If the paths need different
positions of a packet for their results, or different times, beats of one wait for the other's.
They wait in a queue, or the fork stops and with it the path that is waited for.

The depth comes from one time step that goes alone through the pipeline, with room for everything at
the inputs of joins: the most beats that wait there. With these depths the same step goes the same
way, and so does every step that comes when the one before has left.

Components read and write in an order that does not depend on time, so the beats of a network do not
depend on it either (Kahn 1974). If all beats get through in one order of events,
they do so whatever stalls, and however closely time steps follow one another.

The ring is the only component that chooses by time which of two packets enters first. Its stages
get a sequence of packets that are all alike, for which the same holds, and it has room for all that
return, see `Ring`. From outside it is a buffer that keeps the order. So no pipeline can hang.

Time steps follow every `Pipeline.bound` cycles. With the beats that one step leaves waiting at that
distance from the next as the depth, steps at that distance never wait for room. A queue delays its
own branch by a cycle or three, which the step alone did not see: 18 of 363 random graphs with many
slices take some cycles more than the bound. `ssm_hdl.gen.timing` counts with the queues as they
are, and the planner with what it says.

The reader of a part of packets has a queue in any case. A slow one would else stop the fork to all
parts for longer than the interval allows. And readiness ends at a queue: without one, the path from
the reader back through the slice, the fork and what gives the packets is the longest of the
pipeline (`s4d-64h-w4a6x8` on the UP5K reached 48.7 MHz so, and 54.9 MHz with a queue
of one beat or two).

Elsewhere there is no queue where no beat of the step waits, nor at the input of an operation whose
beats wait least, unless the step alone would stick without it.
"""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ssm_hdl.gateware.queue import Queue
from ssm_hdl.gateware.ring import Ring
from ssm_hdl.gateware.stage import SINKS
from ssm_hdl.gateware.stream import beats, lanes, shape_of
from ssm_hdl.gen.network import Port, width_of
from ssm_hdl.gen.structure import ENTRY
from ssm_hdl.gen.traffic import Input, Room, Traffic

if TYPE_CHECKING:
    from ssm_hdl.gen.pipeline import Pipeline

LEAST = 2
"""Beats that a queue holds at least: one of a single register takes a beat every other cycle."""

FOLLOWING = 4
"""Time steps that show whether the readers of parts keep up; a stage that does not is late from its
second packet on."""

PIECES = 8
"""RAMs of 16 x 4 bits, of some 4 LUTs each, that a queue is made of at most. One that needs more is
so deep that Yosys takes a block RAM for it: those of `s4d-64h-w8a8x8` on the 25F would take 140 of
5,200 LUTs, and take 2 of 56 block RAMs."""


def joins(pipeline: "Pipeline") -> tuple[Ring | None, dict[Input, Queue]]:
    """The ring of a pipeline, if it has one, and the queues at the inputs of its stages."""
    structure = pipeline.structure
    sources = {
        (name, index): source
        for name, reads in structure.reads.items()
        for index, source in enumerate(reads)
    }
    joined = [sink for sink in sources if len(structure.reads[sink[0]]) > 1]
    parts = {sink for sink, source in sources.items() if structure.part(source)}
    ring = _ring(pipeline, 1)
    if not joined and not parts and ring is None:
        return None, {}
    alone = _alone(pipeline, ring, parts.union(joined))
    waits = {sink: sum(_waits(alone, sink)) for sink in joined}
    queued = parts | {sink for sink in joined if waits[sink]}
    least = {
        min((sink for sink in joined if sink[0] == name), key=waits.__getitem__)
        for name, _ in joined
    } & queued - parts
    if least:
        without = _alone(pipeline, ring, queued - least)
        if len(without.o.taken) == len(alone.o.taken):
            alone, queued = without, queued - least
    if ring is not None:
        ring = _ring(pipeline, 1 + math.ceil(_turn(alone, ring) * ring.layers / pipeline.bound))
    prompt = _prompt(pipeline, ring, queued, parts.difference(joined))
    return ring, {
        sink: queue_at(pipeline, sink, prompt[sink])
        if sink in prompt
        else _queue(pipeline, alone, ring, sink)
        for sink in sources
        if sink in queued
    }


def _ring(pipeline: "Pipeline", flight: int) -> Ring | None:
    """The way round the stages of all layers, for packets in flight."""
    structure, loop = pipeline.structure, pipeline.structure.loop
    if loop is None:
        return None
    width = width_of(structure, pipeline.stages, ENTRY)
    packet = beats(structure.numbers(ENTRY), width)
    shape, luts_below = shape_of(structure.edges[ENTRY]), structure.memories.luts_below
    return Ring(shape, width, packet, loop.layers, flight, luts_below)


def _alone(pipeline: "Pipeline", ring: Ring | None, queued: set[Input]) -> Traffic:
    """A time step alone, a sequence of one, with unbounded queues at some inputs."""
    network = pipeline.assemble(ring, {sink: Room() for sink in queued})
    traffic = Traffic(network, pipeline.manifest.input.size)
    traffic.feed(1)
    return traffic


def _turn(alone: Traffic, ring: Ring) -> int:
    """Cycles from the entry of a packet to the entry of its successor:
    the same packet one layer on, or a new one."""
    entry, back = (alone.streams[Port(ENTRY, member)].taken for member in ("entry", "back"))
    return back[ring.beats - 1] - entry[0] + Ring.replaces


def _prompt(
    pipeline: "Pipeline", ring: Ring | None, queued: set[Input], parts: set[Input]
) -> dict[Input, int]:
    """The parts whose readers keep up without queues, and the beats that these hold then.

    Packets follow one another at the interval, though the fork waits.
    A queue of one beat takes one every other cycle.
    """
    if not parts:
        return {}
    network = pipeline.assemble(ring, {sink: Room() for sink in queued - parts})
    traffic = Traffic(network, pipeline.manifest.input.size, lambda step: False)
    traffic.feed(FOLLOWING)
    depths = {}
    for name, index in parts:
        transfers, stream = (
            traffic.streams[Port(name, SINKS[index])].taken,
            pipeline.structure.reads[name][index],
        )
        size = len(transfers) // FOLLOWING
        if size and transfers[-1] - transfers[-1 - size] <= pipeline.bound:
            depths[name, index] = (
                1 if network.slow(stream, lanes(pipeline.stages[name], SINKS[index]), 2) else LEAST
            )
    return depths


def _stay(alone: Traffic, sink: Input) -> tuple[list[int], list[int]]:
    """When the beats come that an input takes, and when it takes them."""
    name, index = sink
    queue = alone.streams.get(Port(f"{name}_{index}_Queue", "i"))
    transfers = alone.streams[Port(name, SINKS[index])]
    return (transfers.offered if queue is None else queue.offered), transfers.taken


def _waits(alone: Traffic, sink: Input) -> list[int]:
    return [departure - arrival for arrival, departure in zip(*_stay(alone, sink), strict=True)]


def _queue(pipeline: "Pipeline", alone: Traffic, ring: Ring | None, sink: Input) -> Queue:
    """The queue of an input, for the most beats that wait there when time steps
    follow one another."""
    (name, index), structure = sink, pipeline.structure
    stream = structure.reads[name][index]
    arrivals, departures = (np.array(cycles) for cycles in _stay(alone, sink))
    interval = pipeline.bound * (
        pipeline.manifest.steps if structure.edges[stream].per_sequence else 1
    )
    # packets follow one another as fast as its stages allow
    if ring is not None and structure.layers(name) > 1:
        assert structure.loop is not None
        interval = max(
            ring.beats + 1, *(pipeline.stages[stage].work for stage in structure.loop.stages)
        )
        arrivals, departures = (
            cycles[: len(cycles) // ring.layers] for cycles in (arrivals, departures)
        )
    depth = most(arrivals, np.maximum(departures, arrivals + 1), interval)
    if ring is not None and structure.layers(name) > 1:
        depth = min(depth, ring.flight * len(arrivals))
    queue = queue_at(pipeline, sink, max(LEAST, depth))
    stored = queue.storage
    while not stored.style and pipeline.family.rams.distributed(stored) > PIECES:
        stored = replace(stored, depth=stored.depth + 1)
    return queue_at(pipeline, sink, queue.depth + stored.depth - queue.storage.depth)


def queue_at(pipeline: "Pipeline", sink: Input, depth: int) -> Queue:
    """The queue of an input, of some depth."""
    (name, index), structure = sink, pipeline.structure
    stage, shape = pipeline.stages[name], shape_of(structure.edges[structure.reads[name][index]])
    # A join takes `last` from its first input.
    marked = index == 0 and (structure.stages[name].marked or stage.reads_last)
    return Queue(
        shape, lanes(stage, SINKS[index]), depth, structure.layers(name), marked, structure.memories
    )


def most(arrivals: np.ndarray, departures: np.ndarray, interval: int) -> int:
    """The most beats that wait at once, if beats come and leave in these cycles
    of every interval."""
    arrival_turns, arrivals = np.divmod(np.sort(arrivals), interval)
    departure_turns, departures = np.divmod(departures + 1, interval)
    arrivals, departures = np.sort(arrivals), np.sort(departures)
    waiting = np.searchsorted(arrivals, arrivals, "right") - np.searchsorted(
        departures, arrivals, "right"
    )
    return int((departure_turns - arrival_turns).sum() + waiting.max())
