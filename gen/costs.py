"""What stages take of a device: block RAMs and DSP blocks exactly, LUTs and flip-flops as fitted to synthesis.

LUTs and flip-flops are linear in what a stage is made of (`features`: bits of operands, of sums, of results, of what waits), with
coefficients for every family and operation, none of them negative, that ``ssm-hdl calibrate`` has fitted to the synthesis of
single stages. On the iCE40 a LUT is a logic cell after packing, since a flip-flop without a LUT takes one too.
"""

import json
from functools import cache
from importlib import resources
from typing import Any, NamedTuple, TypeAlias

from amaranth.hdl import Shape

from ssm_hdl.fixed import Codes
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.memories import Storage, shape_for
from ssm_hdl.gateware.queue import Queue
from ssm_hdl.gateware.ring import Ring
from ssm_hdl.gateware.spram import DEPTH
from ssm_hdl.gateware.stream import Fork, Repack, lanes, shape_of
from ssm_hdl.gen.blocks import WRITTEN, block_rams, distributed, rows, sprams
from ssm_hdl.gen.knapsack import NOTHING, Use
from ssm_hdl.gen.pipeline import STAGES, Pipeline
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
    """LUTs and flip-flops of something with these features."""
    known = coefficients()[family][op]
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
        behind: of a dense, the cycles from the last beat until all results are under way.
        before: of a dense, what makes beats as wide as those that it reads, if those that come have a number each: less if not.
    """

    use: Use
    work: int
    behind: int = 0
    before: Use = NOTHING


def use_of(layers: Layers, plan: StagePlan, family: str) -> Taken:
    """What a stage takes."""
    stage = STAGES[layers.node.op.op](layers, plan)
    for name in plan.spram:
        stage.tables[name].to_spram()
    taken = cost(layers.node.op.op, family, stage_features(stage, layers, plan, family))
    rams = sum(block_rams(storage, family) for storage in stage.storage)
    use = Use(taken["luts"], taken["flip_flops"], plan.blocks, rams, sum(sprams(storage) for storage in stage.storage))
    if layers.node.op.op != "dense":
        return Taken(use, stage.work)
    folding, before = stage.folding, NOTHING
    if folding.i_lanes > 1:
        width = shape_of(layers.node.inputs[0]).width
        made = cost("repack", family, repack_features(1, folding.i_lanes, width, folding.holds > 1))
        before = Use(made["luts"], made["flip_flops"], 0, 0)
    return Taken(use, stage.work, stage.burst + 1, before)


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
    """The adapters of a pipeline, its queues and the ring: the kind of each and its features."""
    found = list[tuple[str, Features]]()
    for component in pipeline.network.components.values():
        if isinstance(component, Repack):
            number = Shape.cast(component.i.p.data.shape()).width // component.i_lanes
            found.append(("repack", repack_features(component.i_lanes, component.o_lanes, number, component.ahead)))
        elif isinstance(component, Fork):
            found.append(("fork", fork_features(component.ways)))
        elif isinstance(component, Queue):
            found.append(("queue", queue_features(component, family)))
        elif isinstance(component, Ring):
            found += [("queue", queue_features(queue, family)) for queue in (component.waiting, component.loop)]
            found.append(("ring", {"stage": 1.0}))
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
