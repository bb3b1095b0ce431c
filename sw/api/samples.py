"""Arrays of a caller as samples of a model."""

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ssm_hdl import Manifest
from ssm_hdl.errors import SsmHdlError
from ssm_hdl.samples import UNLABELLED
from ssm_hdl.sw.data import npz
from ssm_hdl.sw.data.dataset import Split


def samples_of(
    manifest: Manifest, x: ArrayLike, y: ArrayLike | None = None, length: ArrayLike | None = None
) -> Split:
    """Samples as codes of the input format, in their order.

    Args:
        manifest: the integer program.
        x: (samples, steps, channels), in the unit that the model was trained on.
            Integers are codes.
        y: labels, one for a sequence or one for each step.
        length: steps of each sequence, where they differ.

    Raises:
        SsmHdlError: they do not fit the model.
    """
    try:
        values, spec = np.asarray(x), manifest.graph.samples
    except ValueError as error:  # lists of different lengths
        raise SsmHdlError(
            f"x is no array: {error}; it is (samples, steps, channels), "
            "and length says where sequences end"
        ) from error
    if np.ma.is_masked(x):
        raise SsmHdlError(
            "x has masked elements; fill them, or say with length where sequences end"
        )
    if values.ndim != 3:
        raise SsmHdlError(f"x has shape {values.shape}; it is (samples, steps, channels)")
    if values.dtype.kind == "i" or values.dtype.kind == "u":
        values = manifest.check_samples(values)
    if spec is None:
        if y is not None or length is not None or values.dtype.kind == "f":
            raise SsmHdlError(
                f"{manifest.name} does not say what it was trained on; give x alone, "
                "as integer codes"
            )
        return Split(
            values, np.full(values.shape[: 1 if manifest.output.per_sequence else 2], UNLABELLED)
        )
    if spec.scale and values.dtype.kind != "f":  # data and codes have different units
        values = values * (manifest.input.format.lsb * np.array(spec.scale))
    arrays = {"x": values, "split": np.full(len(values), "test")}
    arrays |= {
        name: np.asarray(value)
        for name, value in (("y", y), ("length", length))
        if value is not None
    }
    split = npz.prepare(Path("samples"), arrays, spec).test
    manifest.check_samples(split.codes)
    return split
