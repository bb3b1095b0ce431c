"""The plan of a pipeline: how many multipliers each stage gets and of what kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.families import find_family
from ssm_hdl.gateware.folding import Folding
from ssm_hdl.gateware.memories import shape_for
from ssm_hdl.gateware.stage import StagePlan
from ssm_hdl.gen.options import Choice, intervals, stage_class
from ssm_hdl.gen.options import units as find_units
from ssm_hdl.gen.stage_plan import LUTS_ARE_SCARCE, counted, dsp_kind, passes, plan_stage
from ssm_hdl.gen.structure import Structure
from ssm_hdl.operations import Node

TARGETS = ("generic", "ice40", "ecp5")
"""``generic`` lets the tool infer its multipliers; the families have theirs instantiated."""


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
        structure = Structure.of(manifest, share_layers, find_family(target))
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
            layers, stage = structure.stages[name], replace(stages[name], kind="dsp")
            fold = stage_class(layers).folds
            stage = counted(stage, layers, fold.of(layers, stage.folding) if fold is not None else None)
            if stage.blocks <= left:
                left -= stage.blocks
                stages[name] = stage
        return replace(self, stages=stages)


def _product_bits(node: Node) -> int:
    """Bits of a product of its operands."""
    widths = [edge.format.width for edge in node.inputs]
    codes = [shape_for(node.arrays[name]).width for name in ("code", "slope") if name in node.arrays]
    return max(widths) * max(codes or widths)


def _fewest(way: Sequence[Choice]) -> tuple[int, int, int]:
    """DSP blocks, multipliers, and the numbers that come and go in a cycle: results count more, since they are rounded."""
    blocks = sum(choice.folding.blocks(choice.kind) for choice in way)
    around = sum(3 * choice.folding.o_lanes + choice.folding.i_lanes for choice in way)
    return blocks, sum(choice.folding.multipliers for choice in way), around
