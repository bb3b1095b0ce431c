"""Calibration: statistics of the activations and the states of a float model on samples."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.data import InputSpec, Split
from ssm_hdl.sw.quantize.histogram import Floats, Histogram

BATCH = 16
"""Sequences at a time; their states take ``BATCH * steps * H * N`` complex numbers."""


@dataclass(frozen=True)
class Calibration:
    """Statistics of a float model on the calibration samples.

    Attributes:
        edges: a histogram for every traced edge.
        states: by the name of a scan with real inputs, of each state h' = Abar h + u,
            the largest |Re| or |Im| and the mean of
            |h|^2, (2, H, N); empty unless traced.
    """

    edges: Mapping[str, Histogram]
    states: Mapping[str, Floats]

    def with_states(self, source: "Calibration", scale: Floats) -> "Calibration":
        """The same with the states of an equivalent model, whose channels are larger by the factor
        ``1 / scale``, (H,)."""
        power = np.stack([scale, scale**2])[..., np.newaxis]
        return replace(
            self, states={name: values * power for name, values in source.states.items()}
        )


def calibrate(
    trace: Callable[[Tensor], Mapping[str, Tensor]],
    inputs: InputSpec,
    samples: Split,
    progress: Callable[[int], None] | None = None,
) -> Calibration:
    """Run a float model on samples in batches and collect statistics only.

    Args:
        trace: gives the edges of the float model on normalised inputs. Where the name begins with
            ``ssm``, it gives statistics of the states of a scan, (2, H, N): the largest magnitudes,
            and the sum of |h|^2 over samples and steps.
        inputs: normalisation of its inputs.
        samples: training samples.
        progress: called with the number of sequences done since the last call.

    Raises:
        SsmHdlError: no samples, samples that are all the same constant,
            or an activation that is not finite.
    """
    codes = samples.codes[samples.inside()]
    if not codes.size:
        raise SsmHdlError("there are no calibration samples; at least one is needed")
    if codes.min() == codes.max():
        raise SsmHdlError(
            f"all calibration samples are the constant {codes.min()}; "
            "nothing can be learnt from them"
        )
    edges: dict[str, Histogram] = {}
    states: dict[str, Floats] = {}
    for _, batch in samples.batches(BATCH):
        for name, values in trace(torch.from_numpy(inputs.normalise(batch))).items():
            if name.startswith("ssm"):
                peak, total = values.double().numpy()
                now = np.stack([peak, total / len(codes)])
                before = states.get(name, np.zeros_like(now))
                states[name] = np.stack([np.maximum(before[0], now[0]), before[1] + now[1]])
            else:
                edges.setdefault(name, Histogram(name, values.shape[-1])).add(values.numpy())
        if progress is not None:
            progress(len(batch))
    return Calibration(edges, states)
