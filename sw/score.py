"""Scores of outputs against labels: of classes as scikit-learn defines them, of numbers the squared error and R2."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.samples import UNLABELLED

Array = NDArray[Any]


def scores(outputs: Array, labels: Array) -> dict[str, float]:
    """All scores of a task, where there are labels; none without any.

    Of classes: ``accuracy``; ``balanced_accuracy``, the mean recall of the classes among the labels; ``f1``, the mean over the
    classes among labels and answers. Of numbers: ``r2``, the mean over the targets, and ``mse``. The first one chooses epochs.

    Args:
        outputs: (..., classes), of which the largest is the answer and of equal ones the first; or (..., targets).
        labels: classes (...), integers; or numbers (..., targets).
    """
    if labels.dtype.kind == "f":
        return _regression(outputs, labels)
    if not (labels != UNLABELLED).any():
        return {}
    confusion = _confusion(outputs, labels)
    right, labels_of, answers_of = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    present, seen = labels_of > 0, labels_of + answers_of > 0
    return {
        "accuracy": float(right.sum() / labels_of.sum()),
        "balanced_accuracy": float((right[present] / labels_of[present]).mean()),
        "f1": float((2 * right[seen] / (labels_of + answers_of)[seen]).mean()),
    }


def recalls(outputs: Array, labels: Array) -> list[float | None]:
    """The share of the labels of each class that are answered so, None for a class without any; none for numbers."""
    if labels.dtype.kind == "f":
        return []
    confusion = _confusion(outputs, labels)
    right, labels_of = np.diag(confusion).tolist(), confusion.sum(1).tolist()
    return [one / count if count else None for one, count in zip(right, labels_of, strict=True)]


def bits_per_step(outputs: Array, labels: Array) -> float:
    """The mean cross-entropy in bits of outputs (sequences, steps, classes), logits, over the steps with a label."""
    total, count = 0.0, 0
    for values, wanted in zip(outputs, labels, strict=True):  # one at a time: in double precision all would take gigabytes
        known = wanted != UNLABELLED
        logits = values[known].astype(np.float64)
        logits -= logits.max(-1, keepdims=True)
        total += float((np.log2(np.exp(logits).sum(-1)) - logits[np.arange(len(logits)), wanted[known]] / np.log(2)).sum())
        count += len(logits)
    return total / count


def _confusion(outputs: Array, labels: Array) -> NDArray[np.int64]:
    """How often a class (row) is answered by a class (column)."""
    labelled = labels != UNLABELLED
    wanted, answers = labels[labelled], outputs[labelled].argmax(-1)
    # A label may be beyond the outputs of a model that was not trained for it; then it counts as wrong.
    size = max(outputs.shape[-1], int(wanted.max(initial=0)) + 1)
    return np.bincount(wanted * size + answers, minlength=size * size).reshape(size, size)


def score(outputs: Array, labels: Array) -> float:
    """The score that chooses between models: accuracy, or R2 of numbers; 0 without labels."""
    return next(iter(scores(outputs, labels).values()), 0.0)


def _regression(outputs: Array, labels: Array) -> dict[str, float]:
    """R2 and mean squared error over the labels that are numbers."""
    labelled = ~np.isnan(labels).any(-1)
    if not labelled.any():
        return {}
    wanted, got = labels[labelled], outputs[labelled].astype(np.float64)
    error, spread = ((got - wanted) ** 2).sum(0), ((wanted - wanted.mean(0)) ** 2).sum(0)
    # As scikit-learn: a target without spread is explained wholly or not at all.
    explained = np.where(spread > 0, 1 - error / np.where(spread > 0, spread, 1), np.where(error > 0, 0.0, 1.0))
    return {"r2": float(explained.mean()), "mse": float(error.sum() / wanted.size)}


__all__ = ["bits_per_step", "recalls", "score", "scores"]
