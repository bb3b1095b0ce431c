"""Calibration of the estimates: synthesise single stages, fit what they take to what they are made
of, judge whole pipelines.

Everything that was synthesised is kept: single stages in ``results/stages.json``, whole pipelines
in ``results/estimates.json``. The latter say how close the estimates are where nothing was fitted.
"""

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from amaranth.back import verilog

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.boards import flow
from ssm_hdl.boards.stage_samples import Sample, layered, written
from ssm_hdl.families import Family, find_family, unlimited
from ssm_hdl.files import write_atomically
from ssm_hdl.gateware.stage import Features
from ssm_hdl.gen import costs
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import bare, generate

LEAST = 0.02
"""A feature that is a smaller share of the estimate of every sample has no coefficient:
no measurement tells it from 0."""


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
    """Write measurements with their estimates, one per line."""
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
        for share in (False, True) if layered(manifest) else (False,):
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
