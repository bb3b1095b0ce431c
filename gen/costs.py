"""What stages take of a device: block RAMs and DSP blocks exactly,
LUTs and flip-flops as fitted to synthesis.

LUTs and flip-flops are linear in what a stage is made of (`features`: bits of operands, sums,
results and queues), with coefficients for every family and operation, none of them negative, that
``ssm-hdl calibrate`` has fitted to the synthesis of single stages. On the iCE40 a LUT is a logic
cell after packing, since a flip-flop without a LUT takes one too.
"""

import json
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from statistics import mean
from typing import NamedTuple
from weakref import WeakKeyDictionary

from amaranth.lib.wiring import Component

from ssm_hdl import Manifest, registry
from ssm_hdl.families.base import Family
from ssm_hdl.families.rams import sprams
from ssm_hdl.gateware.fork import Fork
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.queue import Queue
from ssm_hdl.gateware.repack import Repack, widths
from ssm_hdl.gateware.ring import Ring
from ssm_hdl.gateware.spram import DEPTH
from ssm_hdl.gateware.stage import SINKS, Features, Stage, StagePlan
from ssm_hdl.gateware.stream import lanes
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.size.objective import Use

KINDS = ("luts", "flip_flops")
"""The fitted quantities."""

_COMPACT = ", compact"
"""What the name of an operation ends with where its stages have the compact form."""


def storages(pipeline: Pipeline) -> list[Storage]:
    """Every memory of a pipeline: in its stages, in the queues between them, and in the ring."""
    network = pipeline.network
    return [
        storage
        for component in (*network.of(Queue), *network.of(Ring), *pipeline.stages.values())
        for storage in _storage(component)
    ]


def _storage(component: Queue | Ring | Stage) -> list[Storage]:
    memories = component.storage
    return [memories] if isinstance(memories, Storage) else memories


def stage_features(stage: Stage, plan: StagePlan, family: Family) -> Features:
    """What a stage is made of, in bits."""
    layers, width = stage.layers, lanes(stage, "o")
    counted = {
        "stage": 1,
        "layers": layers.count - 1,
        "lanes": width,
        "output": width * layers.format.width,
    }
    return _memories(stage.storage, family) | counted | _multipliers(stage, plan) | stage.features


def queue_features(queue: Queue, family: Family) -> Features:
    """What a queue between two stages is made of."""
    return {"stage": 1, "width": queue.width, **_memories([queue.storage], family)}


def repack_features(i_lanes: int, o_lanes: int, width: int, ahead: bool) -> Features:
    """What a `Repack` is made of."""
    wider = max(i_lanes, o_lanes) * width
    return {
        "stage": 1.0,
        "widened" if o_lanes > i_lanes else "narrowed": wider,
        "ahead": wider * (ahead and o_lanes > i_lanes),
    }


def fork_features(readers: int) -> Features:
    """What a `Fork` is made of."""
    return {"stage": 1.0, "ways": float(readers)}


def kind_of(op: str, plan: StagePlan) -> str:
    """What the coefficients of a stage are for: its operation, or that in the compact form."""
    return op + _COMPACT * plan.compact


def knows(kind: str, family: Family) -> bool:
    """Coefficients were fitted to synthesis."""
    return kind in coefficients()[family.costs]


@dataclass(frozen=True)
class Cost:
    """What something takes.

    Attributes:
        luts: LUT4s, on the iCE40 logic cells.
        flip_flops: flip-flops.
        fitted: the coefficients were fitted to synthesis; otherwise they are another family's,
            or averages over other operations.
    """

    luts: float
    flip_flops: float
    fitted: bool = True


def cost(op: str, family: Family, features: Features) -> Cost:
    """LUTs and flip-flops of something with these features; by the averages of a feature where
    nothing is fitted."""
    known = coefficients()[family.costs]
    by_feature = known.get(op) or _averages(family.costs)
    luts, flip_flops = (
        sum(by_feature[kind].get(name, 0.0) * value for name, value in features.items())
        for kind in KINDS
    )
    return Cost(luts, flip_flops, family.fitted and op in known)


@cache
def _averages(costs: str) -> dict[str, dict[str, float]]:
    """The mean coefficient of every feature over the operations that have it."""
    fitted: dict[str, dict[str, list[float]]] = {kind: {} for kind in KINDS}
    for by_kind in (
        entry for op, entry in coefficients()[costs].items() if not op.endswith(_COMPACT)
    ):
        for kind in KINDS:
            for name, value in by_kind[kind].items():
                fitted[kind].setdefault(name, []).append(value)
    return {
        kind: {name: mean(values) for name, values in by_name.items()}
        for kind, by_name in fitted.items()
    }


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
    _averages.cache_clear()
    _known.clear()


class Taken(NamedTuple):
    """What a stage takes.

    Attributes:
        use: of the device.
        work: cycles that a packet keeps it busy.
        cycles: cycles per packet at its pace.
        burst: of a dense, the cycles from the last beat until all results are under way.
        i_lanes: numbers in a beat of its inputs.
        o_lanes: numbers in a beat of its output.
        holds: cycles for which it works with a beat.
        keeps: all results of a packet can wait in it.
    """

    use: Use
    work: int
    cycles: int
    burst: int
    i_lanes: int
    o_lanes: int
    holds: int
    keeps: bool


_known = WeakKeyDictionary[Manifest, dict[Hashable, dict[Hashable, Taken]]]()


