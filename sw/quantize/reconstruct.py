"""Reconstruction: every dense of the integer program is fitted to what the float model computes there.

One operation after the other, on the inputs that the integers before it really give it, with all their rounding: the read-out on
the rounded states of the poles as they were stored, mixing on the table's output, the decoder on the sums over time.
"""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from ssm_hdl import Manifest
from ssm_hdl.operations import Dense
from ssm_hdl.sim.golden import run
from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.models.s4d import S4D
from ssm_hdl.sw.quantize.rows import Moments

RECONSTRUCTED = ("readout", "mixing", "decoder")
"""The operations that are fitted, in order."""

BATCH = 8
"""Sequences at a time, whose states are held."""


def moments(
    manifest: Manifest,
    name: str,
    model: S4D,
    inputs: InputSpec,
    codes: NDArray[np.integer],
    progress: Callable[[int], None] | None = None,
) -> Moments:
    """What the dense ``name`` is fed by the integer program and what it should make of it, on samples.

    Args:
        manifest: the integer program.
        name: of the dense.
        model: the float model that it was lowered from.
        inputs: how the inputs of the float model are normalised.
        codes: input codes (n, steps, 1).
        progress: called with the number of sequences done since the last call.
    """
    node = manifest.nodes[name]
    assert isinstance(node.op, Dense)
    groups, rows = node.arrays["weight"].shape[:2]
    columns = node.arrays["weight"][0, 0].size
    gram, cross = np.zeros((groups, columns + 1, columns + 1)), np.zeros((groups, rows, columns + 1))
    headless = until(manifest, name)
    count = 0
    for start in range(0, len(codes), BATCH):
        batch = codes[start : start + BATCH]
        source = run(headless, batch, trace=True).trace[node.inputs[0].name]
        x = source * (node.inputs[0].format.lsb * (np.array([1, -1]) if node.inputs[0].is_complex else 1))
        x = x.reshape(-1, groups, columns).swapaxes(0, 1)
        x = np.pad(x, ((0, 0), (0, 0), (0, 1)), constant_values=1)
        with torch.no_grad():
            y = model.trace(torch.from_numpy(inputs.normalise(batch)))[name].double().numpy()
        y = y.reshape(-1, groups, rows).swapaxes(0, 1)
        gram += x.swapaxes(1, 2) @ x
        cross += y.swapaxes(1, 2) @ x
        count += x.shape[1]
        if progress is not None:
            progress(len(batch))
    return Moments(gram / count, cross / count)


def until(manifest: Manifest, name: str) -> Manifest:
    """The program up to the operation ``name``, whose output is its output."""
    operations = manifest.graph.operations
    last = [op.name for op in operations].index(name)
    graph = manifest.graph.model_copy(update={"operations": operations[: last + 1], "output": name})
    return Manifest(graph, manifest.tensors)
