"""How long a time step takes through the stages, when nothing waits: the first and the last beat of its packets, edge by edge."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from ssm_hdl.gateware.ring import Ring
from ssm_hdl.gateware.stream import beats, lanes, reals, widths
from ssm_hdl.gen.structure import ENTRY, EXIT

if TYPE_CHECKING:
    from ssm_hdl.gen.pipeline import Pipeline

Times: TypeAlias = dict[str, tuple[int, int]]
"""Cycles in which the first and the last beat of a packet pass, by stream."""


def latency(pipeline: "Pipeline") -> int:
    """Cycles from the last sample in to the last result out.

    Layers that share stages follow one another: a packet comes round behind the last stage, `Ring`'s latency later.
    """
    structure, ring = pipeline.structure, pipeline.ring
    entry = pipeline.entry.latency
    times: Times = {pipeline.manifest.input.name: (entry + 1 - structure.numbers(pipeline.manifest.input.name), entry)}
    loop = () if structure.loop is None else structure.loop.stages
    place = list(structure.stages).index(loop[0]) if loop else 0
    names = [name for name in structure.stages if name not in loop]
    _follow(pipeline, names[:place], times)
    if ring is not None and structure.loop is not None:
        _, gathered = _arrival(pipeline, structure.loop.source, "", pipeline.width(ENTRY), times)
        start, end = gathered + Ring.gathers, gathered + Ring.gathers + ring.beats - 1
        for _ in range(ring.layers):
            times[ENTRY] = start, end
            _follow(pipeline, loop, times)
            first, last = times[EXIT] = times[structure.loop.back]
            start = first + ring.loop.latency + 1
            end = max(start + ring.beats - 1, last + ring.loop.latency)
    _follow(pipeline, names[place:], times)
    return times[structure.output][1]


def turn(pipeline: "Pipeline", count: int) -> int:
    """Cycles from the entry of a packet of so many beats to that of what takes its place: itself one layer on, or a new one."""
    loop = pipeline.structure.loop
    assert loop is not None
    times: Times = {ENTRY: (0, count - 1)}
    _follow(pipeline, loop.stages, times)
    return times[loop.back][1] + Ring.replaces


def _follow(pipeline: "Pipeline", names: Iterable[str], times: Times) -> None:
    """Adds the times of the stages that are named.

    A stage takes its last beat when that has come and was held, or when it has worked through all, whichever is later.
    """
    for name in names:
        stage, structure = pipeline.stages[name], pipeline.structure
        node, width = structure.stages[name].node, lanes(stage.sinks[0])
        op = node.op.op
        count = beats(structure.numbers(structure.reads[name][0]), width)
        ends = [_arrival(pipeline, source, name, width, times, pipeline.holds(name) > 1) for source in structure.reads[name]]
        first, last = (max(each) for each in zip(*ends, strict=True))
        work = stage.work if op in ("scan", "embedding", "dense") else count
        taken = max(last + pipeline.holds(name) - 1, first + (stage.span if op in ("lookup", "multiply", "add") else work - 1))
        done = taken + stage.latency + max((q.latency for (at, _), q in pipeline.queues.items() if at == name), default=0)
        span = stage.span if op == "norm" else taken - first
        if op == "dense":  # the results of the last beat of every group in a burst
            span = span * (stage.folding.blocks_of_groups - 1) // stage.folding.blocks_of_groups + stage.burst
            done += stage.burst - stage.folding.passes + 1
        if op == "slice":  # its part of a packet
            part, whole, start = span * reals(node.output), reals(node.inputs[0]), getattr(node.op, "start", 0)
            done -= span - span * start // whole - part // whole
            span = part // whole
        times[name] = (max(done - span, first), done)


def _arrival(pipeline: "Pipeline", source: str, reader: str, width: int, times: Times, held: bool = False) -> tuple[int, int]:
    """When a packet of a stream is there in beats of another width, see `ssm_hdl.gateware.stream.widths`.

    A wider beat that its reader holds for long is gathered ahead, which takes a cycle more.
    """
    i_lanes, repack = pipeline.width(source), 0
    for step in widths(i_lanes, width, pipeline.structure.packet(source, reader)):
        repack += i_lanes // step if i_lanes > step else 1 + held
        i_lanes = step
    first, last = times[source]
    return first + repack, last + repack
