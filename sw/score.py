"""Scores of outputs against labels, by scikit-learn."""

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.extras import need
from ssm_hdl.samples import UNLABELLED, InputSpec

Array = NDArray[Any]

TITLES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "r2": "R2",
    "mse": "mean squared error",
    "bits_per_character": "bits per character",
}
"""The scores as people write them."""

SHARES = ("accuracy", "balanced_accuracy", "f1")
"""Scores in per cent; the others are plain numbers."""


def main_score(samples: InputSpec) -> str:
    """The name of the score that chooses between models of these samples."""
    return "accuracy" if samples.classes else "r2"


def epoch_score(samples: InputSpec) -> str:
    """The name of the score that chooses the epoch of a fine-tuning:
    of a text bits per character, which are finer than accuracy."""
    return "bits_per_character" if samples.is_text else main_score(samples)


def score_text(name: str, value: float) -> str:
    """A score in its unit."""
    if name in SHARES:
        return f"{value:.2%}"
    return f"{value:.4f}" if name == "bits_per_character" else f"{value:.6g}"


def loss_unit(name: str) -> tuple[str, int, str]:
    """The name of a loss of this score, its factor (100 in points of per cent),
    and the format of its numbers."""
    return (
        (f"points of {TITLES[name]} lost", 100, "z.1f")
        if name in SHARES
        else (f"{TITLES[name]} lost", 1, "z.3f")
    )


def scores(outputs: Array, labels: Array) -> dict[str, float]:
    """All scores of a task, where there are labels; none without any. The first one chooses epochs.

    Of classes: ``accuracy``; ``balanced_accuracy``, the mean recall of the classes among the
    labels; ``f1``, the mean over the classes among labels and answers. Of numbers: ``r2``,
    the mean over the targets, and ``mse``.

    Args:
        outputs: (..., classes), of which the largest is the answer and of equal ones the first;
            or (..., targets).
        labels: classes (...), integers; or numbers (..., targets).
    """
    if labels.dtype.kind == "f":
        return {name: float(np.mean(values)) for name, values in by_target(outputs, labels).items()}
    need("sklearn")
    from sklearn import metrics

    wanted, answers = _classes(outputs, labels)
    if not len(wanted):
        return {}
    # an answer that is no label has no recall
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        return {
            "accuracy": float(metrics.accuracy_score(wanted, answers)),
            "balanced_accuracy": float(metrics.balanced_accuracy_score(wanted, answers)),
            "f1": float(metrics.f1_score(wanted, answers, average="macro")),
        }


def score(outputs: Array, labels: Array) -> float:
    """The score that chooses between models: accuracy, or R2 of numbers; 0 without labels."""
    return next(iter(scores(outputs, labels).values()), 0.0)


def recalls(outputs: Array, labels: Array) -> list[float | None]:
    """The share of the labels of each class that are answered so, None for a class without any."""
    need("sklearn")
    from sklearn import metrics

    wanted, answers = _classes(outputs, labels)
    every = range(max(outputs.shape[-1], int(wanted.max()) + 1))
    shares = metrics.recall_score(wanted, answers, labels=every, average=None, zero_division=np.nan)
    return [None if np.isnan(share) else float(share) for share in shares]


def bits_per_step(outputs: Array, labels: Array) -> float:
    """The mean cross-entropy in bits of outputs (sequences, steps, classes), logits,
    over the steps with a label."""
    total, count = 0.0, 0
    # one at a time: in double precision all would take gigabytes
    for values, wanted in zip(outputs, labels, strict=True):
        known = wanted != UNLABELLED
        logits = values[known].astype(np.float64)
        logits -= logits.max(-1, keepdims=True)
        total += float(
            (
                np.log2(np.exp(logits).sum(-1))
                - logits[np.arange(len(logits)), wanted[known]] / np.log(2)
            ).sum()
        )
        count += len(logits)
    return total / count


def by_target(outputs: Array, labels: Array) -> dict[str, list[float]]:
    """R2 and mean squared error of each target, over the labels that are numbers;
    none without any."""
    need("sklearn")
    from sklearn import metrics

    known = ~np.isnan(labels).any(-1)
    if not known.any():
        return {}
    wanted, values = labels[known], outputs[known].astype(np.float64)
    # A single label has no variance that could be explained.
    r2 = (
        metrics.r2_score(wanted, values, multioutput="raw_values")
        if len(wanted) > 1
        else np.zeros(wanted.shape[-1])
    )
    return {
        "r2": r2.tolist(),
        "mse": metrics.mean_squared_error(wanted, values, multioutput="raw_values").tolist(),
    }


def _classes(outputs: Array, labels: Array) -> tuple[Array, Array]:
    """Labels and answers, flat, where there is a label."""
    known = labels != UNLABELLED
    return labels[known], outputs[known].argmax(-1)
