# amaranth: UnusedElaboratable=no
"""One manifest and plan in every place that runs it: independent model, golden model, QAT,
RTL and netlists."""

import warnings
from pathlib import Path

import numpy as np
from independent import Program

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.fixed import Codes
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.timing import Timing
from ssm_hdl.gen.traffic import Traffic
from ssm_hdl.gen.verilog import generate
from ssm_hdl.sim.cells import with_cells
from ssm_hdl.sim.compare import judge
from ssm_hdl.sim.compiler import Design
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.netlist import netlist_model
from ssm_hdl.sim.runs import Run
from ssm_hdl.sim.verilated import VerilatedModel

STEPS = 384
"""Time steps of a run without stalls."""


class Finding(AssertionError):
    """Something that must not be.

    Attributes:
        kind: ``difference``, ``hang`` or ``figure``.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind


def samples(manifest: Manifest, batch: int, steps: int, seed: int = 0) -> Codes:
    """Random codes, many at the ends of the format; the second half is a value for each sequence,
    for long."""
    format, random = manifest.input.format, np.random.default_rng(seed)
    codes = random.integers(format.min, format.max + 1, (batch, steps, manifest.input.size))
    corners = random.choice([format.min, format.max], codes.shape)
    codes = np.where(random.random(codes.shape) < 0.2, corners, codes)
    codes[batch // 2 :, 1:] = np.where(
        random.random((steps - 1, 1)) < 0.8, codes[batch // 2 :, :1], codes[batch // 2 :, 1:]
    )
    return codes


def check_models(manifest: Manifest) -> int:
    """The independent model is the golden one, and so is QAT's forward pass;
    the number of outputs compared."""
    program = Program(
        manifest.graph.model_dump(mode="json", exclude_none=True),
        {name: codes.tolist() for name, codes in manifest.tensors.codes.items()},
        {name: str(format) for name, format in manifest.tensors.formats.items()},
    )
    outputs = 0
    for steps in {1, min(manifest.steps, 6)}:
        batch = samples(manifest, 2, steps, steps)
        golden = run(manifest, batch).outputs
        found = np.array([program.run(sequence) for sequence in batch.tolist()]).reshape(
            golden.shape
        )
        _equal("the independent model", found, golden)
        outputs += golden.size
    return outputs + _check_qat(manifest)


def _check_qat(manifest: Manifest) -> int:
    import torch

    from ssm_hdl.sw.qat.model import QatModel

    try:
        model = QatModel(manifest)
    except SsmHdlError:
        return 0  # beyond the bits of float64
    batch = samples(manifest, 4, min(manifest.steps, 12), 9)
    golden = run(manifest, batch).outputs
    with torch.no_grad():
        _equal("QAT", model(torch.from_numpy(batch).double()).long().numpy(), golden)
    return golden.size


def _equal(what: str, found: Codes, golden: Codes) -> None:
    if not np.array_equal(found, golden):
        places = np.argwhere(found != golden)
        first = tuple(places[0])
        raise Finding(
            "difference",
            f"{what}, {len(places)} of {golden.size}: {found[first]} at {first}, "
            f"golden {golden[first]}",
        )


def check_rtl(
    manifest: Manifest, plan: Plan, cache: Path | None = None, figures: bool = True
) -> int:
    """RTL is the golden model, at the cycles that the generator states;
    the number of outputs compared."""
    pipeline = Pipeline(manifest, plan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is elaborated for its figures only
        text = generate(manifest, plan)
    design = with_cells(
        Design(text, manifest.name, weights=pipeline.image, optimise=0), plan.family
    )
    model = VerilatedModel(manifest, design=design, cache=cache)
    try:
        batch = samples(manifest, max(4, STEPS // manifest.steps), manifest.steps)
        found = model.run(batch)
        outputs = _judge(manifest, batch, found, "RTL")
        if figures:
            _check_figures(manifest, pipeline, model, batch, found)
        return outputs + check_disturbed(manifest, model, "RTL")
    finally:
        model.library.unlink()


def check_disturbed(manifest: Manifest, model: VerilatedModel, what: str) -> int:
    """Stalls, sequences of one step and shorter than the longest, and a reset in the middle."""
    outputs = 0
    for seed, (steps, stalls) in enumerate(
        ((manifest.steps, 0.5), (1, 0.9), (max(1, manifest.steps // 2), 0.3))
    ):
        batch = samples(manifest, 4, min(steps, 16), seed)
        for reset in (None, 37 * (seed + 1)):
            found = _run(model, batch, stalls=stalls, seed=seed, reset_after=reset)
            outputs += _judge(
                manifest, batch, found, f"{what}, stalls {stalls}, reset after {reset}"
            )
    return outputs


def check_netlist(manifest: Manifest, plan: Plan, cache: Path | None = None) -> int:
    """The cells after synthesis are the golden model; the number of outputs compared."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = netlist_model(manifest, plan.family, plan, cache=cache)
    try:
        batch = samples(manifest, 4, min(manifest.steps, 6))
        outputs = _judge(manifest, batch, _run(model, batch, stalls=0.2), "netlist")
        return outputs + _judge(
            manifest, batch[:2], _run(model, batch[:2], reset_after=50), "netlist after a reset"
        )
    finally:
        model.library.unlink()


def _run(model: VerilatedModel, batch: Codes, **options: float | None) -> Run:
    try:
        return model.run(batch, **options)
    except SsmHdlError as error:
        raise Finding(
            "hang" if "stuck" in str(error) else "difference", f"{error} {options}"
        ) from error


def _judge(manifest: Manifest, batch: Codes, found: Run, what: str) -> int:
    comparison = judge(manifest, batch, [found])
    if comparison.differences:
        raise Finding(
            "difference",
            f"{what}: {comparison.differences} of {comparison.elements}; {comparison.first}",
        )
    return comparison.elements


def _check_figures(
    manifest: Manifest, pipeline: Pipeline, model: VerilatedModel, batch: Codes, found: Run
) -> None:
    """Cycle by cycle the ends of the RTL move as the network does,
    and the figures are those stated."""
    steps, size = manifest.steps, manifest.input.size
    traffic = Traffic(pipeline.network, size, lambda step: step % steps == steps - 1)
    traffic.feed(found.i_cycles.size)
    results = len(traffic.o.taken) // found.o_cycles.size
    taken, left = traffic.i.taken[size - 1 :: size], traffic.o.taken[results - 1 :: results]
    loading = found.i_cycles[0, 0] - taken[0] if pipeline.sprams else 0
    for what, stated, cycles in (("i", taken, found.i_cycles), ("o", left, found.o_cycles)):
        if stated != (cycles.ravel() - loading).tolist():
            raise Finding("figure", f"the cycles of {what}")
    timing = Timing(pipeline)
    alone = _run(model, batch[:1, :1]).latency
    if alone != timing.latency_alone:
        raise Finding("figure", f"a latency alone of {alone}, stated {timing.latency_alone}")
    for more in (1, 4, 16):  # some take long until their cycles repeat
        if more > 1:
            found = _run(model, np.tile(batch, (more, 1, 1)))
        figures, stated = (found.interval, found.latency), (timing.cycles, timing.latency_full)
        if figures == stated:
            return
    raise Finding("figure", f"an interval and a latency of {figures}, stated {stated}")
