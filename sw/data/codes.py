"""Codes of a user's samples: their format, the scales of floats, and the normalisation."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.errors import SsmHdlError, brief
from ssm_hdl.fixed import SQ, UQ, Format, bits
from ssm_hdl.sw.data.arrays import File
from ssm_hdl.sw.data.dataset import InputSpec

Array = NDArray[Any]

FLOAT_BITS = 12
"""Bits of a code that a float becomes unless ``format`` says more: an LSB is 1/2048 of the range,
as a good ADC resolves.

More are taken where the deviation of a channel would have less than 32 codes.
"""

MAX_BITS = 24
"""Bits of the widest code; float32, in which the float model is trained, holds no more."""

MAX_CLIPPED = 0.05
"""Largest share of floats that saturate; beyond it the format or the unit is wrong."""

MAX_VALUE = 1e30
"""Largest float; float32 holds 3e38, and what is computed of them has to fit too."""


def format_of(
    file: File, x: Array, train: Array, like: InputSpec | None
) -> tuple[Format, tuple[float, ...]]:
    """The format of the codes and, of floats, the scale of each channel,
    from the steps (n, channels) that train."""
    real, stated = x.dtype.kind == "f", file.arrays.get("format")
    try:
        wanted = None if stated is None else Format.parse(str(stated.item()))
    except SsmHdlError as error:
        file.fail(f"format: {error}")
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
        scale = scales_above(largest)
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


def codes_of(
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


def normalisation_of(
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


def scales_above(peaks: Array) -> tuple[float, ...]:
    """The power of two above each peak; 1 for 0."""
    return tuple(2.0 ** math.ceil(math.log2(peak)) if peak > 0 else 1.0 for peak in peaks)
