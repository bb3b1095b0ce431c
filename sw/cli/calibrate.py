"""``ssm-hdl calibrate``: fit the estimates of LUTs and flip-flops to synthesis."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssm_hdl.extras import need
from ssm_hdl.sw.cli.console import Json, progress, show, table

if TYPE_CHECKING:
    from ssm_hdl.families import Family
    from ssm_hdl.gen.plan import Plan

NAME = "calibrate"
EXAMPLE = (
    "ssm-hdl calibrate manifests/s4d-16h-w8a8x8 manifests/s5-mnist-16h-w4a8 --judge "
    "manifests/digits"
)

DSP = (8, 28)
"""DSP blocks of the pipelines that are judged, where the largest device of a family has enough."""


def command(
    manifests: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="MANIFEST",
            help="Manifests whose stages are synthesised; without any, it only judges.",
        ),
    ] = None,
    judge: Annotated[
        list[Path] | None,
        typer.Option(help="Manifest of whole pipelines to judge by; may be repeated."),
    ] = None,
    coefficients: Annotated[Path, typer.Option(help="File to write what was fitted to.")] = Path(
        "gen/costs.json"
    ),
    stages: Annotated[Path, typer.Option(help="File to write the measured stages to.")] = Path(
        "results/stages.json"
    ),
    results: Annotated[Path, typer.Option(help="File to write the judgement to.")] = Path(
        "results/estimates.json"
    ),
    kept: Annotated[Path, typer.Option(help="Folder that keeps what was synthesised.")] = Path(
        "out/calibrate"
    ),
    as_json: Json = False,
) -> None:
    """Synthesise single stages in many sizes, fit what they take,
    and judge the estimates of whole pipelines."""
    need("pyosys", "scipy")
    from ssm_hdl import Manifest
    from ssm_hdl.boards import calibrate, stage_samples
    from ssm_hdl.boards.families import FLOWS
    from ssm_hdl.families import find_family
    from ssm_hdl.files import update_json, write_atomically
    from ssm_hdl.gen import costs

    families, loaded = (
        [family for family in map(find_family, FLOWS) if family.fitted],
        [Manifest.load(path) for path in manifests or []],
    )
    if loaded:
        samples = [
            (family, sample)
            for family in families
            for sample in stage_samples.samples(loaded, family)
        ]
        measured = []
        with progress("single stages", len(samples)) as advance:
            for family, sample in samples:
                measured += calibrate.measure(sample, family, kept)
                advance(1)
        fitted = calibrate.fit(measured)
        write_atomically(coefficients, json.dumps(fitted, indent=1) + "\n")
        costs.use(fitted)
        calibrate.save(measured, stages)
    judged = [(path.name, Manifest.load(path)) for path in judge or []]
    plans = [
        (name, manifest, plan)
        for name, manifest in judged
        for family in families
        for plan in calibrate.plans(manifest, family, dsps(family))
    ]
    answer: dict[str, Any] = {}
    with progress("whole pipelines", len(plans)) as advance:
        for name, manifest, plan in plans:
            answer[key_of(name, plan)] = calibrate.judge(manifest, plan, kept)
            advance(1)
    update_json(results, answer)
    shown = table(
        "pipeline",
        ">LUTs",
        ">estimated",
        ">error",
        ">flip-flops",
        ">error",
        ">block RAMs",
        ">estimated",
    )
    for key, row in answer.items():
        luts, flip_flops, rams = row["LUTs"], row["flip-flops"], row["block RAMs"]
        shown.add_row(
            key, f"{luts['synthesised']:,}", f"{luts['estimated']:,}", f"{luts['error']:+.0%}",
            f"{flip_flops['synthesised']:,}", f"{flip_flops['error']:+.0%}",
            str(rams["synthesised"]), str(rams["estimated"]),
        )  # fmt: skip
    show(as_json, answer, shown)


def dsps(family: "Family") -> list[int]:
    """DSP blocks of the pipelines that are judged."""
    from ssm_hdl.families import DEVICES

    largest = max(device.dsps for device in DEVICES.values() if device.family is family)
    return [count for count in DSP if count <= largest]


def key_of(name: str, plan: "Plan") -> str:
    """What a pipeline is called in the results."""
    return f"{name} {plan.family.name} {plan.dsp} DSP{' shared' if plan.share_layers else ''}"
