# amaranth: UnusedElaboratable=no
"""Single stages and adapters to synthesise, for the calibration of the estimates."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any

from amaranth.lib.wiring import Component

from ssm_hdl import Manifest, SsmHdlError, registry
from ssm_hdl.families import Family
from ssm_hdl.gateware.fork import Fork
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.memories import Memories
from ssm_hdl.gateware.multiplier import DSP, LUT
from ssm_hdl.gateware.queue import Queue
from ssm_hdl.gateware.repack import Repack
from ssm_hdl.gateware.ring import Ring
from ssm_hdl.gateware.stage import Features, StagePlan
from ssm_hdl.gateware.stream import shape_of
from ssm_hdl.gen import costs
from ssm_hdl.gen.depth import find_layers
from ssm_hdl.gen.size.stages import plan_stage
from ssm_hdl.gen.structure import Structure

INTERVALS = (8, 64, 512)
"""Cycles per time step for which stages that are not folded are calibrated."""

FOLDED = 7
"""Foldings of a stage that are calibrated, spread over all that there are."""

IDLE = 64
"""Cycles between results of a compact stage that idles."""

SAMPLES = 40
"""Samples of an operation, at most."""

MOST = 72
"""Multipliers of the largest of them."""


@dataclass(frozen=True)
class Sample:
    """Something to synthesise.

    Attributes:
        op: operation, or adapter.
        what: name: the stage and its plan.
        features: what it is made of.
        make: makes it.
    """

    op: str
    what: str
    features: Features
    make: Callable[[], Component]


def samples(manifests: Sequence[Manifest], family: Family) -> list[Sample]:
    """Some of the candidates, evenly spread over all there are of each operation."""
    every = list(candidates(manifests, family))
    chosen = []
    for op in dict.fromkeys(sample.op for sample in every):
        alike = [sample for sample in every if sample.op == op]
        count = min(len(alike), SAMPLES)
        chosen += [alike[k * len(alike) // count] for k in range(count)]
    return chosen


def candidates(manifests: Sequence[Manifest], family: Family) -> Iterator[Sample]:
    """Distinct stages of the manifests in several sizes, and adapters."""
    seen: set[str] = set()
    for manifest in manifests:
        for share in (False, True) if layered(manifest) else (False,):
            structure = Structure.of(manifest, share, family)
            for name, layers in structure.stages.items():
                for plan in _forms(layers, _plans(manifest, structure, name, family), family):
                    stage = registry.stage(layers.node.op.op).build(layers, plan)
                    features = costs.stage_features(stage, plan, family)
                    op = costs.kind_of(layers.node.op.op, plan)
                    key = (
                        f"{_shape(layers)} {op} {plan.folding} {plan.lanes} {plan.kind} "
                        f"{plan.registers}"
                    )
                    key += f" {plan.pace}" * plan.compact
                    if key not in seen:
                        seen.add(key)
                        make = partial(registry.stage(layers.node.op.op).build, layers, plan)
                        where = f"{manifest.name}.{name}" + " shared" * share
                        yield Sample(op, f"{where} {written(plan)}", features, make)
    yield from _between(manifests[0], family)


def _forms(layers: Layers, plans: Iterator[StagePlan], family: Family) -> Iterator[StagePlan]:
    """The plans, and where a flip-flop takes a logic cell their compact forms, busy and idle."""
    for plan in plans:
        yield plan
        if (
            family.packs_flip_flops
            and not plan.registers
            and registry.stage(layers.node.op.op).compacts(layers, plan)
        ):
            yield from (
                replace(plan, compact=True, pace=pace) for pace in dict.fromkeys((plan.pace, IDLE))
            )


def _shape(layers: Layers) -> str:
    """What stages have to agree in to be alike but for their constants."""
    edges = [(edge.size, edge.format.width) for edge in (*layers.node.inputs, layers.node.output)]
    return (
        f"{layers.count} {layers.node.op.op} {edges} "
        f"{[array.shape for array in layers.node.arrays.values()]}"
    )


def _plans(
    manifest: Manifest, structure: Structure, name: str, family: Family
) -> Iterator[StagePlan]:
    layers = structure.stages[name]
    op = layers.node.op.op
    fold = registry.stage(op).folds
    if fold is None:
        kinds = (DSP, LUT) if layers.node.multiplications else (DSP,)
        for interval in INTERVALS:
            for kind in kinds:
                plan = plan_stage(manifest, structure, name, interval, kind)
                yield plan
                if registry.stage(op).sums_in_registers:
                    yield replace(plan, registers=True)
        return
    kinds = (DSP, LUT)
    choices = [
        f
        for f in fold.choices(layers)
        if f.exact and f.multipliers <= MOST and any(map(f.suits, kinds))
    ]
    spread = {round(k * (len(choices) - 1) / max(1, FOLDED - 1)) for k in range(FOLDED)}
    for index in sorted(spread):
        folding = choices[index]
        for kind in filter(folding.suits, kinds):
            interval = folding.interval(folding.latency(kind)) * layers.count
            yield plan_stage(manifest, structure, name, interval, kind, folding)


def layered(manifest: Manifest) -> bool:
    """Whether a manifest has layers that can share their stages."""
    try:
        find_layers(manifest)
    except SsmHdlError:
        return False
    return True


def _between(manifest: Manifest, family: Family) -> Iterator[Sample]:
    shape = shape_of(manifest.nodes[next(iter(manifest.nodes))].output)
    for few, many in ((1, 2), (1, 8), (4, 8), (2, 32)):
        for i, o, ahead in ((few, many, False), (few, many, True), (many, few, False)):
            features = costs.repack_features(i, o, shape.width, ahead)
            yield Sample(
                "repack",
                f"{i} to {o}{', ahead' * ahead}",
                features,
                partial(Repack, shape, i, o, 1, 1 + 99 * ahead),
            )
    for layers in (2, 4):
        yield Sample(
            "ring", f"{layers} layers", {"stage": 1.0}, partial(Ring, shape, 1, 8, layers, 2)
        )
    for lanes in (1, 4):
        for depth in (2, 9, 40, 700):
            make = partial(Queue, shape, lanes, depth, memories=Memories(family.fast_rams))
            yield Sample("queue", f"{depth} of {lanes}", costs.queue_features(make(), family), make)
    for readers in (2, 3):
        yield Sample(
            "fork",
            f"{readers} ways",
            costs.fork_features(readers),
            partial(Fork, shape, 2, readers),
        )


def written(plan: StagePlan) -> dict[str, Any]:
    """The fields of the plan of a stage that differ from the default."""
    return {
        field.name: value
        for field in fields(plan)
        if (value := getattr(plan, field.name)) != field.default
    }
