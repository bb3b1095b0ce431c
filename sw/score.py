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
    labelled = labels != UNLABELLED
    if not labelled.any():
        return {}
    wanted, count = labels[labelled], outputs.shape[-1]
    answers = outputs[labelled].argmax(-1)
    # A label may be beyond the outputs of a model that was not trained for it; then it counts as wrong.
    size = max(count, int(wanted.max()) + 1)
    confusion = np.bincount(wanted * size + answers, minlength=size * size).reshape(size, size)
    right, labels_of, answers_of = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    present, seen = labels_of > 0, labels_of + answers_of > 0
    return {
        "accuracy": float((answers == wanted).mean()),
        "balanced_accuracy": float((right[present] / labels_of[present]).mean()),
        "f1": float((2 * right[seen] / (labels_of + answers_of)[seen]).mean()),
    }


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


__all__ = ["score", "scores"]
