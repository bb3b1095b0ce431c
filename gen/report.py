# amaranth: UnusedElaboratable=no
"""What a pipeline will cost and how fast it will be, without synthesising it."""

from collections.abc import Sequence
from dataclasses import dataclass

from ssm_hdl import Manifest
from ssm_hdl.families import FAMILIES
from ssm_hdl.families.rams import sprams
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.stage import Stage
from ssm_hdl.gen.costs import between, cost, kind_of, stage_features, storages
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.timing import Timing

COUNTED = [family for family in FAMILIES.values() if family.synthesis]
"""The families with cells, whose block RAMs a report counts."""


@dataclass(frozen=True)
class StageReport:
    """One stage.

    Attributes:
        name: name of the operation, or of several layers' operations.
        op: kind of operation.
        layers: how many layers share it: it works so often in a time step.
        multiplications: products that one packet asks for at each layer, all layers together.
        folding: name of the folding; empty where there is but one.
        multipliers: products side by side.
        dsp_multipliers: how many of them are in DSP blocks; the others are made of LUTs.
        dsp: DSP blocks that they take.
        products: products of real numbers that they make for one packet at each layer,
            all layers together.
        kind: kind of multiplier; empty where there is none.
        cycles: cycles that a packet keeps it busy.
        latency: cycles from the last beat of a packet in to its last beat out.
        busy: share of the initiation interval in which it works.
        memory_bits: bits of its memories.
        block_rams: block RAMs of its memories, by family.
        luts: LUT4s, an estimate.
        flip_flops: flip-flops, an estimate.
        fitted: the estimates were fitted to synthesis of this operation;
            otherwise they are averages, or another family's.
        intensity: products for each byte that it reads from its memories;
            0 if it multiplies nothing.
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
    busy: float
    memory_bits: int
    block_rams: dict[str, int]
    luts: int
    flip_flops: int
    fitted: bool
    intensity: float
    output: str
    size: int


@dataclass(frozen=True)
class Report:
    """The pipeline.

    Attributes:
        name: name of the model.
        family: name of the FPGA family.
        cycles: cycles per time step, the initiation interval, as the RTL has them; of an estimate
            without timing, the cycles that the plan allows. Where several time steps take turns,
            it is their mean, which need not be whole.
        latency_alone: cycles from the last sample of a time step in to its last result out,
            for a step alone in the pipeline.
        latency_full: the same in a pipeline that is fed without a pause.
            Both are None in an estimate without timing.
        layers: how many layers share stages, 1 if none do.
        flight: time steps that may be under way in stages that layers share; 0 if none do.
        multiplications: products of a time step; what happens once per sequence is not counted.
        dsp: DSP blocks.
        dsp_multipliers: multipliers in them, up to two in one.
        lut_multipliers: multipliers made of LUTs.
        memory_bits: bits of all memories.
        block_rams: block RAMs by family.
        sprams: SPRAMs of an iCE40 UP5K.
        luts: LUT4s, on the iCE40 logic cells, an estimate; see `ssm_hdl.gen.costs`.
        flip_flops: flip-flops, an estimate.
        utilisation: products of real numbers in DSP blocks / (multipliers in DSP blocks x cycles).
        stages: the stages in order.
    """

    name: str
    family: str
    cycles: float
    latency_alone: int | None
    latency_full: int | None
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
    utilisation: float
    stages: tuple[StageReport, ...]


def estimate(manifest: Manifest, plan: Plan, timed: bool = True) -> Report:
    """The report of a manifest's pipeline under a plan.

    Args:
        manifest: the integer program.
        plan: its hardware.
        timed: state the cycles that the RTL has, which takes seconds for a large pipeline.
            Otherwise `Pipeline.bound`.

    Raises:
        SsmHdlError: the pipeline would hang.
    """
    pipeline = Pipeline(manifest, plan)
    timing = Timing(pipeline) if timed else None
    cycles = timing.cycles if timing else pipeline.bound
    family = pipeline.family
    stages, costs = [], []
    for name, stage in pipeline.stages.items():
        layers, share = pipeline.structure.stages[name], plan.stages[name]
        node = layers.node
        stage_cost = cost(kind_of(node.op.op, share), family, stage_features(stage, share, family))
        costs.append(stage_cost)
        stages.append(
            StageReport(
                name=name,
                op=node.op.op,
                layers=layers.count,
                multiplications=sum(node.multiplications for node in layers.nodes),
                folding=share.folding,
                multipliers=share.multipliers,
                dsp_multipliers=share.in_blocks,
                dsp=stage.blocks,
                products=stage.products * layers.count,
                kind=share.kind if share.multipliers else "",
                cycles=stage.work,
                latency=stage.latency,
                busy=stage.work * pipeline.structure.share(name, manifest.steps) / cycles,
                memory_bits=sum(storage.bits for storage in stage.storage),
                block_rams=_block_rams(stage.storage),
                luts=round(stage_cost.luts),
                flip_flops=round(stage_cost.flip_flops),
                fitted=stage_cost.fitted,
                intensity=_intensity(stage, share.multipliers),
                output=str(node.output.format),
                size=node.output.size,
            )
        )
    stored = storages(pipeline)
    costs += [
        cost(op, family, features)
        for op, features in between(pipeline.network.components.values(), family)
    ]
    in_blocks = sum(stage.dsp_multipliers for stage in stages)
    products = 0.0  # in DSP blocks: all multipliers of a stage make the same number
    for row in stages:
        if row.dsp_multipliers:
            share_of_steps = pipeline.structure.share(row.name, manifest.steps) / row.layers
            products += row.products * share_of_steps * row.dsp_multipliers / row.multipliers
    return Report(
        name=manifest.name,
        family=plan.family.name,
        cycles=cycles,
        latency_alone=timing.latency_alone if timing else None,
        latency_full=timing.latency_full if timing else None,
        layers=1 if pipeline.ring is None else pipeline.ring.layers,
        flight=0 if pipeline.ring is None else pipeline.ring.flight,
        multiplications=manifest.multiplications,
        dsp=sum(stage.dsp for stage in stages),
        dsp_multipliers=in_blocks,
        lut_multipliers=sum(stage.multipliers - stage.dsp_multipliers for stage in stages),
        memory_bits=sum(storage.bits for storage in stored),
        block_rams=_block_rams(stored),
        sprams=sum(sprams(storage) for storage in stored),
        luts=round(sum(entry.luts for entry in costs)),
        flip_flops=round(sum(entry.flip_flops for entry in costs)),
        utilisation=products / (max(in_blocks, 1) * cycles),
        stages=tuple(stages),
    )


def _block_rams(storages: Sequence[Storage]) -> dict[str, int]:
    """Block RAMs by family."""
    return {
        family.name: sum(family.rams.blocks(storage) for storage in storages) for family in COUNTED
    }


def _intensity(stage: Stage, multipliers: int) -> float:
    """Products for each byte read: every memory of the stage is read once in each of its cycles."""
    bits = sum(
        storage.width for storage in stage.storage if storage.depth > 1 and storage.name != "queue"
    )
    return 8 * multipliers / bits if bits else 0.0
