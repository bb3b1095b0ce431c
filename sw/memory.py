"""The memory of a model by two counts: the paper's, for comparison with it,
and every bit that the hardware keeps.

The paper is Zhao et al., arXiv 2506.12480. It counts Abar, Bbar, C, D, the weights of the linear
layers, the state and four activations of H at their bits, and biases in 32 bits;
it counts no scales. In float 32, dt counts as (H, N); it is dropped when Abar is stored.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ssm_hdl import Manifest
from ssm_hdl.fixed import Codes, Format
from ssm_hdl.functions import LEAK, LEAK_MANTISSA, LEAK_SHIFT
from ssm_hdl.operations import Dense, Embedding, Lookup, Node, Norm, Pool, Scan, Selective
from ssm_hdl.operations.base import Tensor

MEMORY_KINDS = (
    "transition",
    "input matrix",
    "weights",
    "biases",
    "exponents",
    "states",
    "activations",
    "accumulators",
    "tables",
)
"""Kinds of memory; ``tables`` belong to lookups, embeddings, norms and selective scans."""

FLOAT = 32
"""Bits of a float, and of the paper's biases."""

PACKETS = 4
"""Activations that the paper counts, in packets of H."""


@dataclass(frozen=True)
class Part:
    """A part of a model's memory.

    Attributes:
        owner: the operation or edge that it belongs to.
        kind: one of ``MEMORY_KINDS``.
        numbers: count of the numbers that it holds.
        bits: of all numbers together.
    """

    owner: str
    kind: str
    numbers: int
    bits: int


@dataclass(frozen=True)
class Memory:
    """The memory of a model, by parts."""

    parts: tuple[Part, ...]

    @property
    def bits(self) -> int:
        """Bits of all parts."""
        return sum(part.bits for part in self.parts)

    @property
    def bytes(self) -> float:
        """Bytes of all parts."""
        return self.bits / 8

    def of(self, kind: str) -> int:
        """Bits of one kind."""
        return sum(part.bits for part in self.parts if part.kind == kind)

    def to_json(self) -> dict[str, Any]:
        """The sum, by kind, and by part, for JSON."""
        kinds = {kind: self.of(kind) for kind in MEMORY_KINDS if self.of(kind)}
        parts = [
            {"owner": p.owner, "kind": p.kind, "numbers": p.numbers, "bits": p.bits}
            for p in self.parts
        ]
        return {"bits": self.bits, "bytes": self.bytes, "kinds": kinds, "parts": parts}


def paper_nominal(
    width: int,
    modes: int,
    classes: int,
    weights: int,
    activations: int,
    transition: int,
    state: int,
) -> Memory:
    """The paper's memory of a quantized S4D of one layer.

    Args:
        width: H.
        modes: N.
        classes: outputs.
        weights: bits of Bbar, C, D and the linear layers, W.
        activations: bits, A.
        transition: bits of each part of Abar.
        state: bits of each part of x.
    """
    numbers = _s4d(width, modes, classes)
    bits = {"transition": transition, "states": state, "activations": activations, "biases": FLOAT}
    return Memory(
        tuple(Part(owner, kind, n, n * bits.get(kind, weights)) for owner, kind, n in numbers)
    )


def paper_float(width: int, modes: int, classes: int) -> Memory:
    """The paper's memory of an S4D of H = ``width``, N = ``modes`` in float 32, dt as (H, N)."""
    numbers = [*_s4d(width, modes, classes), ("dt", "transition", width * modes)]
    return Memory(tuple(Part(owner, kind, n, n * FLOAT) for owner, kind, n in numbers))


def _s4d(width: int, modes: int, classes: int) -> list[tuple[str, str, int]]:
    """Owner, kind and count of the numbers of the paper's S4D."""
    complexes = 2 * width * modes  # real and imaginary parts
    return [
        ("Abar", "transition", complexes),
        ("Bbar", "input matrix", complexes),
        ("C", "weights", complexes),
        ("D", "weights", width),
        *(
            (name, "weights", n)
            for name, n in (
                ("encoder", width),
                ("mixing", 2 * width**2),
                ("decoder", width * classes),
            )
        ),
        *(
            (name, "biases", n)
            for name, n in (("encoder", width), ("mixing", 2 * width), ("decoder", classes))
        ),
        ("x", "states", complexes),
        ("activations", "activations", PACKETS * width),
    ]


def paper(manifest: Manifest) -> Memory:
    """The memory of a manifest by the paper's count: no Bbar where it is folded into C,
    no exponents, biases in 32 bits.

    A mode whose pole is 0 in every channel is the skip D: it has no Abar, no state, and one real
    weight. Activations are four packets of the size of a scan's input, at the mean width of all
    real edges of a time step.
    """
    return Memory(tuple(_paper(manifest)))


