# amaranth: UnusedElaboratable=no
"""Calibration of the estimates: synthesise single stages, fit what they take to what they are made of, judge whole pipelines."""

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from amaranth.back import verilog
from amaranth.lib.wiring import Component
from scipy.optimize import nnls

from ssm_hdl import Manifest, SsmHdlError, registry
from ssm_hdl.boards import flow, tools
from ssm_hdl.boards.families import FLOWS, Flow
from ssm_hdl.families import Family, unlimited
from ssm_hdl.files import write_atomically
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.multiplier import DSP, LUT
from ssm_hdl.gateware.queue import Queue
from ssm_hdl.gateware.ring import Ring
from ssm_hdl.gateware.stage import Features, StagePlan
from ssm_hdl.gateware.stream import Fork, Repack, shape_of
from ssm_hdl.gen import costs
from ssm_hdl.gen.depth import find_layers
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.size.stages import plan_stage
from ssm_hdl.gen.structure import Structure
from ssm_hdl.gen.verilog import generate

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
        op: operation, or what stands between stages.
        what: what people call it.
        features: what it is made of.
        make: makes it.
    """

    op: str
    what: str
    features: Features
    make: Callable[[], Component]


def samples(manifests: Sequence[Manifest], family: Family) -> list[Sample]:
    """Distinct stages of the manifests in several sizes, evenly spread over all there are, and what stands between stages."""
    found = list(_samples(manifests, family))
    chosen = []
    for op in dict.fromkeys(sample.op for sample in found):
        each = [sample for sample in found if sample.op == op]
        count = min(len(each), SAMPLES)
        chosen += [each[k * len(each) // count] for k in range(count)]
    return chosen


def _samples(manifests: Sequence[Manifest], family: Family) -> Iterator[Sample]:
    seen: set[str] = set()
    for manifest in manifests:
        for share in (False, True) if _layered(manifest) else (False,):
            structure = Structure.of(manifest, share, family)
            for name, layers in structure.stages.items():
                for plan in _forms(layers, _plans(manifest, structure, name, family)):
                    stage = registry.stage(layers.node.op.op).build(layers, plan)
                    features = costs.stage_features(stage, plan, family)
                    op = costs.kind_of(layers.node.op.op, plan)
                    key = f"{_shape(layers)} {op} {plan.folding} {plan.lanes} {plan.kind} {plan.registers}"
                    key += f" {plan.pace}" * plan.compact
                    if key not in seen:
                        seen.add(key)
                        made = partial(registry.stage(layers.node.op.op).build, layers, plan)
                        yield Sample(op, f"{manifest.name}.{name} {plan}", features, made)
    yield from _between(manifests[0], family)


def _forms(layers: Layers, plans: Iterator[StagePlan]) -> Iterator[StagePlan]:
    """The plans, and their compact forms, busy and idle."""
    for plan in plans:
        yield plan
        if not plan.registers and registry.stage(layers.node.op.op).compacts(layers, plan):
            yield from (replace(plan, compact=True, pace=pace) for pace in dict.fromkeys((plan.pace, IDLE)))


def _shape(layers: Layers) -> str:
    """What stages have to agree in to be alike but for their constants."""
    edges = [(edge.size, edge.format.width) for edge in (*layers.node.inputs, layers.node.output)]
    return f"{layers.count} {layers.node.op.op} {edges} {[array.shape for array in layers.node.arrays.values()]}"


def _plans(manifest: Manifest, structure: Structure, name: str, family: Family) -> Iterator[StagePlan]:
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
    choices = [f for f in fold.choices(layers) if f.exact and f.multipliers <= MOST and any(map(f.suits, kinds))]
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
            yield Sample("repack", f"{i} to {o}", features, partial(Repack, shape, i, o, 1, 1 + 99 * ahead))
    for layers in (2, 4):
        yield Sample("ring", f"{layers} layers", {"stage": 1.0}, partial(Ring, shape, 1, 8, layers, 2))
    for lanes in (1, 4):
        for depth in (2, 9, 40, 700):
            make = partial(Queue, shape, lanes, depth, fast=family.fast_rams)
            yield Sample("queue", f"{depth} of {lanes}", costs.queue_features(make(), family), make)
    for ways in (2, 3):
        yield Sample("fork", f"{ways} ways", costs.fork_features(ways), partial(Fork, shape, 2, ways))


def measure(sample: Sample, family: Family, kept: Path) -> dict[str, int] | None:
    """What a sample takes; None if it brings Yosys down, see `ssm_hdl.boards.flow`: it is left out then."""
    text = verilog.convert(sample.make(), name="top", emit_src=False, strip_internal_attrs=True)
    try:
        return synthesise(text, "top", family, kept)
    except SsmHdlError as error:
        if flow.BROKEN not in str(error):
            raise
        return None


def plans(manifest: Manifest, family: Family, dsps: Sequence[int]) -> Iterator[tuple[Manifest, Plan]]:
    """Whole pipelines to judge by: with so many DSP blocks, and sharing their stages if they have layers."""
    for dsp in dsps:
        for share in (False, True) if _layered(manifest) else (False,):
            try:
                yield manifest, plan_for(manifest, unlimited(family), dsp=dsp, share_layers=share).plan
            except SsmHdlError:  # too few for a stage of its own for every operation
                continue


def synthesise(text: str, top: str, family: Family, kept: Path) -> dict[str, int]:
    """LUTs and flip-flops of Verilog, and the blocks that it takes; what was synthesised before is kept in a folder."""
    key = sha256(f"{flow.synthesis_key(family)} {text}".encode()).hexdigest()[:24]
    file = kept / f"{key}.json"
    if file.exists():
        return dict(json.loads(file.read_text(encoding="utf-8")))
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept, prefix=".synthesis-") as name:
        folder = Path(name)
        (folder / "top.v").write_text(text, encoding="utf-8")
        found = flow.synthesise(family, folder / "top.v", top, folder / "yosys.log")
        if FLOWS[family.name].pack_only:
            found["LUTs"] = _logic_cells(FLOWS[family.name], folder)
    write_atomically(file, json.dumps(found))
    return found


def _logic_cells(tool: Flow, folder: Path) -> int:
    """Logic cells after packing: a flip-flop without a LUT takes one too."""
    status = tools.run(tool.router, [*tool.pack_only, "--json", "top.json"], folder, "pack.log")
    log = (folder / "pack.log").read_text(encoding="utf-8")
    found = re.search(tool.packed, log)
    if found is None:
        raise SsmHdlError(
            f"{tool.router} does not say how many logic cells there are: {tools.errors(folder, 'pack.log')} ({status})"
        )
    return int(found[1])


def fit(measured: Sequence[tuple[Sample, dict[str, int]]]) -> dict[str, Any]:
    """Coefficients for every operation: the least relative errors, none negative."""
    fitted: dict[str, Any] = {}
    for op in dict.fromkeys(sample.op for sample, _ in measured):
        rows = [(sample.features, found) for sample, found in measured if sample.op == op]
        names = sorted({name for features, _ in rows for name, value in features.items() if value})
        matrix = np.array([[features.get(name, 0.0) for name in names] for features, _ in rows])
        fitted[op] = {}
        for kind, what in zip(costs.KINDS, ("LUTs", "flip-flops"), strict=True):
            target = np.array([found[what] for _, found in rows], dtype=float)
            weight = 1 / np.maximum(target, 40) ** 0.75  # between relative and absolute: large stages make the sums
            solution, _ = nnls(matrix * weight[:, np.newaxis], target * weight)
            fitted[op][kind] = {name: round(float(value), 4) for name, value in zip(names, solution, strict=True) if value > 1e-4}
    return fitted


def judge(manifest: Manifest, plan: Plan, kept: Path) -> dict[str, Any]:
    """A whole pipeline, estimated and synthesised."""
    family, report = plan.family, estimate(manifest, plan, timed=False)
    found = synthesise(generate(manifest, plan), manifest.name, family, kept)
    answer: dict[str, Any] = {"cycles": report.cycles, "shared": plan.share_layers}
    guesses = {
        "LUTs": report.luts, "flip-flops": report.flip_flops, "multipliers": report.dsp,
        "block RAMs": report.block_rams[family.name],
    }  # fmt: skip
    for what, guess in guesses.items():
        error = round(guess / max(found[what], 1) - 1, 4)
        answer[what] = {"estimated": guess, "synthesised": found[what], "error": error}
    return answer
