# amaranth: UnusedElaboratable=no
"""What a pipeline will cost and how fast it will be, without synthesising it."""

import math
from dataclasses import dataclass

from ssm_hdl import Manifest
from ssm_hdl.gateware.arithmetic import Storage
from ssm_hdl.gateware.stream import reals
from ssm_hdl.gen.pipeline import Pipeline, lanes
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
        name: name of the operation.
        op: kind of operation.
        multiplications: products that one packet asks for.
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
        multiplications: products of a time step; what happens once a sequence is not counted.
        dsp: multipliers in DSP blocks.
        lut_multipliers: multipliers made of LUTs.
        memory_bits: bits of all memories.
        block_rams: block RAMs by family.
        luts: LUT4s with the flip-flops that do not share one, an estimate within a third or so.
        utilisation: multiplications / (multipliers in DSP blocks x cycles).
        stages: the stages in order.
    """

    name: str
    target: str
    cycles: int
    latency: int
    multiplications: int
    dsp: int
    lut_multipliers: int
    memory_bits: int
    block_rams: dict[str, int]
    luts: int
    utilisation: float
    stages: tuple[StageReport, ...]


def estimate(manifest: Manifest, plan: Plan) -> Report:
    """The report of a manifest's pipeline under a plan."""
    pipeline = Pipeline(manifest, plan)
    stages = []
    for name, stage in pipeline.stages.items():
        node, share = manifest.nodes[name], plan.stages[name]
        once = manifest.steps if node.output.per_sequence and node.op.op != "pool" else 1
        stages.append(
            StageReport(
                name=name,
                op=node.op.op,
                multiplications=node.multiplications,
                multipliers=share.multipliers,
                kind=share.kind if share.multipliers else "",
                cycles=stage.work,
                latency=stage.latency,
                busy=stage.work / once / pipeline.cycles,
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
        latency=_latency(pipeline),
        multiplications=multiplications,
        dsp=plan.dsp,
        lut_multipliers=sum(stage.multipliers for stage in stages if stage.kind == "lut"),
        memory_bits=sum(storage.bits for storage in memories),
        block_rams={family: sum(block_rams(storage, family) for storage in memories) for family in BLOCKS},
        luts=_luts(pipeline),
        utilisation=multiplications / (max(plan.dsp, 1) * pipeline.cycles),
        stages=tuple(stages),
    )


def storages(pipeline: Pipeline) -> list[Storage]:
    """Every memory of a pipeline: those of its stages, and the queues between them."""
    between = [queue.storage for queue in pipeline.queues.values()]
    return [*between, *(storage for stage in pipeline.stages.values() for storage in stage.storage)]


def block_rams(storage: Storage, family: str) -> int:
    """Block RAMs of a memory, in the best of the shapes that a block can have; 0 if it is not in block RAM."""
    if not storage.block:
        return 0
    return min(-(-storage.depth // depth) * -(-storage.width // width) for depth, width in BLOCKS[family])


def _latency(pipeline: Pipeline) -> int:
    """Cycles from the last sample in to the last result out, when nothing waits.

    Of every edge it follows when the first and the last beat of a packet pass. A stage takes its last beat when that has
    come, or when it has worked through those before it, whichever is later.
    """
    manifest = pipeline.manifest
    span = manifest.input.size - 1
    times = {manifest.input.name: (-span, 0)}
    widths = {manifest.input.name: 1} | {name: lanes(stage.o) for name, stage in pipeline.stages.items()}
    for name, stage in pipeline.stages.items():
        node = manifest.nodes[name]
        width = lanes(stage.sinks[0])
        ends = [[time + _repack(widths[edge.name], width) for time in times[edge.name]] for edge in node.inputs]
        first, last = (max(each) for each in zip(*ends, strict=True))
        beats = -(-reals(node.inputs[0]) // width)
        replayed = getattr(stage, "replay", None) is not None
        work = stage.work if node.op.op in ("scan", "embedding") else beats
        taken = max(last, first + work - 1)
        done = taken + stage.latency
        if name in {queue_name for queue_name, _ in pipeline.queues}:
            done += max(queue.latency for (queue_name, _), queue in pipeline.queues.items() if queue_name == name)
        span = taken - first
        if replayed or node.op.op == "norm":
            span = stage.folding.cycles - stage.folding.beats if replayed else stage.span
        times[name] = (max(done - span, first), done)
    return times[manifest.graph.output][1]


def _repack(i_lanes: int, o_lanes: int) -> int:
    """Cycles from a beat in to the last of what it becomes, through the greatest common divisor."""
    common = math.gcd(i_lanes, o_lanes)
    return (i_lanes // common if i_lanes > common else 0) + (o_lanes > common)


def _luts(pipeline: Pipeline) -> int:
    """LUT4s by counting the bits of registers and adders; of use to tell what cannot fit, not to fill a device."""
    total = 0
    for name, stage in pipeline.stages.items():
        node, share = pipeline.manifest.nodes[name], pipeline.plan.stages[name]
        width = node.accumulator.width
        numbers = lanes(stage.o)
        operands = sum(edge.format.width for edge in node.inputs) + (16 if hasattr(stage, "folding") else 0)
        total += _CONTROL + 3 * width * numbers + 2 * operands * share.multipliers
        if share.kind == "lut":
            total += share.multipliers * operands * operands // 2
        total += sum(storage.bits for storage in stage.storage if not storage.block and storage.name in ("queue", "sums"))
    return total + sum(queue.storage.bits for queue in pipeline.queues.values() if not queue.block_ram)
