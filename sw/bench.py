"""The benchmark: what sized pipelines reach of the devices' limits,
by simulation and by place and route."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.boards.board import Board
from ssm_hdl.boards.flow import synthesis_key
from ssm_hdl.boards.resources import shell_use
from ssm_hdl.boards.seeds import clocks, routing_key
from ssm_hdl.boards.shell import line_of, shell_verilog
from ssm_hdl.families import Family, unlimited
from ssm_hdl.files import write_atomically
from ssm_hdl.fixed import Codes
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.size.planner import Sized, plan_for
from ssm_hdl.gen.verilog import bare, generate
from ssm_hdl.sim.compare import compare
from ssm_hdl.sim.verilated import VerilatedModel

SEEDS = (1, 2, 3)
"""Seeds of place and route; the median is reported."""

STEPS = 96
"""Time steps of the sequences that the interval is measured on."""

Step = Callable[[str], None]


def samples(manifest: Manifest, sequences: int = 3, steps: int = STEPS) -> Codes:
    """Random samples, the same every time."""
    dice, edge = np.random.default_rng(0), manifest.input
    shape = sequences, min(steps, manifest.steps), edge.size
    return dice.integers(edge.format.min, edge.format.max + 1, shape)


def measure(manifest: Manifest, plan: Plan) -> dict[str, Any]:
    """The interval of a plan's RTL, in the cells of its family, and its latency, for a step alone.

    Raises:
        SsmHdlError: it differs from the golden model.
    """
    model, codes = VerilatedModel(manifest, plan), samples(manifest)
    compared = compare(manifest, model, codes)
    if compared.differences:
        raise SsmHdlError(
            f"{manifest.name}: {compared.differences} outputs of the RTL differ; {compared.first}"
        )
    return {
        "interval": compared.interval,
        "latency": model.run(codes[:1, :1]).latency,
        "outputs_compared": compared.elements,
    }


def row(
    name: str,
    manifest: Manifest,
    board: Board,
    rate_hz: float | None,
    cache: Path,
    step: Step,
    jobs: int = 1,
) -> dict[str, Any]:
    """A model on a board: the figures of the pipeline that reaches a rate at the least cost,
    or of the fastest that fits.

    What was measured of the same Verilog, in the same shell and by the same tools,
    before is taken up again.

    Args:
        name: what the manifest is called in the results.
        manifest: the integer program.
        board: where it goes, with the board's shell.
        rate_hz: time steps per second; the most that fit if None.
        cache: folder that keeps what was measured.
        step: told the next measurement.
        jobs: seeds of place and route side by side.
    """
    clock_hz = board.chip.clock_hz
    sized = planned(manifest, board, rate_hz)
    place = cache / f"{name}-{board.name}-{sized.report.cycles}"

    def measurement() -> dict[str, Any]:
        step(
            f"{manifest.name} on the {board.title}: {sized.report.cycles:,} cycles per step, "
            "simulation"
        )
        measured = measure(manifest, sized.plan)
        reached = clocks(
            manifest,
            board,
            sized.plan,
            place,
            clock_hz,
            SEEDS,
            lambda line: step(f"  {line}"),
            jobs,
        )
        usage = {what: asdict(use) for what, use in reached.usage.items()}
        return {"found": measured, "clocks_mhz": list(reached.reached_mhz), "usage": usage}

    known = _once(
        place.with_name(f"{place.name}.json"),
        f"{SEEDS} {key(manifest, board, sized.plan, clock_hz)}",
        measurement,
    )
    answer = {
        "manifest": name,
        "rate_asked": rate_hz,
        **figures(manifest, board, sized, known["found"], known["clocks_mhz"]),
    }
    return answer | {"usage": known["usage"]}


def planned(manifest: Manifest, board: Board, rate_hz: float | None = None) -> Sized:
    """The plan that reaches a rate at the least cost, or the fastest that fits a board."""
    return plan_for(
        manifest, board.chip, rate_hz, fastest=rate_hz is None, reserve=shell_use(manifest, board)
    )


def key(manifest: Manifest, board: Board, plan: Plan, clock_hz: float) -> str:
    """What a bitstream depends on, but for the seed: its Verilog, its clock, and the tools."""
    verilog = shell_verilog(
        manifest, plan, *line_of(board, board.pll(clock_hz).clock_hz), board.flash_offset
    )
    return f"{clock_hz} {synthesis_key(board.family)} {routing_key(board)} {bare(verilog)}"


def largest(name: str, manifest: Manifest, board: Board, cache: Path, step: Step) -> dict[str, Any]:
    """A model in the fastest pipeline that fits a board, by estimate: its interval in simulation,
    without place and route.

    Args:
        name: what the manifest is called in the results.
        manifest: the integer program.
        board: where it goes, with the board's shell.
        cache: folder that keeps what was measured.
        step: told the next measurement.
    """
    sized = planned(manifest, board)
    step(
        f"{manifest.name} as large as fits the {board.title}: "
        f"{sized.report.cycles:,} cycles per step, simulation"
    )
    file = cache / f"{name}-{board.name}-largest-{sized.report.cycles}.json"
    measured = _once(
        file, bare(generate(manifest, sized.plan)), partial(measure, manifest, sized.plan)
    )
    return {
        "manifest": name,
        "clock_hz": board.chip.clock_hz,
        **_busy(manifest, board, sized, measured),
    }


def _once(file: Path, of: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was made of the same before, or is made now, and kept in a file."""
    key = sha256(of.encode()).hexdigest()
    if file.exists():
        known = dict(json.loads(file.read_text(encoding="utf-8")))
        if known.pop("key", None) == key:
            return known
    answer = make()
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps({"key": key, **answer}, indent=2) + "\n")
    return answer


