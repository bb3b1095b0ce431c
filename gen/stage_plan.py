"""The plan of a stage: its lanes and multipliers, and what they have to keep up with."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from ssm_hdl import Manifest, registry
from ssm_hdl.gateware.folding import Folding
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.queue import BURST
from ssm_hdl.gateware.stage import StagePlan
from ssm_hdl.gateware.stream import reals
from ssm_hdl.gen.options import Choice, Unit, stage_class
from ssm_hdl.gen.structure import Structure
from ssm_hdl.operations import Node

LUT_MULTIPLICATIONS = 64
"""A stage with at most this many products a packet gets LUT multipliers: the element-wise gates, an encoder of one input."""

LUT_BUSY = 16
"""And so does one that a single multiplier would serve in less than one part in so many of the interval."""

LUTS_ARE_SCARCE = ("ice40",)
"""Targets on which multipliers left over replace those made of LUTs, though they are idle most of the time, and on which what
comes once in a sequence has the smallest of queues."""

_SOON = 2
"""The queues of what makes one of every element, which comes last, let its bursts go by in so many parts of their time."""


def plan_stage(
    manifest: Manifest,
    structure: Structure,
    name: str,
    interval: int,
    target: str,
    folding: Folding | None,
    kind: str | None = None,
    burst: int = BURST,
) -> StagePlan:
    """A stage that keeps up with an interval.

    Args:
        manifest: the integer program.
        structure: its stages.
        name: the stage.
        interval: cycles per time step.
        target: one of `ssm_hdl.gen.plan.TARGETS`.
        folding: its folding, if it has several; an element-wise stage has as many lanes as keep up.
        kind: kind of its multipliers; if None, those of the target, or LUTs for few products.
        burst: how many times as fast as the interval asks a packet goes through an element-wise stage.
    """
    layers = structure.stages[name]
    node, time = layers.node, _turn(interval, layers)
    if kind is None:
        multiplications = node.multiplications * structure.share(name, manifest.steps)
        kind = "lut" if multiplications <= max(LUT_MULTIPLICATIONS, interval // LUT_BUSY) else dsp_kind(target)
    if folding is None:
        lanes = _lanes(node, int(time / burst * min(_burst(structure, source) for source in structure.reads[name])))
        multipliers = lanes if node.multiplications else 0
    else:
        lanes, multipliers = folding.o_lanes, folding.multipliers
    time *= manifest.steps if node.output.per_sequence and target in LUTS_ARE_SCARCE else 1  # the result waits for its queue
    ahead = _SOON * burst if stage_class(layers).streams else BURST
    pace = max(1, time * lanes // (ahead * reals(node.output)))
    even = any(stage_class(structure.stages[reader]).takes_evenly for reader in structure.readers_of(name))
    return counted(StagePlan(lanes, folding.name if folding else "", multipliers, kind, pace, even), layers, folding)


def passes(
    manifest: Manifest, structure: Structure, unit: Unit, way: Sequence[Choice], interval: int, target: str, burst: int = BURST
) -> bool:
    """What the stage of a unit sends gets to its readers in time, though it may go by few numbers at a time on the way.

    Args:
        manifest: the integer program.
        structure: its stages.
        unit: the stage; those that are folded together go together anyway.
        way: its folding.
        interval: cycles per time step.
        target: one of `ssm_hdl.gen.plan.TARGETS`.
        burst: see `plan_stage`.
    """
    (name, *others), folding = unit.names, way[0].folding
    if others:
        return True
    for reader in structure.readers_of(name):
        if stage_class(structure.stages[reader]).folds is None:
            lanes = plan_stage(manifest, structure, reader, interval, target, None, None, burst).lanes
        elif folding.exact:
            continue
        else:
            lanes = 1  # at worst: they are folded on their own
        if structure.passing(name, reader, folding.o_lanes, lanes, manifest.steps) > interval:
            return False
    return True


def dsp_kind(target: str) -> str:
    """The kind of a target's multipliers in DSP blocks."""
    return "dsp"


def counted(stage: StagePlan, layers: Layers, fold: Folding | None) -> StagePlan:
    """The same with the DSP blocks that it takes."""
    if fold is not None:
        return replace(stage, in_blocks=fold.in_blocks(stage.kind), blocks=fold.blocks(stage.kind))
    if not stage.multipliers:
        return stage
    in_blocks = 0 if stage.kind == "lut" else stage.multipliers
    blocks = registry.stage(layers.node.op.op).dsp_blocks(layers, stage.multipliers, stage.kind)
    return replace(stage, in_blocks=in_blocks, blocks=blocks)


def _burst(structure: Structure, stream: str) -> Fraction:
    """The share of the interval in which a stream has to be read: the parts of a sliced packet come one after the other."""
    if stream not in structure.stages or not stage_class(structure.stages[stream]).streams:
        return Fraction(1)
    node = structure.stages[stream].node
    if node.output.size < node.inputs[0].size:
        return Fraction(node.output.size, node.inputs[0].size)
    return min(_burst(structure, source) for source in structure.reads[stream])


def _turn(interval: int, layers: Layers) -> int:
    """Cycles that each layer has; the ring, through which they go, takes one for itself."""
    return interval if layers.count == 1 else max(1, interval // layers.count - 1)


def _lanes(node: Node, interval: int) -> int:
    """Fewest numbers a beat with which a packet passes an element-wise stage within the interval."""
    size = reals(node.inputs[0])
    unit = registry.stage(node.op.op).most_lanes(node)
    return next((n for n in range(1, unit + 1) if unit % n == 0 and size // n <= interval), unit)
