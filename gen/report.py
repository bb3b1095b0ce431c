# amaranth: UnusedElaboratable=no
"""What a pipeline will cost and how fast it will be, without synthesising it."""

from dataclasses import dataclass

from ssm_hdl import Manifest
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.spram import WIDTH
from ssm_hdl.gateware.stream import lanes
from ssm_hdl.gen.latency import latency
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan

BLOCKS = {
    "ice40": ((256, 16), (512, 8), (1024, 4), (2048, 2)),
    "ecp5": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
}
"""(depth, width) that a block RAM can be: the EBR of an iCE40, the DP16KD of an ECP5 with one read and one write port."""

_CONTROL = 50
"""LUTs of the counters, the handshakes and the flags of a stage."""


@dataclass(frozen=True)
class StageReport:
    """One stage.

    Attributes:
        name: name of the operation, or of those of several layers.
        op: kind of operation.
        layers: how many layers share it: it works so often in a time step.
        multiplications: products that one packet asks for at each layer, all layers together.
        multipliers: products side by side.
        kind: kind of multiplier; empty where there is none.
        cycles: cycles that a packet keeps it busy.
        latency: cycles from the last beat of a packet in to its last beat out.
        busy: share of the initiation interval in which it works.
        memory_bits: bits of its memories.
        output: format of its results.
        size: elements of a packet of results.
    """

    name: str
    op: str
    layers: int
    multiplications: int
    multipliers: int
    kind: str
    cycles: int
    latency: int
    busy: float
    memory_bits: int
    output: str
    size: int


@dataclass(frozen=True)
class Report:
    """The pipeline.

    Attributes:
        name: name of the model.
        target: target of the plan.
        cycles: cycles per time step, the initiation interval; exact down to some 16 cycles, where single bubbles appear.
        latency: cycles from the last sample in to the last result out, in a pipeline that keeps pace.
        layers: how many layers share stages, 1 if none do.
        flight: time steps that may be under way in stages that layers share; 0 if none do.
        multiplications: products of a time step; what happens once a sequence is not counted.
        dsp: multipliers in DSP blocks.
        lut_multipliers: multipliers made of LUTs.
        memory_bits: bits of all memories.
        block_rams: block RAMs by family.
        sprams: SPRAMs of an iCE40 UP5K.
        luts: LUT4s with the flip-flops that do not share one, an estimate within a third or so.
        utilisation: multiplications / (multipliers in DSP blocks x cycles).
        stages: the stages in order.
    """

    name: str
    target: str
    cycles: int
    latency: int
    layers: int
    flight: int
    multiplications: int
    dsp: int
    lut_multipliers: int
    memory_bits: int
    block_rams: dict[str, int]
    sprams: int
    luts: int
    utilisation: float
    stages: tuple[StageReport, ...]


def estimate(manifest: Manifest, plan: Plan) -> Report:
    """The report of a manifest's pipeline under a plan."""
    pipeline = Pipeline(manifest, plan)
    stages = []
    for name, stage in pipeline.stages.items():
        layers, share = pipeline.structure.stages[name], plan.stages[name]
        node = layers.node
        stages.append(
            StageReport(
                name=name,
                op=node.op.op,
                layers=layers.count,
                multiplications=sum(node.multiplications for node in layers.nodes),
                multipliers=share.multipliers,
                kind=share.kind if share.multipliers else "",
                cycles=stage.work,
                latency=stage.latency,
                busy=stage.work * pipeline.structure.share(name, manifest.steps) / pipeline.cycles,
                memory_bits=sum(storage.bits for storage in stage.storage),
                output=str(node.output.format),
                size=node.output.size,
            )
        )
    memories = storages(pipeline)
    multiplications = sum(node.multiplications for node in manifest.nodes.values() if not node.output.per_sequence)
    return Report(
        name=manifest.name,
        target=plan.target,
        cycles=pipeline.cycles,
        latency=latency(pipeline),
        layers=1 if pipeline.ring is None else pipeline.ring.layers,
        flight=0 if pipeline.ring is None else pipeline.ring.flight,
        multiplications=multiplications,
        dsp=plan.dsp,
        lut_multipliers=sum(stage.multipliers for stage in stages if stage.kind == "lut"),
        memory_bits=sum(storage.bits for storage in memories),
        block_rams={family: sum(block_rams(storage, family) for storage in memories) for family in BLOCKS},
        sprams=sum(sprams(storage) for storage in memories),
        luts=_luts(pipeline),
        utilisation=multiplications / (max(plan.dsp, 1) * pipeline.cycles),
        stages=tuple(stages),
    )


def storages(pipeline: Pipeline) -> list[Storage]:
    """Every memory of a pipeline: those of its stages, the queues between them, and those of the ring."""
    between = [queue.storage for queue in pipeline.queues.values()]
    ring = [] if pipeline.ring is None else pipeline.ring.storage
    return [*between, *ring, *(storage for stage in pipeline.stages.values() for storage in stage.storage)]


def block_rams(storage: Storage, family: str) -> int:
    """Block RAMs of a memory, in the best of the shapes that a block can have; 0 if it is not in block RAM."""
    if not storage.block:
        return 0
    return min(-(-storage.depth // depth) * -(-storage.width // width) for depth, width in BLOCKS[family])


def sprams(storage: Storage) -> int:
    """SPRAMs of a memory; 0 if it is in none."""
    return -(-storage.width // WIDTH) if storage.spram else 0


def _luts(pipeline: Pipeline) -> int:
    """LUT4s by counting the bits of registers and adders; of use to tell what cannot fit, not to fill a device."""
    total = 0
    for name, stage in pipeline.stages.items():
        layers, share = pipeline.structure.stages[name], pipeline.plan.stages[name]
        node, width = layers.node, layers.width
        numbers = lanes(stage.o)
        operands = sum(edge.format.width for edge in node.inputs) + (16 if hasattr(stage, "folding") else 0)
        total += _CONTROL + 3 * width * numbers + 2 * operands * share.multipliers
        if share.kind == "lut":
            total += share.multipliers * operands * operands // 2
        total += sum(storage.bits for storage in stage.storage if not storage.block and storage.name in ("queue", "sums"))
    between = [*pipeline.queues.values(), *([pipeline.ring.waiting, pipeline.ring.loop] if pipeline.ring else [])]
    return total + sum(queue.storage.bits for queue in between if not queue.block_ram)
