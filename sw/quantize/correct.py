"""Corrections: what float parameters have to be so that the integers, with all their rounding, do what the float model does.

The rounding of weights leaves a mean error on what they produce. It is measured on the calibration samples and taken off
the bias (Nagel et al., arXiv 1906.04721, section 4.2, who derive it). The decoder comes last and is linear: it is fitted anew.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from ssm_hdl import Manifest
from ssm_hdl.operations import Dense, Pool
from ssm_hdl.sim.golden import run
from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.models.s4d import S4D
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.train import logits


def refit_decoder(
    manifest: Manifest,
    model: S4D,
    inputs: InputSpec,
    codes: NDArray[np.integer],
    progress: Callable[[int], None] | None = None,
) -> dict[str, Floats]:
    """Corrections of the decoder: least squares from the integer program's pool to the float model's logits.

    Args:
        manifest: the integer program.
        model: the float model.
        inputs: how its inputs are normalised.
        codes: input codes (n, steps, 1).
        progress: called with the number of sequences done since the last call.

    Returns:
        Additions to ``decoder.weight`` (classes, H) and ``decoder.bias`` (classes,), the smallest that will do.
    """
    *others, decoder = manifest.graph.operations
    assert isinstance(decoder, Dense)
    pool = others[-1]
    assert isinstance(pool, Pool)
    graph = manifest.graph.model_copy(update={"operations": tuple(others), "output": pool.name})
    headless = Manifest(graph, manifest.tensors)
    pooled = run(headless, codes, progress=progress).outputs * headless.output.format.lsb
    with torch.no_grad():
        wanted = logits(model, torch.from_numpy(inputs.normalise(codes)))
        missing = wanted - model.decoder(torch.from_numpy(pooled * 2**pool.shift / codes.shape[1]).float())
    pooled = np.pad(pooled, ((0, 0), (0, 1)), constant_values=1)
    fitted = np.linalg.lstsq(pooled, missing.double().numpy(), rcond=None)[0]
    return {"decoder.weight": fitted[:-1].T, "decoder.bias": fitted[-1]}
