"""Layers that are alike: the repetition in a graph, which one set of stages can serve."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.operations import Edge, Node

SHARED = ("dense", "scan", "norm", "lookup", "multiply", "add", "slice")
"""Operations whose stages serve several layers: those that read and write a packet a step."""

_OF_A_LAYER = ("name", "input", "inputs", "format", "weight", "bias", "transition", "exponent", "function", "epsilon")
"""Fields of operations that may differ between layers: names, constants and formats."""


@dataclass(frozen=True)
class Repetition:
    """Blocks of operations that follow one another, each reading nothing but what the one before has written.

    Attributes:
        blocks: the nodes of each, in the same order.
        source: name of the edge that the first block reads.
        back: index in a block of the operation that the next block reads.
    """

    blocks: tuple[tuple[Node, ...], ...]
    source: str
    back: int

    @property
    def positions(self) -> list[tuple[Node, ...]]:
        """The nodes that share a stage, a layer each, in the order of a block."""
        return list(zip(*self.blocks, strict=True))


def find_layers(manifest: Manifest) -> Repetition:
    """The largest repetition, in operations, whose edges have the same widths and signs in every block.

    Raises:
        SsmHdlError: there is none; the message names the two edges that stand in the way if formats do.
    """
    found = sorted(_repetitions(manifest), key=lambda r: (-len(r.blocks) * len(r.blocks[0]), -len(r.blocks)))
    for repetition in found:
        if _mismatch(manifest, repetition) is None:
            return repetition
    if not found:
        raise SsmHdlError(
            f"{manifest.name}: no layers to share stages: no operations repeat, each block reading only what the one before has "
            "written; generate it without sharing"
        )
    pair = _mismatch(manifest, found[0])
    assert pair is not None
    a, b = pair
    raise SsmHdlError(
        f"{manifest.name}: its layers cannot share stages: {a.name} is {a.format} and {b.name} is {b.format}, and they would "
        "share their wires; give them the same width and sign, binary points may differ, or generate it without sharing"
    )


def stage_name(nodes: Sequence[Node], taken: Mapping[str, object]) -> str:
    """The name of the stage that nodes share: theirs without the number of the layer if it is free, or the first's."""
    parts = [node.name.split("_") for node in nodes]
    if len({len(each) for each in parts}) == 1:
        different = [k for k, each in enumerate(zip(*parts, strict=True)) if len(set(each)) > 1]
        if len(different) == 1 and all(each[different[0]].isdecimal() for each in parts):
            (layer,) = different
            name = "_".join(parts[0][:layer] + parts[0][layer + 1 :])
            if name[:1].isalpha() and name not in taken:
                return name
    return nodes[0].name


def _repetitions(manifest: Manifest) -> Iterator[Repetition]:
    """All there are, of every length and at every place."""
    nodes = list(manifest.nodes.values())
    kinds = [_kind(node) for node in nodes]
    for length in range(1, len(nodes) // 2 + 1):
        for start in range(len(nodes) - 2 * length + 1):
            end = start + length
            while end < len(nodes) and kinds[end] == kinds[end - length] is not None:
                end += 1
            for layers in range(2, (end - start) // length + 1):
                blocks = tuple(tuple(nodes[start + k * length :][:length]) for k in range(layers))
                repetition = _wired(manifest, blocks)
                if repetition is not None:
                    yield repetition


def _kind(node: Node) -> object:
    """What has to be equal for two operations to share a stage, but for the widths of their edges; None if it cannot share."""
    if node.op.op not in SHARED:
        return None
    options = {name: value for name, value in node.op.model_dump().items() if name not in _OF_A_LAYER}
    shapes = [node.arrays[name].shape for name in ("weight", "transition") if name in node.arrays]
    return options, shapes, [(edge.size, edge.is_complex, edge.per_sequence) for edge in (*node.inputs, node.output)]


def _wired(manifest: Manifest, blocks: tuple[tuple[Node, ...], ...]) -> Repetition | None:
    """The repetition that blocks of the same operations are, if they are wired alike, one edge in and one edge out."""
    if any(_wiring(block) != _wiring(blocks[0]) for block in blocks[1:]):
        return None
    outside = [{edge.name for edge in _inputs(block)} - _names(block) for block in blocks]
    if any(len(names) != 1 for names in outside):
        return None
    source, *others = (name for (name,) in outside)
    backs = {_index(block, name) for block, name in zip(blocks, others, strict=False)}
    back = backs.pop()
    if backs or back is None:
        return None
    for block, after in zip(blocks, (*blocks[1:], None), strict=True):
        for index, node in enumerate(block):
            readers, leaves = set(manifest.consumers(node.name)) - _names(block), node.name == manifest.graph.output
            if (index != back and (readers or leaves)) or (after and (leaves or readers - _names(after))):
                return None
    return Repetition(blocks, source, back)


def _wiring(block: Sequence[Node]) -> list[list[int | None]]:
    """For every operation the places in the block of what it reads, None for what comes from outside."""
    return [[_index(block, edge.name) for edge in node.inputs] for node in block]


def _index(block: Sequence[Node], name: str) -> int | None:
    return next((index for index, node in enumerate(block) if node.name == name), None)


def _inputs(block: Sequence[Node]) -> list[Edge]:
    return [edge for node in block for edge in node.inputs]


def _names(block: Sequence[Node]) -> set[str]:
    return {node.name for node in block}


def _mismatch(manifest: Manifest, repetition: Repetition) -> tuple[Edge, Edge] | None:
    """Two edges that would share their wires and cannot."""
    entering = next(edge for edge in _inputs(repetition.blocks[0]) if edge.name == repetition.source)
    pairs = [(entering, repetition.blocks[0][repetition.back].output)]
    pairs += [(nodes[0].output, node.output) for nodes in repetition.positions for node in nodes[1:]]
    for a, b in pairs:
        if (a.format.width, a.format.signed) != (b.format.width, b.format.signed):
            return a, b
    return None


__all__ = ["Repetition", "find_layers", "stage_name"]
