"""Reconstruction: fits every dense of the integer program to its output in the float model.

The denses are fitted one after the other, on the inputs that the integer program really gives them.
So the read-out sees the rounded states of the stored poles, mixing sees the output of the table,
and the decoder sees the sums over time.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ssm_hdl import Manifest
from ssm_hdl.fixed import Codes
from ssm_hdl.manifest import Input
from ssm_hdl.operations import Dense, Operation
from ssm_hdl.sim.golden import run
from ssm_hdl.sw.data import InputSpec, Split
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.quantize.rows import Moments

BATCH = 8
"""Sequences per batch; the states of a batch are in memory at once."""


@dataclass(frozen=True)
class Samples:
    """Calibration samples, and the integer program's codes of one edge on them,
    so that later layers start there.

    Attributes:
        inputs: normalisation of the inputs of the float model.
        edge: the last edge computed.
        batches: input codes (n, steps, channels) and codes of the edge (n, steps, size),
            of sequences of one length.
    """

    inputs: InputSpec
    edge: str
    batches: Sequence[tuple[NDArray[np.integer], Codes]]

    @classmethod
    def of(cls, inputs: InputSpec, samples: Split, edge: str) -> "Samples":
        """All samples, at the input ``edge``."""
        return cls(
            inputs, edge, [(codes, codes.astype(np.int64)) for _, codes in samples.batches(BATCH)]
        )

    def head(self, count: int) -> "Samples":
        """The first ``count`` samples."""
        chosen = []
        for codes, at in self.batches:
            chosen.append((codes[:count], at[:count]))
            count -= len(codes)
            if count <= 0:
                break
        return replace(self, batches=chosen)

    def until(self, manifest: Manifest, edge: str) -> "Samples":
        """Run the program on to ``edge``."""
        if edge == self.edge:
            return self
        part = between(manifest, self.edge, edge)
        # Codes of all samples are held: narrow ones save memory.
        width = np.int16 if manifest.nodes[edge].output.format.width <= 16 else np.int64
        return Samples(
            self.inputs,
            edge,
            [(codes, run(part, at).outputs.astype(width)) for codes, at in self.batches],
        )


def moments(
    manifest: Manifest,
    name: str,
    wanted: Callable[[torch.Tensor], Mapping[str, Floats]],
    samples: Samples,
    progress: Callable[[int], None] | None = None,
) -> Moments:
    """Second moments of a dense on samples: of its inputs in the integer program and its outputs
    in the float model.

    Args:
        manifest: the integer program.
        name: of the dense.
        wanted: gives the edges of the float model.
        samples: run to an edge before it.
        progress: called with the number of sequences done since the last call.
    """
    node = manifest.nodes[name]
    assert isinstance(node.op, Dense)
    (edge,) = node.inputs
    groups, rows = node.arrays["weight"].shape[:2]
    columns = node.arrays["weight"][0, 0].size
    gram, cross = (
        np.zeros((groups, columns + 1, columns + 1)),
        np.zeros((groups, rows, columns + 1)),
    )
    part = (
        None
        if edge.name == samples.edge
        else between(manifest, samples.edge, name if edge.is_complex else edge.name)
    )
    count = 0
    for codes, at in samples.batches:
        source = at if part is None else run(part, at, trace=True).trace[edge.name]
        # The real part of a product is a real product with (Re x, -Im x).
        x = source * (edge.format.lsb * (np.array([1, -1]) if edge.is_complex else 1))
        x = x.reshape(-1, groups, columns).swapaxes(0, 1)
        x = np.pad(x, ((0, 0), (0, 0), (0, 1)), constant_values=1)
        y = wanted(torch.from_numpy(samples.inputs.normalise(codes)))[name]
        y = y.reshape(-1, groups, rows).swapaxes(0, 1)
        gram += x.swapaxes(1, 2) @ x
        cross += y.swapaxes(1, 2) @ x
        count += x.shape[1]
        if progress is not None:
            progress(len(codes))
    return Moments(gram / count, cross / count, count)


def between(manifest: Manifest, start: str, end: str) -> Manifest:
    """The part of a program from the edge ``start`` to the edge ``end``;
    it must not depend on earlier edges."""
    operations = manifest.graph.operations
    names = [manifest.input.name, *(op.name for op in operations)]
    chosen: list[Operation] = []
    needed = {end}
    for operation in reversed(operations[names.index(start) : names.index(end)]):
        if operation.name in needed:
            chosen.insert(0, operation)
            needed.update(operation.sources)
    edge = manifest.input if start == manifest.input.name else manifest.nodes[start].output
    source = Input(name=edge.name, size=edge.size, format=edge.format)
    graph = manifest.graph.model_copy(
        update={"input": source, "samples": None, "operations": chosen, "output": end}
    )
    return Manifest(graph, manifest.tensors)
