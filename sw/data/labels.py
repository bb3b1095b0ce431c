"""Labels of a user's samples: classes, or targets of a regression and their scales."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.samples import UNLABELLED
from ssm_hdl.sw.data.arrays import File
from ssm_hdl.sw.data.codes import MAX_VALUE, scales_above
from ssm_hdl.sw.data.dataset import InputSpec

Array = NDArray[Any]

MAX_CLASSES = 4096
"""Most classes; a larger label is something else."""


def labels_of(
    file: File, x: Array, y: Array | None, like: InputSpec | None
) -> tuple[Array, int, int, bool]:
    """Labels, number of classes, number of targets, and whether each step has a label."""
    steps = x.shape[-2]
    if y is None:
        if like is None:
            file.fail("there is no array y, the labels")
        if x.ndim == 2 and not like.per_step:
            file.fail(
                f"x is a recording; the model, trained on {like.name}, takes sequences (samples, "
                "steps, channels)"
            )
        shape = (x.shape[:-1] if like.per_step else (len(x),)) + (
            (like.targets,) if like.targets else ()
        )
        empty = np.full(shape, np.nan) if like.targets else np.full(shape, UNLABELLED)
        return empty, like.classes, like.targets, like.per_step
    number, kinds = y.dtype.kind == "f", ("classes, integers", "numbers for regression, floats")
    if like is not None and number != bool(like.targets):
        file.fail(
            f"y are {kinds[number]}; the model, trained on {like.name}, "
            f"puts out {kinds[not number]}"
        )
    lead = (len(x), steps) if x.ndim == 3 else (steps,)
    per_step = x.ndim == 2 or y.shape[:2] == lead
    shape = lead if per_step else lead[:1]
    if y.shape != shape and not (
        number and y.ndim == len(shape) + 1 and y.shape[:-1] == shape and y.shape[-1]
    ):
        file.fail(
            f"y has shape {y.shape} and x {x.shape}; y is ({len(x):,},)"
            + f" or {lead}" * (x.ndim == 3)
        )
    if number:
        if np.isinf(y).any() or (np.isnan(y).any() and not per_step):
            file.fail("y is not a finite number everywhere; NaN is for steps without a label alone")
        y = (y if y.ndim > len(shape) else y[..., np.newaxis]).astype(np.float64)
        return y, 0, y.shape[-1], per_step
    names, least = file.arrays.get("classes"), UNLABELLED if per_step else 0
    count = like.classes if like else len(names) if names is not None else int(y.max()) + 1
    if names is not None and names.shape != (count,):
        file.fail(f"classes has shape {names.shape}; names of {count} classes are wanted")
    if y.min() < least or y.max() >= min(count, MAX_CLASSES):
        bad, last = y.min() if y.min() < least else y.max(), min(count, MAX_CLASSES) - 1
        file.fail(
            f"y has the label {bad}; "
            f"classes are {f'0 to {last}' if last >= 0 else 'integers from 0'}"
            + ", and -1 is for a step without one"
            * per_step
        )
    if count < 2:
        file.fail("y names fewer than two classes; write floats for regression")
    return y.astype(np.int64), count, 0, per_step


def target_scale_of(file: File, y: Array) -> tuple[float, ...]:
    """A power of two for each target that covers its training labels,
    so that codes of one format serve all."""
    peaks = np.nan_to_num(np.abs(y)).reshape(-1, y.shape[-1]).max(0)
    for target, peak in enumerate(peaks.tolist()):
        if peak > MAX_VALUE or 0 < peak < 1 / MAX_VALUE:
            file.fail(
                f"y of target {target} goes up to {peak:.3g}; "
                f"numbers are {1 / MAX_VALUE:g} to {MAX_VALUE:g}, use another unit"
            )
    return scales_above(peaks)
