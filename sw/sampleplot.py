"""A picture of samples: the channels over time, one panel for each class."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ssm_hdl.sw.data import Dataset
from ssm_hdl.sw.figures import FAINT, INK, save

PANELS = 6
"""Most samples drawn."""

LEGEND = 12
"""Most channels and most classes in the legend."""


def draw(dataset: Dataset, path: Path) -> Path:
    """Draw a training sample of each class, or the first ones, as the float model sees them;
    labels of steps are shades.

    Raises:
        SsmHdlError: the file is of no kind that can be drawn, or cannot be written.
    """
    split = dataset.train
    lengths = np.full(len(split), dataset.steps) if split.lengths is None else split.lengths
    order = np.arange(len(split))
    if dataset.classes and not dataset.per_step:  # the first of each class
        order = np.unique(split.labels, return_index=True)[1]
    chosen = order[:PANELS]
    figure = Figure(figsize=(8, 1.2 + 1.3 * len(chosen)), layout="constrained")
    named = dataset.channel_names or tuple(
        f"channel {number}" for number in range(dataset.channels)
    )
    shades = dict[int, Patch]()
    panels = np.ravel(figure.subplots(len(chosen), 1, sharex=True, squeeze=False))
    for axes, index in zip(panels, chosen, strict=True):
        seconds = np.arange(lengths[index] + 1) / (dataset.rate or 1.0)
        values = dataset.normalise(split.codes[index, : lengths[index]])
        for channel, name in enumerate(named):
            axes.plot(seconds[:-1], values[:, channel], linewidth=0.8, label=name)
        axes.set_ylabel(_label(dataset, split.labels[index]), color=INK, fontsize=8)
        axes.tick_params(colors=FAINT, labelsize=7)
        if dataset.classes and dataset.per_step:
            labels = split.labels[index, : lengths[index]]
            for begin, end in pairwise([0, *(np.flatnonzero(np.diff(labels)) + 1), len(labels)]):
                if (number := int(labels[begin])) >= 0:
                    patch = axes.axvspan(
                        seconds[begin],
                        seconds[end],
                        alpha=0.2,
                        color=f"C{(number + 5) % 10}",
                        linewidth=0,
                    )
                    shades[number] = patch
    panels[-1].set_xlabel("seconds" if dataset.rate else "steps", color=INK)
    lines = panels[-1].get_legend_handles_labels()[0][:LEGEND] if dataset.channels > 1 else []
    known = [shades[number] for number in sorted(shades)][:LEGEND]
    names = [*named[: len(lines)], *(_class(dataset, number) for number in sorted(shades)[:LEGEND])]
    if names:
        figure.legend([*lines, *known], names, loc="outside upper center", ncols=6, fontsize=8)
    return save(figure, path)


def _label(dataset: Dataset, label: NDArray[Any]) -> str:
    """The label of a sequence, for its panel."""
    if dataset.per_step:
        return ""
    return (
        _class(dataset, int(label))
        if dataset.classes
        else ", ".join(f"{number:.4g}" for number in label)
    )


def _class(dataset: Dataset, number: int) -> str:
    return dataset.class_names[number] if dataset.class_names else f"class {number}"
