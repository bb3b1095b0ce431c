"""The golden model: the integer program of a manifest in NumPy, one function per operation,
vectorised over a batch.

Every function takes the bound node and its input codes, with the elements of a packet on the last
axis (last two for complex elements: real, imaginary), and returns output codes and how many
of them saturated.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ssm_hdl import Manifest, registry
from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node
from ssm_hdl.sim.golden.store import Stored

_STATES_AT_ONCE = 1 << 23
"""Complex states held at a time, which bounds the memory of a run to a few hundred MiB."""

Change = Callable[[Node, Codes], Codes]
"""Of a node and its codes, what is read instead."""


@dataclass
class Result:
    """What the golden model computed.

    Attributes:
        outputs: codes of the output edge, (batch, steps, size), or (batch, size)
            if it comes once per sequence.
        saturations: saturated elements by the operation that saturated them.
        elements: elements that each operation stored, to judge ``saturations`` by.
        trace: codes of every edge by name, if asked for.
    """

    outputs: Codes
    saturations: dict[str, int] = field(default_factory=dict)
    elements: dict[str, int] = field(default_factory=dict)
    trace: dict[str, Codes] = field(default_factory=dict)


def evaluate(node: Node, *inputs: Codes) -> Stored:
    """Output codes of one node and their saturations."""
    stored: Stored = registry.golden(node.op.op)(node, *inputs)
    return stored


def run(
    manifest: Manifest,
    samples: NDArray[np.integer],
    trace: bool = False,
    progress: Callable[[int], None] | None = None,
    change: Change | None = None,
) -> Result:
    """Run a batch of sequences.

    Args:
        manifest: the integer program.
        samples: codes of the input format, integers of shape (batch, steps, size).
        trace: keep the codes of every edge (states included, so for small batches).
        progress: called with the number of sequences done since the last call.
        change: what its readers see of an operation's codes, if that is something else.

    Raises:
        SsmHdlError: samples that the manifest does not take.
    """
    codes = manifest.check_samples(samples)
    parts = []
    for chunk in _chunks(manifest, codes):
        parts.append(_run_chunk(manifest, chunk, trace, change))
        if progress is not None:
            progress(len(chunk))
    if not parts:
        parts = [_run_chunk(manifest, codes[:0], trace, change)]
    return Result(
        np.concatenate([part.outputs for part in parts]),
        {name: sum(part.saturations[name] for part in parts) for name in manifest.nodes},
        {name: sum(part.elements[name] for part in parts) for name in manifest.nodes},
        {name: np.concatenate([part.trace[name] for part in parts]) for name in parts[0].trace},
    )


def go_on(manifest: Manifest, samples: Codes, count: int) -> Iterator[int]:
    """The results with which a model goes on after a sequence, each its next sample.

    Each one takes a run of the whole sequence before it.

    Args:
        manifest: an integer program that feeds back.
        samples: codes of the input format, (steps, 1).
        count: results, the one after the last of ``samples`` first.

    Raises:
        SsmHdlError: samples that the manifest does not take,
            or its results are not its next samples.
    """
    manifest.check_feedback()
    sequence = samples
    for _ in range(count):
        result = run(manifest, sequence[np.newaxis]).outputs[0, -1:]
        sequence = np.concatenate([sequence, result])
        yield int(result.item())


def _chunks(manifest: Manifest, samples: Codes) -> Iterator[Codes]:
    """Parts of a batch whose states fit the memory bound."""
    width = max(node.output.size for node in manifest.nodes.values())
    count = max(1, _STATES_AT_ONCE // (samples.shape[1] * width))
    return (samples[start : start + count] for start in range(0, len(samples), count))


def _run_chunk(manifest: Manifest, samples: Codes, trace: bool, change: Change | None) -> Result:
    edges = {manifest.input.name: samples}
    result = Result(samples)
    unread = {
        name: len(manifest.consumers(name)) for name in (*manifest.nodes, manifest.input.name)
    }
    for node in manifest.nodes.values():
        stored = evaluate(node, *(edges[source] for source in node.op.sources))
        edges[node.name] = stored.codes if change is None else change(node, stored.codes)
        result.saturations[node.name] = stored.saturations
        result.elements[node.name] = stored.codes.size + stored.states
        for source in node.op.sources:
            unread[source] -= 1
            if not unread[source] and not trace:
                del edges[source]
    result.outputs = edges[manifest.graph.output]
    if trace:
        result.trace = {name: codes.astype(np.int64, copy=False) for name, codes in edges.items()}
    return result
