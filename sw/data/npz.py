"""A user's own data: ``x``, ``y``, and what is known of them, in an .npz file;
docs/data.md says what each array holds."""

from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.errors import UsageError
from ssm_hdl.samples import UNLABELLED
from ssm_hdl.sw.data.arrays import KINDS, File, read
from ssm_hdl.sw.data.codes import MAX_VALUE, codes_of, format_of, normalisation_of
from ssm_hdl.sw.data.cut import PARTS, SEED, Cut, parts_of
from ssm_hdl.sw.data.dataset import Dataset, InputSpec, Split
from ssm_hdl.sw.data.labels import labels_of, target_scale_of

Array = NDArray[Any]


def load(
    path: Path | str,
    like: InputSpec | None = None,
    window: int | None = None,
    hop: int | None = None,
) -> Dataset:
    """Read, check and split a file.

    Args:
        path: of the file.
        like: what a model was trained on: its format, scales and normalisation are taken, and the
            file has to fit. ``y`` may then be missing. Without it they follow from
            the training part.
        window: steps of the windows that a recording is cut into; ``like``'s if None.
        hop: steps from one window of the training part to the next; ``window`` if None.
            Others never overlap.

    Raises:
        SsmHdlError: the first thing that is wrong with the file.
    """
    return prepare(Path(path), read(Path(path)), like, window, hop)


def is_samples(path: Path) -> bool:
    """Whether a file has the names of a data set, ``x`` and nothing that is not known."""
    try:
        with ZipFile(path) as file:
            names = {name.removesuffix(".npy") for name in file.namelist()}
    except (OSError, ValueError, BadZipFile):
        return False
    return "x" in names and names <= KINDS.keys()


def prepare(
    path: Path,
    arrays: dict[str, Array],
    like: InputSpec | None = None,
    window: int | None = None,
    hop: int | None = None,
) -> Dataset:
    """The same of arrays that came from ``path``, whose name the data set has unless there is a
    model that it is like."""
    file = File(path, arrays)
    x, given = file.arrays["x"], file.arrays.get("y")
    if x.ndim not in (2, 3) or not x.size:
        file.fail(
            f"x has shape {x.shape}; it is (samples, steps, channels), or (steps, channels) "
            "of a recording, and not empty"
        )
    wrong = "length" if x.ndim == 2 else "recording"
    if wrong in file.arrays:
        kinds = {
            "length": "sequences (samples, steps, channels)",
            "recording": "a recording (steps, channels)",
        }
        file.fail(f"{wrong} goes with {kinds[wrong]}; x has shape {x.shape}")
    if like is not None and x.shape[-1] != like.channels:
        file.fail(
            f"x has {x.shape[-1]} channels; the model, trained on {like.name}, "
            f"takes {like.channels}"
        )
    lengths = file.take("length", len(x)) if x.ndim == 3 else None
    padding = None
    if lengths is not None:
        if not (lengths.min() >= 1 and lengths.max() <= x.shape[1]):
            file.fail(
                f"length goes from {lengths.min()} to {lengths.max()}; "
                f"a sequence of x has 1 to {x.shape[1]} steps"
            )
        padding = np.arange(x.shape[1]) >= lengths[:, np.newaxis]
        x = np.where(padding[..., np.newaxis], x.dtype.type(0), x)
        if given is not None and given.shape[:2] == padding.shape:
            given = given.copy()
            given[padding] = 0  # whatever it was, it is no label
    y, classes, targets, per_step = labels_of(file, x, given, like)
    nothing = np.nan if targets else UNLABELLED
    parts = parts_of(len(x), file.split(len(x)), ordered=x.ndim == 2)
    if x.ndim == 3:
        if window or hop:
            raise UsageError(
                f"{path}: x of shape {x.shape} has sequences already; "
                "--window cuts a recording (steps, channels)"
            )
        if per_step and padding is not None:
            y[padding] = nothing
    else:
        window = window or (like.steps if like else None)
        if window is None:
            raise UsageError(
                f"{path}: x of shape {x.shape} is a recording (steps, channels), "
                "to be cut by --window; sequences of one channel have the shape (samples, steps, 1)"
            )
        cut = Cut.plan(parts, file.take("recording", len(x)), window, hop or window)
        x, y, parts, lengths = cut.apply(x, 0), cut.apply(y, nothing), cut.parts, cut.lengths
    if x.dtype.kind == "f":
        with np.errstate(over="ignore"):  # of a longdouble, which becomes inf and is refused
            x = x.astype(np.float64)
    if not np.isfinite(x).all():
        where = tuple(int(index) for index in np.argwhere(~np.isfinite(x))[0])
        file.fail(
            f"x is {x[where]} at {where} (sample, step, channel); "
            "remove or repair what is no finite number"
        )
    if x.dtype.kind == "f" and (peak := np.abs(x).max()) > MAX_VALUE:
        file.fail(f"x goes up to {peak:.3g}; floats go up to {MAX_VALUE:g}, use another unit")
    learnt = parts == PARTS.index("train")
    if like is None and not learnt.any():
        file.fail("no sample is for training; `split` has to name train")
    inside = (
        np.ones(x.shape[:2], bool)
        if lengths is None
        else np.arange(x.shape[1]) < lengths[:, np.newaxis]
    )
    format, scale = format_of(file, x, x[learnt][inside[learnt]], like)
    codes = codes_of(x, format, scale, file, inside)
    mean, std = normalisation_of(file, codes[learnt][inside[learnt]] * format.lsb, scale, like)
    names = {
        name: tuple(file.arrays[name].tolist()) if name in file.arrays else ()
        for name in ("classes", "channels")
    }
    spec = InputSpec(
        name=file.path.name,
        input_format=str(format),
        mean=mean,
        std=std,
        steps=x.shape[1],
        classes=classes,
        targets=targets,
        per_step=per_step,
        scale=scale,
        target_scale=target_scale_of(file, y[learnt]) if targets and like is None else (),
        rate=float(file.arrays["rate"].item()) if "rate" in file.arrays else 0.0,
        class_names=names["classes"],
        channel_names=names["channels"],
    )
    if like is not None:
        spec.check_fits(like)
        spec = replace(like, steps=x.shape[1])
    chosen = [np.flatnonzero(parts == number) for number in range(len(PARTS))]
    # those that calibrate are the first ones, and have to be of all recordings
    if file.arrays["x"].ndim == 2:
        chosen[0] = np.random.default_rng(SEED).permutation(chosen[0])
    train, val, test = (
        Split(codes[one], y[one], None if lengths is None else lengths[one]) for one in chosen
    )
    return Dataset(**vars(spec), train=train, val=val, test=test)
