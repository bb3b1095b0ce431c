"""``ssm-hdl data``: what samples there are in a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from ssm_hdl.errors import brief
from ssm_hdl.fixed import Format
from ssm_hdl.samples import UNLABELLED
from ssm_hdl.sw.cli.console import Folder, Hop, Json, Window, facts, need, need_writable, show, table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ssm_hdl.sw.data import Dataset, Split

NAME = "data"
EXAMPLE = "ssm-hdl data ecg.npz --picture ecg.png"
PARTS = ("train", "val", "test")
ROWS = 16
"""Most channels, classes or numbers that the tables list; JSON has all."""


def command(
    name: Annotated[
        str, typer.Argument(metavar="FILE.npz|DATASET", help="Your own samples (docs/data.md), or a data set by name.")
    ],
    data: Folder = None,
    window: Window = None,
    hop: Hop = None,
    picture: Annotated[Path | None, typer.Option(help="Draw some training samples into this .png file.")] = None,
    as_json: Json = False,
) -> None:
    """Show what is in a file of samples: shape, format, channels, labels and parts; or the first thing that is wrong with it."""
    from ssm_hdl.sw.data import load

    if picture is not None:
        need("matplotlib")
        need_writable(picture)
    dataset = load(name, data, progress=True, window=window, hop=hop)
    answer = describe(dataset)
    if picture is not None:
        from ssm_hdl.sw.sampleplot import draw

        answer["picture"] = str(draw(dataset, picture))
    summary = {
        "task": answer["task"],
        "sequences": f"up to {dataset.steps:,} steps of {dataset.channels} x {dataset.input_format}",
        "rate": f"{dataset.rate:g} steps per second" if dataset.rate else "not given",
    } | ({"picture": answer["picture"]} if picture else {})
    parts = table("part", ">samples", ">steps", ">labels")
    for part, counts in answer["parts"].items():
        parts.add_row(part, f"{counts['samples']:,}", f"{counts['steps']:,}", f"{counts['labels']:,}")
    channels = table("channel", ">least", ">largest", ">mean", ">deviation", ">of one code")
    for row in answer["channels"][:ROWS]:
        channels.add_row(brief(row["name"], 20), *(f"{row[key]:.4g}" for key in ("min", "max", "mean", "std", "lsb")))
    labels = table(answer["labels"][0]["kind"], *(f">{part}" for part in PARTS))
    for row in answer["labels"][:ROWS]:
        labels.add_row(brief(row["name"], 20), *(row[part] if isinstance(row[part], str) else f"{row[part]:,}" for part in PARTS))
    more = {key: f"{len(answer[key]) - ROWS} more (--json)" for key in ("channels", "labels") if len(answer[key]) > ROWS}
    show(as_json, answer, facts(dataset.name, summary), parts, channels, labels, *([facts("not shown", more)] if more else []))


def describe(dataset: "Dataset") -> dict[str, Any]:
    """A data set in JSON. Ranges are of the training part, in the unit of the data."""
    lsb = Format.parse(dataset.input_format).lsb * np.array(dataset.scale or (1.0,) * dataset.channels)
    unit = np.array(dataset.scale or (1.0,) * dataset.channels)
    inside = dataset.train.codes[dataset.train.inside()]
    named = dataset.channel_names or tuple(map(str, range(dataset.channels)))
    channels = [
        {"name": name, "min": float(low), "max": float(high), "mean": float(mean), "std": float(std), "lsb": float(one)}
        for name, low, high, mean, std, one in zip(
            named, inside.min(0) * lsb, inside.max(0) * lsb, dataset.mean * unit, dataset.std * unit, lsb, strict=True
        )
    ]
    splits: dict[str, Split] = {part: getattr(dataset, part) for part in PARTS}
    kind = f"{dataset.classes} classes" if dataset.classes else f"regression of {dataset.targets}"
    return {
        "name": dataset.name,
        "task": f"{kind}, a label for each {'step' if dataset.per_step else 'sequence'}",
        "steps": dataset.steps,
        "input_format": dataset.input_format,
        "rate": dataset.rate or None,
        "parts": {
            part: {"samples": len(split), "steps": int(split.inside().sum()), "labels": int(_known(split).sum())}
            for part, split in splits.items()
        },
        "channels": channels,
        "labels": _labels(dataset, splits),
    }


def _known(split: "Split") -> "NDArray[np.bool_]":
    """Whether there is a label."""
    return np.asarray(~np.isnan(split.labels).any(-1) if split.labels.dtype.kind == "f" else split.labels != UNLABELLED)


def _labels(dataset: "Dataset", splits: dict[str, "Split"]) -> list[dict[str, Any]]:
    """Counts of the classes, or ranges of the numbers, in each part."""
    known = {part: split.labels[_known(split)] for part, split in splits.items()}
    if dataset.classes:
        counts = {part: np.bincount(labels, minlength=dataset.classes).tolist() for part, labels in known.items()}
        named = dataset.class_names or tuple(map(str, range(dataset.classes)))
        return [
            {"kind": "class", "name": name} | {part: counts[part][number] for part in PARTS} for number, name in enumerate(named)
        ]
    return [
        {"kind": "number", "name": str(number)}
        | {part: f"{v[:, number].min():.4g} to {v[:, number].max():.4g}" if len(v) else "none" for part, v in known.items()}
        for number in range(dataset.targets)
    ]
