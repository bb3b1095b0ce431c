"""The plan of a pipeline: how many multipliers each stage gets and of what kind."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.gateware import multiply
from ssm_hdl.gateware.folding import Folding
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.memories import shape_for
from ssm_hdl.gateware.queue import BURST
from ssm_hdl.gateware.stream import passing, reals
from ssm_hdl.gen.options import FOLDINGS, Choice, Unit
from ssm_hdl.gen.options import units as find_units
from ssm_hdl.gen.structure import Structure
from ssm_hdl.operations import Node

TARGETS = ("generic", "ice40", "ecp5")
"""``generic`` lets the tool infer its multipliers; the families have theirs instantiated."""

LUT_MULTIPLICATIONS = 64
"""A stage with at most this many products a packet gets LUT multipliers: the element-wise gates, an encoder of one input."""

LUT_BUSY = 16
"""And so does one that a single multiplier would serve in less than one part in so many of the interval."""

LUTS_ARE_SCARCE = ("ice40",)
"""Targets on which multipliers left over replace those made of LUTs, though they are idle most of the time, and on which what
comes once in a sequence has the smallest of queues."""

ELEMENTWISE = ("slice", "lookup", "multiply", "add")
"""Operations that make of every element one, or drop it."""

_SOON = 2
"""The queues of what makes one of every element, which comes last, let its bursts go by in so many parts of their time."""


@dataclass(frozen=True)
class StagePlan:
    """One stage.

    Attributes:
        lanes: numbers in a beat of its output.
        folding: name of the folding, of the operations that have several.
        multipliers: products side by side; 0 where there is none.
        blocks: DSP blocks that they take, two of them at times one.
        kind: kind of multiplier, one of `ssm_hdl.gateware.multiplier.KINDS`.
        pace: cycles that the plan leaves between two results.
        registers: the sums of a pool or a dense are registers, where block RAMs are scarcer.
        spram: names of its tables that are in SPRAM instead of block RAM; see `ssm_hdl.gen.spram.spill`.
    """

    lanes: int = 1
    folding: str = ""
    multipliers: int = 0
    kind: str = "dsp"
    pace: int = 1
    registers: bool = False
    blocks: int = 0
    spram: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """How a manifest becomes hardware.

    Attributes:
        target: one of `TARGETS`.
        stages: the plan of each operation, by name; of the same operation of all layers, if they share stages.
        share_layers: the layers of a deep model, repetitions of the same operations, share one set of stages.
    """

    target: str
    stages: Mapping[str, StagePlan]
    share_layers: bool = False

    @property
    def dsp(self) -> int:
        """DSP blocks."""
        return sum(stage.blocks for stage in self.stages.values())

    @classmethod
    def fit(
        cls,
        manifest: Manifest,
        dsp: int = 8,
        target: str = "generic",
        folding: Mapping[str, str] | None = None,
        share_layers: bool = False,
    ) -> "Plan":
        """The plan with the fewest cycles per step within a number of DSP blocks, whatever else it takes.

        The bottleneck decides: for every interval that some folding reaches, each stage takes the fewest multipliers that
        keep up with it, and the shortest interval whose sum fits wins. Exact, since stages are independent; what reads the
        channels of a scan is folded together with it. `ssm_hdl.gen.sizer` sizes for a device.

        Args:
            manifest: the integer program.
            dsp: DSP blocks to spend.
            target: one of `TARGETS`.
            folding: foldings of stages that the caller decides, by name: multipliers, or the name of one.
            share_layers: the layers share one set of stages, each of which works once for every layer in a step.

        Raises:
            SsmHdlError: no folding fits the budget, ``folding`` or ``target`` name what is not there, or no layers can share.
        """
        if target not in TARGETS:
            raise SsmHdlError(f"target {target!r} is not known; there are {', '.join(TARGETS)}")
        structure = Structure.of(manifest, share_layers, target)
        units = find_units(structure, manifest.steps, folding or {}, (dsp_kind(target),))
        for interval in intervals(manifest, units):
            picked: dict[str, Folding] = {}
            for unit in units:
                ways = [way for way in unit.within(interval) if passes(manifest, structure, unit, way, interval, target)]
                if ways:
                    way = min(ways, key=_fewest)
                    picked |= {name: choice.folding for name, choice in zip(unit.names, way, strict=True)}
            if len(picked) == sum(len(unit.names) for unit in units):
                plan = cls.complete(manifest, structure, target, picked, interval)
                if plan.dsp <= dsp:
                    return plan._spend(structure, dsp) if target in LUTS_ARE_SCARCE else plan
        spent = ", ".join(name for name, stage in plan.stages.items() if stage.multipliers and stage.kind != "lut")
        raise SsmHdlError(f"{manifest.name}: {dsp} DSP blocks are too few, it needs at least {plan.dsp}, one for each of {spent}")

    @classmethod
    def complete(
        cls,
        manifest: Manifest,
        structure: Structure,
        target: str,
        picked: Mapping[str, Folding],
        interval: int,
    ) -> "Plan":
        """Add the element-wise stages, with as many lanes as keep up with ``interval``.

        Args:
            manifest: the integer program.
            structure: its stages.
            target: one of `TARGETS`.
            picked: the folding of every stage that has several.
            interval: cycles per time step.
        """
        stages = {name: plan_stage(manifest, structure, name, interval, target, picked.get(name)) for name in structure.stages}
        return cls(target, stages, structure.loop is not None)

    def _spend(self, structure: Structure, dsp: int) -> "Plan":
        """The same with DSP blocks for what LUTs would multiply, as far as they go, the widest products first."""
        stages, left = dict(self.stages), dsp - self.dsp
        in_luts = [name for name, stage in stages.items() if stage.multipliers and stage.kind == "lut"]
        for name in sorted(in_luts, key=lambda name: -_product_bits(structure.stages[name].node)):
            layers, stage = structure.stages[name], replace(stages[name], kind=self.target)
            fold = FOLDINGS.get(layers.node.op.op)
            stage = _counted(stage, layers, fold.of(layers, stage.folding) if fold is not None else None)
            if stage.blocks <= left:
                left -= stage.blocks
                stages[name] = stage
        return replace(self, stages=stages)


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
        target: one of `TARGETS`.
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
    ahead = _SOON * burst if node.op.op in (*ELEMENTWISE, "pool") else BURST
    pace = max(1, time * lanes // (ahead * reals(node.output)))
    return _counted(StagePlan(lanes, folding.name if folding else "", multipliers, kind, pace), layers, folding)


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
        target: one of `TARGETS`.
        burst: see `plan_stage`.
    """
    (name, *others), folding = unit.names, way[0].folding
    if others:
        return True
    packets = structure.packets(name) / (manifest.steps if structure.edges[name].per_sequence else 1)
    for reader in structure.readers_of(name):
        if structure.stages[reader].node.op.op not in FOLDINGS:
            lanes = plan_stage(manifest, structure, reader, interval, target, None, None, burst).lanes
        elif folding.exact:
            continue
        else:
            lanes = 1  # at worst: they are folded on their own
        if packets * passing(folding.o_lanes, lanes, structure.packet(name)) > interval:
            return False
    return True