def known_of(manifest: Manifest, structure: Hashable) -> dict[Hashable, Taken]:
    """What is known of the stages of a structure. It outlives a search: whoever plans a manifest
    plans it for several intervals and limits, mostly."""
    return _known.setdefault(manifest, {}).setdefault(structure, {})


def use_of(layers: Layers, plan: StagePlan, family: Family) -> Taken:
    """What a stage takes."""
    stage = build(layers, plan)
    stage_cost = cost(kind_of(layers.node.op.op, plan), family, stage_features(stage, plan, family))
    rams = sum(family.rams.blocks(storage) for storage in stage.storage)
    use = Use(
        stage_cost.luts,
        stage_cost.flip_flops,
        plan.blocks,
        rams,
        sum(sprams(storage) for storage in stage.storage),
    )
    burst = stage.burst + 1 if stage.burst else 0
    return Taken(
        use,
        stage.work,
        stage.cycles,
        burst,
        lanes(stage, SINKS[0]),
        lanes(stage, "o"),
        stage.holds,
        stage.keeps,
    )


def build(layers: Layers, plan: StagePlan) -> Stage:
    """The stage of a plan, with the tables in SPRAM that the plan puts there."""
    stage = registry.stage(layers.node.op.op).build(layers, plan)
    for name in plan.spram:
        stage.tables[name].to_spram()
    return stage


def adapter_use(
    i_lanes: int, o_lanes: int, width: int, packet: int, ahead: bool, family: Family
) -> Use:
    """From beats of one width to beats of another: LUTs and flip-flops of its `Repack` chain."""
    luts, flip_flops = 0.0, 0.0
    for step in widths(i_lanes, o_lanes, packet):
        step_cost = cost("repack", family, repack_features(i_lanes, step, width, ahead))
        luts, flip_flops, i_lanes = luts + step_cost.luts, flip_flops + step_cost.flip_flops, step
    return Use(luts, flip_flops, 0, 0)


def spram_choices(layers: Layers, plan: StagePlan, family: Family) -> list[tuple[str, ...]]:
    """Tables of a stage to put into SPRAM: none, the one that saves most block RAMs,
    the two that do, and so on."""
    stage = build(layers, plan)
    movable = [
        (family.rams.blocks(storage), storage.name)
        for storage in stage.storage
        if storage.name in stage.tables and storage.block and storage.depth <= DEPTH
    ]
    names = [name for _, name in sorted(movable, reverse=True)]
    return [tuple(names[:count]) for count in range(len(names) + 1)]


def rest_of(components: Iterable[Component], family: Family) -> Use:
    """What forks, queues and the ring take: the components that depend on the
    pipeline as a whole."""
    rest = [component for component in components if isinstance(component, Fork | Queue | Ring)]
    costs = [cost(kind, family, features) for kind, features in between(rest, family)]
    stored = [
        storage
        for component in rest
        if not isinstance(component, Fork)
        for storage in _storage(component)
    ]
    luts, flip_flops = sum(entry.luts for entry in costs), sum(entry.flip_flops for entry in costs)
    return Use(luts, flip_flops, 0, sum(map(family.rams.blocks, stored)))


def between(components: Iterable[Component], family: Family) -> list[tuple[str, Features]]:
    """The adapters among these components: the kind of each and its features."""
    adapters = list[tuple[str, Features]]()
    for component in components:
        if isinstance(component, Repack):
            number = component.shape.width
            adapters.append(
                (
                    "repack",
                    repack_features(component.i_lanes, component.o_lanes, number, component.ahead),
                )
            )
        elif isinstance(component, Fork):
            adapters.append(("fork", fork_features(component.ways)))
        elif isinstance(component, Queue):
            adapters.append(("queue", queue_features(component, family)))
        elif isinstance(component, Ring):
            adapters += [
                ("queue", queue_features(queue, family))
                for queue in (component.waiting, component.loop)
            ]
            adapters.append(("ring", {"stage": 1.0}))
    return adapters


def _memories(storages: list[Storage], family: Family) -> Features:
    """Bits by where they are: in registers, in LUTs as tables, and at the ports of block RAMs,
    with what chooses one of them."""
    features = dict.fromkeys(
        ("waiting", "kept", "table", "ports", "choices", "addresses", "distributed"), 0.0
    )
    rams = family.rams
    for storage in storages:
        features["addresses"] += (storage.depth - 1).bit_length()
        lut_rams = rams.distributed(storage)
        features["distributed"] += lut_rams
        if rams.blocks(storage):
            features["ports"] += storage.width
            features["choices"] += (rams.rows(storage)[1] - 1) * storage.width
        elif storage.spram or lut_rams:
            features["ports"] += storage.width
        elif storage.name == "queue":
            features["waiting"] += storage.bits
        elif storage.written:
            features["kept"] += storage.bits
        elif storage.depth > 1:
            features["table"] += storage.bits
    return features


def _multipliers(stage: Stage, plan: StagePlan) -> Features:
    """Operands of the multipliers, of the second ones in a DSP block,
    and the adders of those made of LUTs."""
    if not plan.multipliers:
        return {}
    a, b = stage.operands
    of_luts = plan.multipliers - plan.in_blocks
    operands: Features = {
        "operands": plan.multipliers * (a + b),
        "halves": (plan.in_blocks - plan.blocks) * (a + b),
    }
    return operands | {"adders": of_luts * a * b, "made": of_luts * (a + b)}
