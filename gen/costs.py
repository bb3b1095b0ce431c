"""What stages take of a device: block RAMs and DSP blocks exactly, LUTs and flip-flops as fitted to synthesis.

LUTs and flip-flops are linear in what a stage is made of (`features`: bits of operands, of sums, of results, of what waits), with
coefficients for every family and operation, none of them negative, that ``ssm-hdl calibrate`` has fitted to the synthesis of
single stages. On the iCE40 a LUT is a logic cell after packing, since a flip-flop without a LUT takes one too.
"""

import json
from functools import cache
from importlib import resources
from typing import Any, NamedTuple, TypeAlias

from ssm_hdl.fixed import Codes
from ssm_hdl.gateware.folding import Folding
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.memories import Storage, shape_for
from ssm_hdl.gateware.queue import Queue
from ssm_hdl.gateware.spram import DEPTH
from ssm_hdl.gateware.stream import lanes, shape_of, widths
from ssm_hdl.gen.blocks import WRITTEN, block_rams, distributed, rows, sprams
from ssm_hdl.gen.pipeline import STAGES, Pipeline
from ssm_hdl.gen.size.objective import Use
from ssm_hdl.gen.stage_plan import StagePlan

KINDS = ("luts", "flip_flops")
"""What is fitted."""

Features: TypeAlias = dict[str, float]


def storages(pipeline: Pipeline) -> list[Storage]:
    """Every memory of a pipeline: those of its stages, the queues between them, and those of the ring."""
    between = [queue.storage for queue in (pipeline.entry, *pipeline.queues.values())]
    ring = [] if pipeline.ring is None else pipeline.ring.storage
    return [*between, *ring, *(storage for stage in pipeline.stages.values() for storage in stage.storage)]


def stage_features(stage: Any, layers: Layers, plan: StagePlan, family: str) -> Features:
    """What a stage is made of, in bits."""
    op, made = layers.node.op.op, _memories(stage.storage, family)
    made |= {"stage": 1, "layers": layers.count - 1, "lanes": lanes(stage.o), "output": lanes(stage.o) * layers.format.width}
    if plan.multipliers:
        made |= _multiplied(layers, plan)
    more = {"dense": _dense, "scan": _scan, "norm": _norm, "pool": _pool}.get(op)
    return made | (more(stage, layers, plan) if more else {"inputs": sum(_beat(sink) for sink in stage.sinks)})


def queue_features(queue: Queue, family: str) -> Features:
    """What a queue between two stages is made of."""
    return {"stage": 1, "width": queue.width, **_memories([queue.storage], family)}


def repack_features(i_lanes: int, o_lanes: int, width: int, ahead: bool) -> Features:
    """What a `Repack` is made of."""
    wider = max(i_lanes, o_lanes) * width
    return {"stage": 1.0, "widened" if o_lanes > i_lanes else "narrowed": wider, "ahead": wider * (ahead and o_lanes > i_lanes)}


def fork_features(ways: int) -> Features:
    """What a `Fork` is made of."""
    return {"stage": 1.0, "ways": float(ways)}


def cost(op: str, family: str, features: Features) -> dict[str, float]:
    """LUTs and flip-flops of something with these features; of an operation that was not fitted, those of its memories."""
    fitted = coefficients()[family]
    known = fitted.get(op, fitted["queue"])
    return {kind: sum(known[kind].get(name, 0.0) * value for name, value in features.items()) for kind in KINDS}


