"""A summary of a data set: its task, parts, channels and labels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.fixed import Format
from ssm_hdl.samples import UNLABELLED
from ssm_hdl.sw.data.cut import PARTS
from ssm_hdl.sw.data.dataset import Dataset, Split


def describe(dataset: Dataset) -> dict[str, Any]:
    """A data set in JSON. Ranges are of the training part, in the unit of the data."""
    format, unit = (
        Format.parse(dataset.input_format),
        np.array(dataset.scale or (1.0,) * dataset.channels),
    )
    lsb = format.lsb * unit
    inside = dataset.train.codes[dataset.train.inside()]
    clipped = (
        ((inside == format.min) | (inside == format.max)).mean(0)
        if dataset.scale
        else np.zeros(dataset.channels)
    )
    named = dataset.channel_names or tuple(map(str, range(dataset.channels)))
    channels = [
        {
            "name": name,
            "min": float(low),
            "max": float(high),
            "mean": float(mean),
            "std": float(std),
            "lsb": float(one),
        }
        | {"clipped": float(share)}
        for name, low, high, mean, std, one, share in zip(
            named,
            inside.min(0) * lsb,
            inside.max(0) * lsb,
            dataset.mean * unit,
            dataset.std * unit,
            lsb,
            clipped,
            strict=True,
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
            part: {
                "samples": len(split),
                "steps": int(split.inside().sum()),
                "labels": int(_known(split).sum()),
            }
            for part, split in splits.items()
        },
        "channels": channels,
        "labels": _labels(dataset, splits),
    }


def _known(split: Split) -> NDArray[np.bool_]:
    """Whether there is a label."""
    return np.asarray(
        ~np.isnan(split.labels).any(-1)
        if split.labels.dtype.kind == "f"
        else split.labels != UNLABELLED
    )


def _labels(dataset: Dataset, splits: dict[str, Split]) -> list[dict[str, Any]]:
    """Counts of the classes, or ranges of the numbers, in each part."""
    known = {part: split.labels[_known(split)] for part, split in splits.items()}
    if dataset.classes:
        counts = {
            part: np.bincount(labels, minlength=dataset.classes).tolist()
            for part, labels in known.items()
        }
        named = dataset.class_names or tuple(map(str, range(dataset.classes)))
        return [
            {"kind": "class", "name": name} | {part: counts[part][number] for part in PARTS}
            for number, name in enumerate(named)
        ]
    return [
        {"kind": "number", "name": str(number)}
        | {
            part: f"{v[:, number].min():.4g} to {v[:, number].max():.4g}" if len(v) else "none"
            for part, v in known.items()
        }
        for number in range(dataset.targets)
    ]
