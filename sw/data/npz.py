"""A user's own data: ``x``, ``y``, and what is known of them, in an .npz file;
docs/data.md says what each array holds."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.errors import UsageError, brief
from ssm_hdl.fixed import SQ, UQ, Format, bits
from ssm_hdl.samples import UNLABELLED
from ssm_hdl.sw.data.arrays import KINDS, File, read
from ssm_hdl.sw.data.cut import PARTS, SEED, Cut, parts_of
from ssm_hdl.sw.data.dataset import Dataset, InputSpec, Split

Array = NDArray[Any]

FLOAT_BITS = 12
"""Bits of a code that a float becomes unless ``format`` says more: an LSB is 1/2048 of the range,
as a good ADC resolves.

More are taken where the deviation of a channel would have less than 32 codes.
"""

MAX_CLASSES = 4096
"""Most classes; a larger label is something else."""

MAX_BITS = 24
"""Bits of the widest code; float32, in which the float model is trained, holds no more."""

MAX_CLIPPED = 0.05
"""Largest share of floats that saturate; beyond it the format or the unit is wrong."""

MAX_VALUE = 1e30
"""Largest float; float32 holds 3e38, and what is computed of them has to fit too."""


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
    y, classes, targets, per_step = _labels(file, x, given, like)
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
    format, scale = _format(file, x, x[learnt][inside[learnt]], like)
    codes = _codes(x, format, scale, file, inside)
    mean, std = _normalisation(file, codes[learnt][inside[learnt]] * format.lsb, scale, like)
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
        target_scale=_target_scale(file, y[learnt]) if targets and like is None else (),
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


def _labels(
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


def _target_scale(file: File, y: Array) -> tuple[float, ...]:
    """A power of two for each target that covers its training labels,
    so that codes of one format serve all."""
    peaks = np.nan_to_num(np.abs(y)).reshape(-1, y.shape[-1]).max(0)
    for target, peak in enumerate(peaks.tolist()):
        if peak > MAX_VALUE or 0 < peak < 1 / MAX_VALUE:
            file.fail(
                f"y of target {target} goes up to {peak:.3g}; "
                f"numbers are {1 / MAX_VALUE:g} to {MAX_VALUE:g}, use another unit"
            )
    return _covering(peaks)


def _covering(peaks: Array) -> tuple[float, ...]:
    """The power of two above each peak; 1 for 0."""
    return tuple(2.0 ** math.ceil(math.log2(peak)) if peak > 0 else 1.0 for peak in peaks)


def _format(
    file: File, x: Array, train: Array, like: InputSpec | None
) -> tuple[Format, tuple[float, ...]]:
    """The format of the codes and, of floats, the scale of each channel,
    from the steps (n, channels) that train."""
    real, stated = x.dtype.kind == "f", file.arrays.get("format")
    wanted = None if stated is None else Format.parse(str(stated.item()))
    if like is not None:
        format = Format.parse(like.input_format)
        if real != bool(like.scale):
            kinds = ("integers, the codes themselves", "floats")
            file.fail(
                f"x are {kinds[real]}; the model, trained on {like.name}, takes {kinds[not real]}"
            )
        if wanted not in (None, format):
            file.fail(
                f"the codes are of format {wanted}; the model, trained on {like.name}, "
                f"takes {format}"
            )
        return format, like.scale
    if wanted is not None and wanted.width > MAX_BITS:
        file.fail(f"format {wanted} has {wanted.width} bits; a code has {MAX_BITS} at most")
    if real:
        if wanted is not None and not wanted.signed and x.min() < 0:
            file.fail(f"x goes down to {x.min():.3g}, and format {wanted} has no sign")
        largest = np.abs(train).max(0)
        scale = _covering(largest)
        spread = train.std(0) / np.array(scale)
        # A channel with a large offset needs more bits for what changes.
        fine = max(math.ceil(5 - math.log2(one)) for one in (*spread[spread > 0].tolist(), 1.0))
        fraction = min(max(FLOAT_BITS - 1, fine), MAX_BITS - 1)
        return wanted or (SQ(1, fraction) if train.min() < 0 else UQ(0, fraction)), scale
    low, high = int(x.min()), int(x.max())
    width = bits(low, high)  # of a signed code
    width -= low >= 0
    if width > MAX_BITS:
        file.fail(
            f"x goes from {low:,} to {high:,}, codes of {width} bits; a code has {MAX_BITS} at most"
        )
    return wanted or (SQ(width, 0) if low < 0 else UQ(width, 0)), ()


def _codes(
    x: Array, format: Format, scale: tuple[float, ...], file: File, inside: Array
) -> NDArray[np.integer]:
    """Samples as codes; floats are rounded half up and saturate, unless too many would."""
    if scale:
        rounded = np.floor(x / np.array(scale) / format.lsb + 0.5)
        x = np.clip(rounded, format.min, format.max)
        # a peak of 1 in SQ(1, 11) is one code too large
        if (share := (abs(rounded - x) > 1)[inside].mean()) > MAX_CLIPPED:
            low, high = (
                ", ".join(f"{code * format.lsb * one:.4g}" for one in scale[:4])
                for code in (format.min, format.max)
            )
            file.fail(
                f"{share:.0%} of x are beyond {format}, from {low} to {high}; give another format, "
                "or the unit of the training"
            )
    elif x.min() < format.min or x.max() > format.max:
        file.fail(
            f"x goes from {x.min()} to {x.max()}; codes of {format} are {format.min} "
            f"to {format.max}"
        )
    return x.astype(
        np.uint8
        if x.dtype == np.uint8
        else np.int16
        if format.width <= 15 + format.signed
        else np.int32
    )


def _normalisation(
    file: File, values: Array, scale: tuple[float, ...], like: InputSpec | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of the channels: what the file says,
    or else of the values (steps, channels) of the training part."""
    channels, unit = values.shape[-1], np.array(scale or 1.0)
    stated = {name: file.arrays[name] for name in ("mean", "std") if name in file.arrays}
    if len(stated) == 1:
        file.fail("there is only one of mean and std; write both or none")
    for name, array in stated.items():
        if (
            array.shape not in ((), (channels,))
            or not np.isfinite(array).all()
            or (name == "std" and array.min() <= 0)
        ):
            file.fail(
                f"{name} is {brief(str(array))}; {channels} finite numbers are wanted"
                + ", above 0" * (name == "std")
            )
    mean, std = (
        (tuple(np.broadcast_to(array / unit, channels).tolist()) for array in stated.values())
        if stated
        else ((), ())
    )
    if like is not None:
        if stated and (mean, std) != (like.mean, like.std):
            file.fail(
                f"mean and std are not those that the model was trained with, on {like.name}; "
                "leave them out"
            )
        return like.mean, like.std
    # A channel that never changes has no deviation; it becomes 0.
    return (
        (mean, std)
        if stated
        else (tuple(values.mean(0).tolist()), tuple((one or 1.0) for one in values.std(0).tolist()))
    )