def _paper(manifest: Manifest) -> Iterator[Part]:
    real = (
        node.output
        for node in manifest.nodes.values()
        if not node.output.is_complex and not node.output.per_sequence
    )
    edges = list(real) or [manifest.input]
    mean = np.average([edge.format.width for edge in edges], weights=[edge.size for edge in edges])
    for node in manifest.nodes.values():
        if isinstance(node.op, Scan):
            live = _live(node)
            numbers = 2 * int(live.sum())
            yield Part(node.name, "transition", numbers, numbers * node.op.transition.format.width)
            yield Part(node.name, "states", numbers, numbers * node.output.format.width)
            packets = PACKETS * node.inputs[0].size
            yield Part(node.name, "activations", packets, round(packets * float(mean)))
        elif isinstance(node.op, Dense):
            numbers = node.arrays["code"].size
            source = manifest.nodes.get(node.inputs[0].name)
            if source is not None and isinstance(source.op, Scan):
                # imaginary parts of the skip
                numbers -= node.arrays["code"].shape[1] * int((~_live(source)).sum())
            yield Part(node.name, "weights", numbers, numbers * node.op.weight.format.width)
            if node.op.bias is not None:
                yield Part(
                    node.name, "biases", node.arrays["bias"].size, node.arrays["bias"].size * FLOAT
                )


def _live(scan: Node) -> Codes:
    """Which modes (C, N) have a state by the paper's count."""
    transition = scan.arrays["transition"]
    return np.broadcast_to(transition.any(axis=(0, 2)), transition.shape[:2])


def paper_float_of(manifest: Manifest) -> Memory | None:
    """The memory of a manifest with one scan as the paper's S4D in float 32;
    None if it has another number of scans."""
    scans = [node for node in manifest.nodes.values() if isinstance(node.op, Scan)]
    if len(scans) != 1:
        return None
    return paper_float(scans[0].inputs[0].size, int(_live(scans[0])[0].sum()), manifest.output.size)


def hardware(manifest: Manifest) -> Memory:
    """Every bit that the hardware keeps for a manifest; queues between the stages come on top
    (`ssm-hdl generate`).

    Weights count at their width, exponents at the bits of their spread, and biases at the bits of
    the largest one. To these come all states, the accumulators of pools, the tables of lookups,
    and one packet for every edge but the states.
    """
    edge = manifest.input
    return Memory(
        (
            Part(edge.name, "activations", edge.size, edge.size * edge.bits),
            *_stages(manifest.nodes.values()),
        )
    )


def _stages(nodes: Iterable[Node]) -> Iterator[Part]:
    for node in nodes:
        edge, arrays = node.output, node.arrays
        if isinstance(node.op, Scan):
            yield _codes(node, "transition", node.op.transition)
            yield _spread(node, "scale")
            yield _spread(node, "shift")
            yield Part(node.name, "states", 2 * edge.size, edge.size * edge.bits)
            continue
        if isinstance(node.op, Selective):
            states, leaks = arrays["code"].size, 1 << LEAK.width
            yield _codes(node, "transition", node.op.alpha)
            yield _spread(node, "shift")
            yield Part(node.name, "states", states, states * node.op.state.width)
            yield Part(
                node.name, "tables", leaks, leaks * (LEAK_MANTISSA + LEAK_SHIFT.bit_length())
            )
        if isinstance(node.op, Dense):
            yield _codes(node, "weights", node.op.weight)
            yield _spread(node, "scale")
            if node.op.bias is not None:
                needed = Format.for_range(
                    int(arrays["bias"].min()), int(arrays["bias"].max()), 0
                ).width
                width = min(node.op.bias.format.width, needed)
                yield Part(node.name, "biases", arrays["bias"].size, arrays["bias"].size * width)
        if isinstance(node.op, Pool):
            yield Part(node.name, "accumulators", edge.size, edge.size * node.accumulator.width)
        if isinstance(node.op, Embedding):
            yield _codes(node, "tables", node.op.weight)
        if isinstance(node.op, Norm):
            yield from (
                Part(node.name, "tables", a.size, a.size * int(a.max()).bit_length())
                for a in arrays.values()
            )
        if isinstance(node.op, Lookup):
            yield Part(node.name, "tables", arrays["table"].size, arrays["table"].size * edge.bits)
        yield Part(node.name, "activations", edge.size, edge.size * edge.bits)


def _codes(node: Node, kind: str, tensor: Tensor) -> Part:
    numbers = node.arrays["code"].size
    return Part(node.name, kind, numbers, numbers * tensor.format.width)


def _spread(node: Node, array: str) -> Part:
    """Exponents without their smallest, which is a constant in the wiring."""
    exponents = node.arrays[array]
    return Part(
        node.name, "exponents", exponents.size, exponents.size * int(np.ptp(exponents)).bit_length()
    )
