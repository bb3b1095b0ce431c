"""Calibration: statistics of the activations and the states of a float model on samples."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.quantize.histogram import Floats, Histogram

BATCH = 16
"""Sequences at a time; their states take ``BATCH * steps * H * N`` complex numbers."""


@dataclass(frozen=True)
class Calibration:
    """Statistics of a float model on the calibration samples.

    Attributes:
        edges: a histogram for every traced edge but complex states.
        state_peak: largest |Re| or |Im| of each mode's state h' = Abar h + u, (H, N); empty unless traced.
        state_power: mean of |h|^2, (H, N); empty unless traced.
    """

    edges: Mapping[str, Histogram]
    state_peak: Floats
    state_power: Floats

    def with_states(self, source: "Calibration", scale: Floats) -> "Calibration":
        """The same with the states of an equivalent model, whose channels are larger by the factor ``1 / scale``, (H,)."""
        peak, power = (values * scale[:, np.newaxis] ** p for values, p in ((source.state_peak, 1), (source.state_power, 2)))
        return replace(self, state_peak=peak, state_power=power)


def calibrate(
    trace: Callable[[Tensor], Mapping[str, Tensor]],
    inputs: InputSpec,
    codes: NDArray[np.integer],
    progress: Callable[[int], None] | None = None,
) -> Calibration:
    """Run a float model on samples in batches and collect statistics only.

    Args:
        trace: gives the edges of the float model on normalised inputs. With ``ssm`` (B, L, H, N), complex, it includes states,
            which take most of the time.
        inputs: normalisation of its inputs.
        codes: input codes (n, steps, 1), training samples.
        progress: called with the number of sequences done since the last call.

    Raises:
        SsmHdlError: no samples, samples that are all the same constant, or an activation that is not finite.
    """
    if codes.ndim != 3 or not codes.size:
        raise SsmHdlError(f"calibration samples of shape {codes.shape}; at least one of shape (steps, 1) is needed")
    if codes.min() == codes.max():
        raise SsmHdlError(f"all calibration samples are the constant {codes.min()}; nothing can be learnt from them")
    edges: dict[str, Histogram] = {}
    peak = power = np.zeros((0, 0))
    for start in range(0, len(codes), BATCH):
        batch = codes[start : start + BATCH]
        seen = dict(trace(torch.from_numpy(inputs.normalise(batch))))
        if "ssm" in seen:
            h = torch.view_as_real(seen.pop("ssm"))
            largest = h.abs().amax((0, 1, 4)).double().numpy()
            mean = h.square().sum((1, 4)).double().sum(0).numpy() / (len(codes) * codes.shape[1])
            peak, power = (np.maximum(peak, largest), power + mean) if start else (largest, mean)
        for name, values in seen.items():
            edges.setdefault(name, Histogram(name, values.shape[-1])).add(values.numpy())
        if progress is not None:
            progress(len(batch))
    return Calibration(edges, peak, power)
