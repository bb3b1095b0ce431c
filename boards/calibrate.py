# amaranth: UnusedElaboratable=no
"""Calibration of the estimates: synthesise single stages, fit what they take to what they are made
of, judge whole pipelines.

Everything that was synthesised is kept: single stages in ``results/stages.json``, whole pipelines
in ``results/estimates.json``. The latter say how close the estimates are where nothing was fitted.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from amaranth.back import verilog
from amaranth.lib.wiring import Component

from ssm_hdl import Manifest, SsmHdlError, registry
from ssm_hdl.boards import flow
from ssm_hdl.families import Family, find_family, unlimited
from ssm_hdl.files import write_atomically
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
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.size.stages import plan_stage
from ssm_hdl.gen.structure import Structure
from ssm_hdl.gen.verilog import bare, generate

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

LEAST = 0.02
"""A feature that is a smaller share of the estimate of every sample has no coefficient:
no measurement tells it from 0."""


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


class Measured(NamedTuple):
    """A sample after synthesis.

    Attributes:
        family: name of the FPGA family.
        op: see `Sample`.
        what: see `Sample`.
        luts: LUT4s, on the iCE40 logic cells.
        flip_flops: flip-flops.
        features: what it is made of; zeros are left out.
        estimates: LUTs and flip-flops by the coefficients, to a tenth.
    """

    family: str
    op: str
    what: str
    luts: int
    flip_flops: int
    features: Features
    estimates: Sequence[float] = ()

    @classmethod
    def of(cls, sample: Sample, family: Family, counts: dict[str, int]) -> "Measured":
        """A sample and what it takes."""
        features = {name: value for name, value in sample.features.items() if value}
        return cls(
            family.name, sample.op, sample.what, counts["LUTs"], counts["flip-flops"], features
        )


def save(measured: Sequence[Measured], file: Path) -> None:
    """Write measurements with their estimates, one a line."""
    lines = ",\n".join(
        json.dumps(entry._replace(estimates=estimates(entry))._asdict()) for entry in measured
    )
    write_atomically(file, f"[\n{lines}\n]\n")


def load(file: Path) -> list[Measured]:
    """What `save` wrote."""
    return [Measured(**entry) for entry in json.loads(file.read_text(encoding="utf-8"))]


def estimates(entry: Measured) -> list[float]:
    """LUTs and flip-flops by the coefficients that are used now, to a tenth."""
    cost = costs.cost(entry.op, find_family(entry.family), entry.features)
    return [round(cost.luts, 1), round(cost.flip_flops, 1)]


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
        for share in (False, True) if _layered(manifest) else (False,):
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


def _layered(manifest: Manifest) -> bool:
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


def measure(sample: Sample, family: Family, cache: Path) -> list[Measured]:
    """What a sample takes; nothing if it brings Yosys down, see `ssm_hdl.boards.flow`:
    it is left out then."""
    text = verilog.convert(sample.make(), name="top", emit_src=False, strip_internal_attrs=True)
    try:
        return [Measured.of(sample, family, synthesise(text, "top", family, cache))]
    except SsmHdlError as error:
        if flow.BROKEN not in str(error):
            raise
        return []


def plans(manifest: Manifest, family: Family, dsps: Sequence[int]) -> Iterator[Plan]:
    """Whole pipelines to judge by: with a number of DSP blocks,
    and sharing their stages if they have layers."""
    for dsp in dsps:
        for share in (False, True) if _layered(manifest) else (False,):
            try:
                yield plan_for(manifest, unlimited(family), dsp=dsp, share_layers=share).plan
            except SsmHdlError:  # too few for a stage of its own for every operation
                continue


def synthesise(text: str, top: str, family: Family, cache: Path) -> dict[str, int]:
    """LUTs and flip-flops of Verilog, and the blocks that it takes;
    what was synthesised before is kept in a folder."""
    key = sha256(f"{flow.synthesis_key(family)} {bare(text)}".encode()).hexdigest()[:24]
    file = cache / f"{key}.json"
    if file.exists():
        return dict(json.loads(file.read_text(encoding="utf-8")))
    cache.mkdir(parents=True, exist_ok=True)
    counts = flow.synthesised(text, top, family)
    write_atomically(file, json.dumps(counts))
    return counts


def fit(measured: Sequence[Measured]) -> dict[str, Any]:
    """Coefficients for every family and operation: the least relative errors, none negative."""
    fitted: dict[str, Any] = {}
    for family, op in dict.fromkeys((entry.family, entry.op) for entry in measured):
        rows = [entry for entry in measured if (entry.family, entry.op) == (family, op)]
        fitted.setdefault(family, {})[op] = {kind: _fit(rows, kind) for kind in costs.KINDS}
    return fitted


def _fit(rows: Sequence[Measured], kind: str) -> dict[str, float]:
    from scipy.optimize import nnls

    names = sorted({name for row in rows for name in row.features})
    target = np.array([getattr(row, kind) for row in rows], dtype=float)
    # between relative and absolute errors: large stages make the sums
    weight = 1 / np.maximum(target, 40) ** 0.75
    while True:
        matrix = np.array([[row.features.get(name, 0.0) for name in names] for row in rows])
        solution, _ = nnls(matrix * weight[:, np.newaxis], target * weight)
        parts = matrix * solution
        shares = (parts / np.maximum(parts.sum(axis=1, keepdims=True), 1)).max(axis=0)
        if shares.min() >= LEAST:
            return {
                name: round(float(value), 4) for name, value in zip(names, solution, strict=True)
            }
        names = [name for name, share in zip(names, shares, strict=True) if share >= LEAST]


def judge(manifest: Manifest, plan: Plan, cache: Path) -> dict[str, Any]:
    """A whole pipeline, estimated and synthesised."""
    family, report = plan.family, estimate(manifest, plan, timed=False)
    counts = synthesise(generate(manifest, plan), manifest.name, family, cache)
    answer: dict[str, Any] = {
        "family": family.name,
        "cycles": report.cycles,
        "shared": plan.share_layers,
    }
    answer["stages"] = {name: written(stage) for name, stage in plan.stages.items()}
    guesses = {
        "LUTs": report.luts, "flip-flops": report.flip_flops, "multipliers": report.dsp,
        "block RAMs": report.block_rams[family.name],
    }  # fmt: skip
    for what, guess in guesses.items():
        error = round(guess / max(counts[what], 1) - 1, 4)
        answer[what] = {"estimated": guess, "synthesised": counts[what], "error": error}
    return answer


def written(plan: StagePlan) -> dict[str, Any]:
    """The fields of the plan of a stage that differ from the default."""
    return {
        field.name: value
        for field in fields(plan)
        if (value := getattr(plan, field.name)) != field.default
    }
