"""The plan of a stage for an interval: its lanes, its multipliers, and the pace of its queue."""

from dataclasses import replace
from fractions import Fraction

from ssm_hdl import Manifest, registry
from ssm_hdl.gateware.folding import Folding, divisors
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.multiplier import LUT
from ssm_hdl.gateware.queue import BURST
from ssm_hdl.gateware.stage import StagePlan
from ssm_hdl.gateware.stream import reals
from ssm_hdl.gen.size.foldings import stage_class
from ssm_hdl.gen.structure import Structure
from ssm_hdl.operations import Node

WIDER = 4
"""Lanes of an element-wise stage that are tried, as a multiple of the fewest that keep up.
With its neighbours' lanes it needs no adapters."""


def plan_stage(
    manifest: Manifest,
    structure: Structure,
    name: str,
    interval: int,
    kind: str,
    folding: Folding | None = None,
    lanes: int | None = None,
    speed: int = BURST,
) -> StagePlan:
    """A stage that keeps up with an interval.

    Args:
        manifest: the integer program.
        structure: its stages.
        name: the stage.
        interval: cycles per time step.
        kind: kind of its multipliers.
        folding: its folding, if it has several.
        lanes: numbers in a beat of a stage without foldings; the fewest that keep up if None.
        speed: how many times as fast as the interval asks results leave the queue. At least
            `BURST`, since results come in bursts; more shortens the latency and
            takes larger queues.
    """
    layers = structure.stages[name]
    node, time = layers.node, _turn(interval, layers)
    if folding is not None:
        lanes, multipliers = folding.o_lanes, folding.multipliers
    else:
        lanes = lane_choices(structure, name, interval, speed)[0] if lanes is None else lanes
        multipliers = lanes if node.multiplications else 0
    o_lanes = lanes if folding else stage_class(layers).o_lanes(node, lanes)
    if node.inputs[0].per_sequence and speed == BURST:  # its queue has a sequence's time
        time *= manifest.steps
    pace = max(1, time * o_lanes // (speed * reals(node.output)))
    even = any(
        stage_class(structure.stages[reader]).takes_evenly for reader in structure.readers_of(name)
    )
    return _counted(
        StagePlan(lanes, folding.name if folding else "", multipliers, kind, pace, even),
        layers,
        folding,
    )


def lane_choices(structure: Structure, name: str, interval: int, speed: int = BURST) -> list[int]:
    """Numbers in a beat with which packets pass a stage without foldings in time,
    the fewest first."""
    node = structure.stages[name].node
    time = int(
        _turn(interval, structure.stages[name])
        / speed
        * min(_burst(structure, source) for source in structure.reads[name])
    )
    size = reals(node.inputs[0])
    every = divisors(registry.stage(node.op.op).most_lanes(node))
    enough = [lanes for lanes in every if size // lanes <= time] or every[-1:]
    return [lanes for lanes in enough if lanes <= WIDER * enough[0]]


def _counted(stage: StagePlan, layers: Layers, folding: Folding | None) -> StagePlan:
    """The same with its DSP blocks."""
    if folding is not None:
        return replace(
            stage, in_blocks=folding.in_blocks(stage.kind), blocks=folding.blocks(stage.kind)
        )
    if not stage.multipliers or stage.kind == LUT:
        return stage
    blocks = stage_class(layers).dsp_blocks(layers, stage.multipliers, stage.kind)
    return replace(stage, in_blocks=stage.multipliers if blocks else 0, blocks=blocks)


def _burst(structure: Structure, stream: str, known: dict[str, Fraction] | None = None) -> Fraction:
    """The share of the interval in which a stream has to be read: the parts of a sliced packet come
    one after the other.

    Args:
        structure: the stages.
        stream: the stream.
        known: answers so far; without them a chain of sums x + x would be walked once for
            each of its paths.
    """
    known = {} if known is None else known
    if stream not in known:
        known[stream] = _burst_of(structure, stream, known)
    return known[stream]


def _burst_of(structure: Structure, stream: str, known: dict[str, Fraction]) -> Fraction:
    """As `_burst`, which keeps the answer."""
    if stream not in structure.stages or not stage_class(structure.stages[stream]).streams:
        return Fraction(1)
    node = structure.stages[stream].node
    if node.output.size < node.inputs[0].size:
        return Fraction(node.output.size, node.inputs[0].size)
    return min(_burst(structure, source, known) for source in structure.reads[stream])


def _turn(interval: int, layers: Layers) -> int:
    """Cycles that each layer has; the ring, through which they go, takes one for itself."""
    return interval if layers.count == 1 else max(1, interval // layers.count - 1)


def waiting(node: Node, interval: int, plan: StagePlan, work: int, burst: int, speed: int) -> float:
    """Cycles for which a stage works with its last beat while no result leaves; with all beats,
    if it works once per sequence.

    What a scan reads may leave late, since the scan takes the whole interval for it.
    """
    if node.output.per_sequence:
        return work + burst
    leaving = interval if plan.even else min(reals(node.output), interval // speed)
    return max(0, burst - leaving)