def dsp_kind(target: str) -> str:
    """The kind of a target's multipliers in DSP blocks."""
    return "dsp" if target == "generic" else target


def _counted(stage: StagePlan, layers: Layers, fold: Folding | None) -> StagePlan:
    """The same with the DSP blocks that it takes."""
    if fold is not None:
        return replace(stage, blocks=fold.blocks(stage.kind))
    return replace(stage, blocks=multiply.blocks(layers.node, stage.multipliers, stage.kind)) if stage.multipliers else stage


def _burst(structure: Structure, stream: str) -> Fraction:
    """The share of the interval in which a stream has to be read: the parts of a sliced packet come one after the other."""
    node = structure.stages[stream].node if stream in structure.stages else None
    if node is None or node.op.op not in ELEMENTWISE:
        return Fraction(1)
    if node.op.op == "slice":
        return Fraction(node.output.size, node.inputs[0].size)
    return min(_burst(structure, source) for source in structure.reads[stream])


def _turn(interval: int, layers: Layers) -> int:
    """Cycles that each layer has; the ring, through which they go, takes one for itself."""
    return interval if layers.count == 1 else max(1, interval // layers.count - 1)


def _product_bits(node: Node) -> int:
    """Bits of a product of its operands."""
    widths = [edge.format.width for edge in node.inputs]
    codes = [shape_for(node.arrays[name]).width for name in ("code", "slope") if name in node.arrays]
    return max(widths) * max(codes or widths)


def intervals(manifest: Manifest, units: Sequence[Unit]) -> list[int]:
    """Every interval at which something can be folded otherwise, the shortest first, none shorter than the ports allow."""
    ports = max(manifest.input.size, 1 if manifest.output.per_sequence else manifest.output.size)
    ports = max(ports, *(reals(node.output) for node in manifest.nodes.values() if node.op.op == "embedding"), 0)
    return sorted({ports, *(max(ports, cycles) for unit in units for cycles in unit.intervals)})


def _fewest(way: Sequence[Choice]) -> tuple[int, int, int]:
    """DSP blocks, multipliers, and the numbers that come and go in a cycle: results count more, since they are rounded."""
    blocks = sum(choice.folding.blocks(choice.kind) for choice in way)
    around = sum(3 * choice.folding.o_lanes + choice.folding.i_lanes for choice in way)
    return blocks, sum(choice.folding.multipliers for choice in way), around


def _lanes(node: Node, interval: int) -> int:
    """Fewest numbers a beat with which a packet passes an element-wise stage within the interval."""
    size = reals(node.inputs[0])
    unit = math.gcd(size, getattr(node.op, "start", 0), reals(node.output))
    return next((n for n in range(1, unit + 1) if unit % n == 0 and size // n <= interval), unit)