def figures(
    manifest: Manifest,
    board: Board,
    sized: Sized,
    measured: dict[str, Any],
    reached: Sequence[float],
) -> dict[str, Any]:
    """What follows from the measurements, with the clocks of place and route."""
    report, chip = sized.report, board.chip
    clock, interval = median(reached) * 1e6, measured["interval"]
    return {
        **_busy(manifest, board, sized, measured),
        "clocks_mhz": list(reached),
        "clock_mhz": clock / 1e6,
        "steps_per_second": round(clock / interval, 1),
        "multiplications_per_second": round(report.multiplications * clock / interval),
        "limit": chip.limit,
        "share_of_limit": round(report.multiplications * clock / interval / chip.limit, 4),
        "dsp_only_limit_at_this_clock": round(chip.dsps * chip.lanes_per_dsp * clock),
    }


def _busy(
    manifest: Manifest, board: Board, sized: Sized, measured: dict[str, Any]
) -> dict[str, Any]:
    """What follows from the measurements in simulation."""
    report, chip, interval = sized.report, board.chip, measured["interval"]
    # products of real numbers per step
    in_dsp = report.utilisation * report.cycles * report.dsp_multipliers
    lanes = report.dsp_multipliers + report.lut_multipliers
    return {
        "model": manifest.name,
        "device": chip.name,
        "board": board.name,
        "shared": sized.plan.share_layers,
        "multiplications": report.multiplications,
        "cycles_planned": report.cycles,
        "interval": interval,
        "latency": measured["latency"],
        "outputs_compared": measured["outputs_compared"],
        "dsp_blocks": report.dsp,
        "dsp_multipliers": report.dsp_multipliers,
        "lut_multipliers": report.lut_multipliers,
        "utilisation": round(in_dsp / (report.dsp_multipliers * interval), 4)
        if report.dsp_multipliers
        else None,
        "dsp_blocks_of_device": round(report.dsp / chip.dsps, 4),
        "luts_estimated": report.luts,
        "flip_flops_estimated": report.flip_flops,
        "luts_per_lane": round(report.luts / lanes, 1),
    }


def plans(manifest: Manifest, family: Family, limit: int) -> Iterator[Sized]:
    """Plans from the fewest to ``limit`` DSP blocks, each faster than the one before."""
    cycles: float | None = None
    for dsp in range(1, limit + 1):
        try:
            sized = plan_for(manifest, unlimited(family), dsp=dsp)
        except SsmHdlError:  # every stage needs a multiplier
            continue
        if sized.report.cycles != cycles:
            cycles = sized.report.cycles
            yield sized


def line(
    manifest: Manifest, family: Family, limit: int, cache: Path, step: Step
) -> list[dict[str, Any]]:
    """Throughput against multipliers: the interval of each of the plans in simulation."""
    points: list[dict[str, Any]] = []
    for plan, report in ((sized.plan, sized.report) for sized in plans(manifest, family, limit)):
        step(
            f"{manifest.name}: {report.dsp_multipliers} multipliers, "
            f"{report.cycles:,} cycles per step"
        )
        file = cache / f"{manifest.name}-{family.name}-{report.cycles}.json"
        interval = _once(file, bare(generate(manifest, plan)), partial(measure, manifest, plan))[
            "interval"
        ]
        products = report.utilisation * report.cycles * report.dsp_multipliers
        points.append(
            {
                "multipliers": report.dsp_multipliers, "blocks": report.dsp,
                "cycles": report.cycles, "interval": interval,
                "of_linear": round(products / (report.dsp_multipliers * interval), 4),
            }
        )  # fmt: skip
    return points


def straightness(line: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Throughput of the best plan as a share of a straight line's through the best of all:
    mean and least.

    From the first plan to the last, over every number of multipliers; between two plans,
    the smaller one runs.
    """
    slope = max(1 / (point["interval"] * point["multipliers"]) for point in line)
    counts = range(line[0]["multipliers"], line[-1]["multipliers"] + 1)
    best = [
        max(1 / point["interval"] for point in line if point["multipliers"] <= count)
        for count in counts
    ]
    shares = [rate / (count * slope) for rate, count in zip(best, counts, strict=True)]
    return {"mean": round(mean(shares), 4), "least": round(min(shares), 4)}
