"""Quantization errors: the integer program against the float model, edge by edge."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ssm_hdl import Manifest
from ssm_hdl.operations import Pool
from ssm_hdl.sim.golden import Result, run
from ssm_hdl.sw.data import InputSpec, Split
from ssm_hdl.sw.quantize.histogram import Floats

BATCH = 8
"""Sequences per batch; the states of a batch are in memory at once."""


@dataclass(frozen=True)
class EdgeError:
    """The difference of an edge between the integer program and the float model.

    Attributes:
        name: of the edge.
        format: of its codes.
        sqnr_db: signal-to-quantization-noise ratio, in dB.
        saturated: share of its elements that saturated, 0 to 1.
        bias: mean error of each element, (size,), with the float values clipped to the format.
    """

    name: str
    format: str
    sqnr_db: float
    saturated: float
    bias: Floats


def compare(
    manifest: Manifest,
    wanted: Callable[[torch.Tensor], Mapping[str, Floats]],
    inputs: InputSpec,
    samples: Split,
    progress: Callable[[int], None] | None = None,
    keep: Callable[[Result, Mapping[str, Floats]], None] | None = None,
) -> dict[str, EdgeError]:
    """Run the integer program and the float model on the same samples.

    Args:
        manifest: the integer program.
        wanted: gives the edges of the float model.
        inputs: normalisation of the inputs of the float model.
        samples: to run.
        progress: called with the number of sequences done since the last call.
        keep: called with all values of each batch, of the golden model and of the float model.

    Returns:
        The error of every edge of the float model but the states.
    """
    signal: dict[str, float] = {}
    noise: dict[str, float] = {}
    bias: dict[str, Floats] = {}
    packets = dict.fromkeys(manifest.nodes, 0)
    saturated = dict.fromkeys(manifest.nodes, 0)
    elements = dict.fromkeys(manifest.nodes, 0)
    for _, batch in samples.batches(BATCH):
        result, reals = (
            run(manifest, batch, trace=True),
            wanted(torch.from_numpy(inputs.normalise(batch))),
        )
        if keep is not None:
            keep(result, reals)
        for name, real in reals.items():
            node = manifest.nodes[name]
            format = node.output.format
            # a sum divided by a power of two, not by the number of steps
            if isinstance(node.op, Pool):
                real = real * batch.shape[1] / 2**node.op.shift
            integer = result.trace[name].reshape(real.shape) * format.lsb
            # The bias excludes saturation, which has a figure of its own.
            clipped = np.clip(real, format.min * format.lsb, format.max * format.lsb)
            over = tuple(range(real.ndim - 1))
            signal[name] = signal.get(name, 0.0) + float((real**2).sum())
            noise[name] = noise.get(name, 0.0) + float(((integer - real) ** 2).sum())
            bias[name] = bias.get(name, np.zeros(real.shape[-1])) + (integer - clipped).sum(over)
            packets[name] += real.size // real.shape[-1]
            saturated[name] += result.saturations[name]
            elements[name] += result.elements[name]
        if progress is not None:
            progress(len(batch))
    return {
        name: EdgeError(
            name,
            str(manifest.nodes[name].output.format),
            round(10 * np.log10(max(signal[name], 1e-30) / max(noise[name], 1e-30)), 1),
            saturated[name] / elements[name],
            bias[name] / packets[name],
        )
        for name in manifest.nodes
        if name in signal
    }
