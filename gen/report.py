# amaranth: UnusedElaboratable=no
"""What a pipeline will cost and how fast it will be, without synthesising it."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ssm_hdl import Manifest
from ssm_hdl.gen.blocks import BLOCKS, block_rams, sprams
from ssm_hdl.gen.costs import between, cost, stage_features, storages
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.timing import Timing

COUNTED_AS = {"generic": "ecp5"}
"""The family whose LUTs are estimated for a target that is none."""


@dataclass(frozen=True)
class StageReport:
    """One stage.

    Attributes:
        name: name of the operation, or of those of several layers.
        op: kind of operation.
        layers: how many layers share it: it works so often in a time step.
        multiplications: products that one packet asks for at each layer, all layers together.
        folding: name of the folding; empty where there is but one.
        multipliers: products side by side.
        dsp_multipliers: those of them that are in DSP blocks; the others are made of LUTs.
        dsp: DSP blocks that they take.
        products: products of real numbers that they make for one packet at each layer, all layers together.
        kind: kind of multiplier; empty where there is none.
        cycles: cycles that a packet keeps it busy.
        latency: cycles from the last beat of a packet in to its last beat out.
        load: cycles in which it works in a time step; the mean, if it works once a sequence.
        memory_bits: bits of its memories.
        block_rams: block RAMs of its memories, by family.
        luts: LUT4s, an estimate.
        flip_flops: flip-flops, an estimate.
        intensity: products for each byte that it reads from its memories; 0 if it multiplies nothing.
        output: format of its results.
        size: elements of a packet of results.
    """

    name: str
    op: str
    layers: int
    multiplications: int
    folding: str
    multipliers: int
    dsp_multipliers: int
    dsp: int
    products: int
    kind: str
    cycles: int
    latency: int
    load: float
    memory_bits: int
    block_rams: dict[str, int]
    luts: int
    flip_flops: int
    intensity: float
    output: str
    size: int


@dataclass(frozen=True)
class Report:
    """The pipeline.

    Attributes:
        name: name of the model.
        target: target of the plan.
        bound: cycles per time step that the plan allows, see `Pipeline.bound`; for the choice between plans.
        layers: how many layers share stages, 1 if none do.
        flight: time steps that may be under way in stages that layers share; 0 if none do.
        multiplications: products of a time step; what happens once a sequence is not counted.
        dsp: DSP blocks.
        dsp_multipliers: multipliers in them, up to two in one.
        lut_multipliers: multipliers made of LUTs.
        memory_bits: bits of all memories.
        block_rams: block RAMs by family.
        sprams: SPRAMs of an iCE40 UP5K.
        luts: LUT4s, on the iCE40 logic cells, an estimate; see `ssm_hdl.gen.costs`.
        flip_flops: flip-flops, an estimate.
        products: products of real numbers in DSP blocks in a time step.
        stages: the stages in order.
        timing: its cycles, found when they are first asked for.
    """

    name: str
    target: str
    bound: int
    layers: int
    flight: int
    multiplications: int
    dsp: int
    dsp_multipliers: int
    lut_multipliers: int
    memory_bits: int
    block_rams: dict[str, int]
    sprams: int
    luts: int
    flip_flops: int
    products: float
    stages: tuple[StageReport, ...]
    timing: Timing = field(repr=False, compare=False)

    @property
    def cycles(self) -> float:
        """Cycles per time step, the initiation interval, see `Timing.cycles`."""
        return self.timing.cycles

    @property
    def latency_alone(self) -> int:
        """See `Timing.latency_alone`."""
        return self.timing.latency_alone

    @property
    def latency_full(self) -> int:
        """See `Timing.latency_full`."""
        return self.timing.latency_full

    @property
    def utilisation(self) -> float:
        """Products of real numbers in DSP blocks / (multipliers in DSP blocks x cycles)."""
        return self.products / (max(self.dsp_multipliers, 1) * self.cycles)

    def busy(self, stage: StageReport) -> float:
        """The share of the cycles in which a stage works."""
        return stage.load / self.cycles

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        found = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "timing"}
        found["stages"] = [asdict(stage) | {"busy": self.busy(stage)} for stage in self.stages]
        return found | {name: getattr(self, name) for name in ("cycles", "latency_alone", "latency_full", "utilisation")}


def estimate(manifest: Manifest, plan: Plan) -> Report:
    """The report of a manifest's pipeline under a plan."""
    pipeline = Pipeline(manifest, plan)
    family = COUNTED_AS.get(plan.target, plan.target)
    stages = []
    for name, stage in pipeline.stages.items():
        layers, share = pipeline.structure.stages[name], plan.stages[name]
        node = layers.node
        taken = cost(node.op.op, family, stage_features(stage, layers, share, family))
        stages.append(
            StageReport(
                name=name,
                op=node.op.op,
                layers=layers.count,
                multiplications=sum(node.multiplications for node in layers.nodes),
                folding=share.folding,
                multipliers=share.multipliers,
                dsp_multipliers=share.in_blocks,
                dsp=getattr(stage, "blocks", 0),
                products=getattr(stage, "products", 0) * layers.count,
                kind=share.kind if share.multipliers else "",
                cycles=stage.work,
                latency=stage.latency,
                load=stage.work * pipeline.structure.share(name, manifest.steps),
                memory_bits=sum(storage.bits for storage in stage.storage),
                block_rams={family: sum(block_rams(each, family) for each in stage.storage) for family in BLOCKS},
                luts=round(taken["luts"]),
                flip_flops=round(taken["flip_flops"]),
                intensity=_intensity(stage, share.multipliers),
                output=str(node.output.format),
                size=node.output.size,
            )
        )
    stored = storages(pipeline)
    others = [cost(op, family, features) for op, features in between(pipeline, family)]
    multiplications = sum(node.multiplications for node in manifest.nodes.values() if not node.output.per_sequence)
    in_blocks = sum(stage.dsp_multipliers for stage in stages)
    products = 0.0  # in DSP blocks: all multipliers of a stage make as many
    for stage in stages:
        if stage.dsp_multipliers:
            products += (
                stage.products
                / stage.layers
                * pipeline.structure.share(stage.name, manifest.steps)
                * (stage.dsp_multipliers / stage.multipliers)
            )
    return Report(
        name=manifest.name,
        target=plan.target,
        bound=pipeline.bound,
        layers=1 if pipeline.ring is None else pipeline.ring.layers,
        flight=0 if pipeline.ring is None else pipeline.ring.flight,
        multiplications=multiplications,
        dsp=sum(stage.dsp for stage in stages),
        dsp_multipliers=in_blocks,
        lut_multipliers=sum(stage.multipliers - stage.dsp_multipliers for stage in stages),
        memory_bits=sum(storage.bits for storage in stored),
        block_rams={family: sum(block_rams(storage, family) for storage in stored) for family in BLOCKS},
        sprams=sum(sprams(storage) for storage in stored),
        luts=sum(stage.luts for stage in stages) + round(sum(other["luts"] for other in others)),
        flip_flops=sum(stage.flip_flops for stage in stages) + round(sum(other["flip_flops"] for other in others)),
        products=products,
        stages=tuple(stages),
        timing=Timing(pipeline),
    )


def _intensity(stage: Any, multipliers: int) -> float:
    """Products for each byte read: every memory of the stage is read once in each of its cycles."""
    bits = sum(storage.width for storage in stage.storage if storage.depth > 1 and storage.name != "queue")
    return 8 * multipliers / bits if bits else 0.0
