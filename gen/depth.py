"""Layers that are alike: the repetition in a graph, which one set of stages can serve."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from ssm_hdl import Manifest, SsmHdlError, registry
from ssm_hdl.operations import Edge, Node


@dataclass(frozen=True)
class Repetition:
    """Blocks of operations that follow one another, each reading nothing but what the one
    before has written.

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


def repetition_of(manifest: Manifest) -> Repetition | None:
    """The largest repetition, in operations, if there is one; its edges may differ in width."""
    return max(
        _repetitions(manifest),
        key=lambda r: (len(r.blocks) * len(r.blocks[0]), len(r.blocks)),
        default=None,
    )


def find_layers(manifest: Manifest) -> Repetition:
    """The largest repetition, whose blocks can share their stages.

    Raises:
        SsmHdlError: there is none, or its edges differ in width or sign from block to block;
            the message names two of them.
    """
    repetition = repetition_of(manifest)
    if repetition is None:
        raise SsmHdlError(
            f"{manifest.name}: no layers to share stages: no operations repeat as blocks "
            "that read only the block before; generate it without sharing"
        )
    if pair := _mismatch(repetition):
        a, b = pair
        raise SsmHdlError(
            f"{manifest.name}: its layers cannot share stages: {a.name} is {a.format} and {b.name} "
            f"is {b.format}, and they would share their wires; give them the same width and sign, "
            "binary points may differ, or generate it without sharing"
        )
    return repetition


def stage_name(nodes: Sequence[Node], used: Collection[str]) -> str:
    """The name of the stage that nodes share: theirs without the number of the layer if it is free,
    or the first's."""
    parts = [node.name.split("_") for node in nodes]
    if len({len(words) for words in parts}) == 1:
        different = [k for k, words in enumerate(zip(*parts, strict=True)) if len(set(words)) > 1]
        if len(different) == 1 and all(words[different[0]].isdecimal() for words in parts):
            (layer,) = different
            name = "_".join(parts[0][:layer] + parts[0][layer + 1 :])
            if name[:1].isalpha() and name not in used:
                return name
    return nodes[0].name


def _repetitions(manifest: Manifest) -> Iterator[Repetition]:
    """The longest at every place, of every length of block."""
    nodes, wires = list(manifest.nodes.values()), _Wires.of(manifest)
    known: list[object] = []
    kinds = [_number(_kind(node), known) for node in nodes]
    for length in range(1, len(nodes) // 2 + 1):
        for start in range(len(nodes) - 2 * length + 1):
            end = start + length
            while end < len(nodes) and kinds[end] == kinds[end - length] is not None:
                end += 1
            for layers in range((end - start) // length, 1, -1):
                if (wired := wires.repeat(start, length, layers)) is not None:
                    blocks = tuple(
                        tuple(nodes[start + k * length :][:length]) for k in range(layers)
                    )
                    source, back = wired
                    yield Repetition(
                        blocks, manifest.input.name if source < 0 else nodes[source].name, back
                    )
                    break


def _number(kind: object, known: list[object]) -> int | None:
    """A number for a kind, since numbers are compared at once; None stays what it is."""
    if kind is None:
        return None
    if kind not in known:
        known.append(kind)
    return known.index(kind)


def _kind(node: Node) -> object:
    """What has to be equal for two operations to share a stage, but for the widths of their edges;
    None if it cannot share."""
    if not registry.stage(node.op.op).shareable or node.output.per_sequence:
        return None
    options = {
        name: value
        for name, value in node.op.model_dump().items()
        if name not in node.op.of_a_layer
    }
    widths = [
        (format.width, format.signed)
        for name in node.op.widths
        if (format := getattr(node.op, name))
    ]
    shapes = [node.arrays[name].shape for name in node.op.shaped]
    return (
        options,
        widths,
        shapes,
        [(edge.size, edge.is_complex, edge.per_sequence) for edge in (*node.inputs, node.output)],
    )


@dataclass(frozen=True)
class _Wires:
    """Who reads what, by the operations' places in the manifest.

    Attributes:
        reads: the places that each operation reads from, in order; -1 is the manifest's input.
        readers: the places that read each; one past the last is the output of the pipeline.
    """

    reads: list[tuple[int, ...]]
    readers: list[set[int]]

    @classmethod
    def of(cls, manifest: Manifest) -> "_Wires":
        place = {name: index for index, name in enumerate(manifest.nodes)} | {
            manifest.input.name: -1
        }
        reads = [
            tuple(place[edge.name] for edge in node.inputs) for node in manifest.nodes.values()
        ]
        readers: list[set[int]] = [set() for _ in reads]
        for index, sources in enumerate(reads):
            for source in {*sources} - {-1}:
                readers[source].add(index)
        readers[place[manifest.graph.output]].add(len(reads))
        return cls(reads, readers)

    def repeat(self, start: int, length: int, layers: int) -> tuple[int, int] | None:
        """The place that the first block reads, and that in a block which the next reads,
        if there is one edge in and one out."""
        source, back = -1, None
        for at in range(start, start + layers * length, length):
            sources = {
                read for reads in self.reads[at : at + length] for read in reads if read < at
            }
            if len(sources) != 1 or self._wiring(at, length) != self._wiring(start, length):
                return None
            if at == start:
                (source,) = sources
            elif back is None:
                back = sources.pop() - (at - length)
            elif back != sources.pop() - (at - length):
                return None
        if back is None or back < 0:
            return None
        for at in range(start, start + layers * length, length):
            last = at == start + (layers - 1) * length
            for index, readers in enumerate(self.readers[at : at + length]):
                beyond = {reader for reader in readers if reader >= at + length}
                if beyond and (index != back or (not last and max(beyond) >= at + 2 * length)):
                    return None
        return source, back

    def _wiring(self, at: int, length: int) -> list[tuple[int, ...]]:
        """For every operation of a block the places in it that it reads,
        -1 for inputs from outside."""
        return [
            tuple(max(read - at, -1) for read in reads) for reads in self.reads[at : at + length]
        ]


def _inputs(block: Sequence[Node]) -> list[Edge]:
    return [edge for node in block for edge in node.inputs]


def _mismatch(repetition: Repetition) -> tuple[Edge, Edge] | None:
    """Two edges that would share their wires and cannot."""
    entering = next(
        edge for edge in _inputs(repetition.blocks[0]) if edge.name == repetition.source
    )
    pairs = [(entering, repetition.blocks[0][repetition.back].output)]
    pairs += [
        (nodes[0].output, node.output) for nodes in repetition.positions for node in nodes[1:]
    ]
    for a, b in pairs:
        if (a.format.width, a.format.signed) != (b.format.width, b.format.signed):
            return a, b
    return None