@cache
def coefficients() -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """LUTs and flip-flops of a feature, by family and operation."""
    text = resources.files("ssm_hdl.gen").joinpath("costs.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def use(fitted: dict[str, dict[str, dict[str, dict[str, float]]]]) -> None:
    """Estimate by other coefficients from now on."""
    known = coefficients()
    known.clear()
    known.update(fitted)


class Taken(NamedTuple):
    """What a stage takes.

    Attributes:
        use: of the device.
        work: cycles that a packet keeps it busy.
        burst: of a dense, the cycles from the last beat until all results are under way.
        i_lanes: numbers in a beat of its inputs.
        o_lanes: numbers in a beat of its output.
        held: it works with a beat for several cycles.
    """

    use: Use
    work: int
    burst: int
    i_lanes: int
    o_lanes: int
    held: bool


def use_of(layers: Layers, plan: StagePlan, family: str) -> Taken:
    """What a stage takes."""
    stage = STAGES[layers.node.op.op](layers, plan)
    for name in plan.spram:
        stage.tables[name].to_spram()
    taken = cost(layers.node.op.op, family, stage_features(stage, layers, plan, family))
    rams = sum(block_rams(storage, family) for storage in stage.storage)
    use = Use(taken["luts"], taken["flip_flops"], plan.blocks, rams, sum(sprams(storage) for storage in stage.storage))
    folding: Folding | None = getattr(stage, "folding", None)
    burst = stage.burst + 1 if layers.node.op.op == "dense" else 0
    held = folding is not None and folding.holds > 1
    return Taken(use, stage.work, burst, lanes(stage.sinks[0]), lanes(stage.o), held)


def adapter_use(i_lanes: int, o_lanes: int, width: int, packet: int, held: bool, family: str) -> Use:
    """What makes beats of one width into those of another: LUTs and flip-flops of its `Repack` chain."""
    luts, flip_flops = 0.0, 0.0
    for step in widths(i_lanes, o_lanes, packet):
        taken = cost("repack", family, repack_features(i_lanes, step, width, held))
        luts, flip_flops, i_lanes = luts + taken["luts"], flip_flops + taken["flip_flops"], step
    return Use(luts, flip_flops, 0, 0)


def spram_choices(layers: Layers, plan: StagePlan, family: str) -> list[tuple[str, ...]]:
    """Tables of a stage to put into SPRAM: none, that which saves most block RAMs, the two that do, and so on."""
    stage = STAGES[layers.node.op.op](layers, plan)
    movable = [
        (block_rams(storage, family), storage.name)
        for storage in stage.storage
        if storage.name in getattr(stage, "tables", {}) and storage.block and storage.depth <= DEPTH
    ]
    names = [name for _, name in sorted(movable, reverse=True)]
    return [tuple(names[:count]) for count in range(len(names) + 1)]


def between(pipeline: Pipeline, family: str) -> list[tuple[str, Features]]:
    """What stands between the stages of a pipeline: repacks, forks, queues, the ring; the kind of each and its features."""
    structure, found = pipeline.structure, list[tuple[str, Features]]()
    for name, reads in structure.reads.items():
        for source, sink in zip(reads, pipeline.stages[name].sinks, strict=True):
            found += _repacks(pipeline, source, name, lanes(sink), pipeline.holds(name) > 1)
    found += _repacks(pipeline, structure.output, "", 1, False)
    queues = [pipeline.entry, *pipeline.queues.values(), *([pipeline.ring.waiting, pipeline.ring.loop] if pipeline.ring else [])]
    found += [("queue", queue_features(queue, family)) for queue in queues]
    if pipeline.ring:
        found.append(("ring", {"stage": 1.0}))
    return found + [("fork", fork_features(ways)) for stream in structure.edges if (ways := structure.readers(stream)) > 1]


def _repacks(pipeline: Pipeline, source: str, reader: str, width: int, held: bool) -> list[tuple[str, Features]]:
    i_lanes, number, found = pipeline.width(source), pipeline.structure.edges[source].format.width, []
    for step in widths(i_lanes, width, pipeline.structure.packet(source, reader)):
        found.append(("repack", repack_features(i_lanes, step, number, held)))
        i_lanes = step
    return found


def _beat(port: Any) -> int:
    return sum(len(number) for number in port.p.data)


def _memories(storages: list[Storage], family: str) -> Features:
    """Bits by where they are: in registers, in LUTs as tables, and at the ports of block RAMs, with what chooses one of them."""
    made = dict.fromkeys(("waiting", "kept", "table", "ports", "choices", "addresses", "distributed"), 0.0)
    for storage in storages:
        made["addresses"] += (storage.depth - 1).bit_length()
        made["distributed"] += distributed(storage, family)
        if block_rams(storage, family):
            made["ports"] += storage.width
            made["choices"] += (rows(storage, family)[1] - 1) * storage.width
        elif storage.spram or distributed(storage, family):
            made["ports"] += storage.width
        elif storage.name == "queue":
            made["waiting"] += storage.bits
        elif storage.name in WRITTEN:
            made["kept"] += storage.bits
        elif storage.depth > 1:
            made["table"] += storage.bits
    return made


def _multiplied(layers: Layers, plan: StagePlan) -> Features:
    """Operands of the multipliers, those of the second ones in a DSP block, and the adders of those made of LUTs."""
    node = layers.node
    codes: list[Codes] = [node.arrays[name] for name in ("code", "slope") if name in node.arrays]
    a = shape_for(codes[0]).width if codes else node.inputs[0].format.width
    b = max(edge.format.width for edge in (node.output if node.op.op == "scan" else node.inputs[-1],))
    few, many = min(a, b), max(a, b)
    of_luts = plan.multipliers - plan.in_blocks
    made: Features = {"operands": plan.multipliers * (a + b), "halves": (plan.in_blocks - plan.blocks) * (a + b)}
    return made | {"adders": of_luts * few * many, "made": of_luts * (a + b)}


def _dense(stage: Any, layers: Layers, plan: StagePlan) -> Features:
    f, (x,) = stage.folding, layers.node.inputs
    rows = f.o_lanes
    product = shape_of(x).width + shape_for(layers.node.arrays["code"]).width
    terms = f.columns - 1
    return {
        "inputs": f.i_lanes * shape_of(x).width,
        "tree": rows * (terms * product + terms.bit_length()),
        "sums": rows * layers.width,
        "shifts": rows * layers.width * stage._scale.latency,
    }


def _scan(stage: Any, layers: Layers, plan: StagePlan) -> Features:
    f, recurrence = stage.folding, stage.recurrence
    sums = (2 if f.phases == 1 else 1) * f.modes  # parts side by side
    op = layers.node.op
    return {
        "parts": sums,
        "turns": sums * layers.format.width * (f.phases > 1),
        "products": sums * (layers.format.width + shape_for(layers.node.arrays["code"]).width),
        "sums": sums * layers.width,
        "shifts": sums * layers.width * recurrence._scale.latency,
        "raised": sums * (layers.format.width + recurrence._scale.raised) * (recurrence._scale.raised > 0),
        "drives": sums * layers.width * recurrence._shift.latency,
        "delta": sums * layers.width * getattr(op, "delta", False),
        "dither": sums * getattr(op, "dither", False),
        "ahead": f.cycles < stage.loop,
    }


def _pool(stage: Any, layers: Layers, plan: StagePlan) -> Features:
    return {"sums": plan.lanes * layers.width, "registers": plan.lanes * layers.width * plan.registers}


def _norm(stage: Any, layers: Layers, plan: StagePlan) -> Features:
    made: Features = {"root": stage.deviation.root.width, "sums": layers.width}
    return made | {"inputs": layers.node.inputs[0].format.width}
