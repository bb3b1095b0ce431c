"""The plan of a pipeline: how many multipliers each stage gets and of what kind."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.gateware.folding import DenseFolding, Folding, ScanFolding
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.memories import shape_for
from ssm_hdl.gateware.multiplier import DSP_LATENCY
from ssm_hdl.gateware.norm import NormFolding
from ssm_hdl.gateware.stream import reals
from ssm_hdl.gen.structure import Structure
from ssm_hdl.operations import Node

TARGETS = ("generic", "ice40", "ecp5")
"""``generic`` lets the tool infer its multipliers; the families have theirs instantiated."""

LUT_MULTIPLICATIONS = 64
"""A stage with at most this many products a packet gets LUT multipliers: the element-wise gates, an encoder of one input."""

LUT_BUSY = 16
"""And so does one that a single multiplier would serve in less than one part in so many of the interval."""

LUTS_ARE_SCARCE = ("ice40",)
"""Targets on which multipliers left over replace those made of LUTs, though they are idle most of the time."""

_BURST = 2
"""Results come in bursts (a gate after its values): stages are paced this much faster than the interval asks."""

FOLDINGS: dict[str, type[Folding]] = {"dense": DenseFolding, "scan": ScanFolding, "norm": NormFolding}
"""The operations that fold their products onto any number of multipliers."""


@dataclass(frozen=True)
class StagePlan:
    """One stage.

    Attributes:
        lanes: numbers in a beat of its output.
        multipliers: products side by side; 0 where there is none.
        kind: kind of multiplier, one of `ssm_hdl.gateware.multiplier.KINDS`.
        pace: cycles that the plan leaves between two results.
        registers: the sums of a pool are registers, where block RAMs are scarcer.
        spram: names of its tables that are in SPRAM instead of block RAM; see `ssm_hdl.gen.spram.spill`.
    """

    lanes: int = 1
    multipliers: int = 0
    kind: str = "dsp"
    pace: int = 1
    registers: bool = False
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
        """Multipliers in DSP blocks."""
        return sum(stage.multipliers for stage in self.stages.values() if stage.kind != "lut")

    @classmethod
    def fit(
        cls,
        manifest: Manifest,
        dsp: int = 8,
        target: str = "generic",
        folding: Mapping[str, int] | None = None,
        share_layers: bool = False,
    ) -> "Plan":
        """The plan with the fewest cycles per step within a number of DSP multipliers.

        The bottleneck decides: for every interval that some folding reaches, each stage takes the fewest multipliers that
        keep up with it, and the shortest interval whose sum fits wins. Exact, since stages are independent.

        Args:
            manifest: the integer program.
            dsp: DSP multipliers to spend.
            target: one of `TARGETS`.
            folding: multipliers of stages that the caller decides, by name.
            share_layers: the layers share one set of stages, each of which works once for every layer in a step.

        Raises:
            SsmHdlError: no folding fits the budget, ``folding`` or ``target`` name what is not there, or no layers can share.
        """
        folding = dict(folding or {})
        if target not in TARGETS:
            raise SsmHdlError(f"target {target!r} is not known; there are {', '.join(TARGETS)}")
        structure = Structure.of(manifest, share_layers)
        folded = {name: layers for name, layers in structure.stages.items() if layers.node.op.op in FOLDINGS}
        for name in folding:
            if name not in folded:
                raise SsmHdlError(f"no stage {name!r} to fold; the stages that multiply are {', '.join(folded)}")
        choices: dict[str, Sequence[Folding]] = {}
        for name, layers in folded.items():
            fold = FOLDINGS[layers.node.op.op]
            choices[name] = [fold.of(layers, folding[name])] if name in folding else fold.choices(layers)
        costs = {
            name: {choice.multipliers: choice.interval(DSP_LATENCY) * structure.share(name, manifest.steps) for choice in each}
            for name, each in choices.items()
        }
        ports = max(manifest.input.size, 1 if manifest.output.per_sequence else manifest.output.size)
        ports = max(ports, *(reals(node.output) for node in manifest.nodes.values() if node.op.op == "embedding"), 0)
        intervals = {math.ceil(cycles) for cost in costs.values() for cycles in cost.values()}
        for interval in sorted({ports, *(max(ports, interval) for interval in intervals)}):
            picked = {
                name: min((fold for fold in choices[name] if costs[name][fold.multipliers] <= interval), key=_count, default=None)
                for name in folded
            }
            fast_enough = {name: fold for name, fold in picked.items() if fold is not None}
            if len(fast_enough) == len(folded):
                plan = cls._complete(manifest, structure, target, fast_enough, interval)
                if plan.dsp <= dsp:
                    return plan._spend(structure, dsp) if target in LUTS_ARE_SCARCE else plan
        spent = ", ".join(name for name, stage in plan.stages.items() if stage.multipliers and stage.kind != "lut")
        raise SsmHdlError(
            f"{manifest.name}: {dsp} DSP multipliers are too few, it needs at least {plan.dsp}, one for each of {spent}"
        )

    @classmethod
    def _complete(
        cls, manifest: Manifest, structure: Structure, target: str, picked: Mapping[str, Folding], interval: int
    ) -> "Plan":
        """Add the element-wise stages, with as many lanes as keep up with ``interval``."""
        dsp = "dsp" if target == "generic" else target
        stages = {}
        for name, layers in structure.stages.items():
            node = layers.node
            multiplications = node.multiplications * structure.share(name, manifest.steps)
            kind = "lut" if multiplications <= max(LUT_MULTIPLICATIONS, interval // LUT_BUSY) else dsp
            time = _turn(interval, layers)
            if name in picked:
                lanes, multipliers = picked[name].o_lanes, picked[name].multipliers
            else:
                lanes = _lanes(node, time)
                multipliers = lanes if node.multiplications else 0
            time *= manifest.steps if node.output.per_sequence else 1
            pace = max(1, time * lanes // (_BURST * reals(node.output)))
            stages[name] = StagePlan(lanes, multipliers, kind, pace)
        return cls(target, stages, structure.loop is not None)

    def _spend(self, structure: Structure, dsp: int) -> "Plan":
        """The same with DSP multipliers for what LUTs would multiply, as far as they go, the widest products first."""
        stages, left = dict(self.stages), dsp - self.dsp
        in_luts = [name for name, stage in stages.items() if stage.multipliers and stage.kind == "lut"]
        for name in sorted(in_luts, key=lambda name: -_product_bits(structure.stages[name].node)):
            if stages[name].multipliers <= left:
                left -= stages[name].multipliers
                stages[name] = replace(stages[name], kind=self.target)
        return replace(self, stages=stages)


def _turn(interval: int, layers: Layers) -> int:
    """Cycles that each layer has; the ring, through which they go, takes one for itself."""
    return interval if layers.count == 1 else max(1, interval // layers.count - 1)


def _product_bits(node: Node) -> int:
    """Bits of a product of its operands."""
    widths = [edge.format.width for edge in node.inputs]
    codes = [shape_for(node.arrays[name]).width for name in ("code", "slope") if name in node.arrays]
    return max(widths) * max(codes or widths)


def _count(folding: Folding) -> int:
    return folding.multipliers


def _lanes(node: Node, interval: int) -> int:
    """Fewest numbers a beat with which a packet passes an element-wise stage within the interval."""
    size = reals(node.inputs[0])
    unit = math.gcd(size, getattr(node.op, "start", 0), reals(node.output))
    return next((n for n in range(1, unit + 1) if unit % n == 0 and size // n <= interval), unit)
