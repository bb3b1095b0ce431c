"""Where the stages of a pipeline stand in its picture: columns by depth, lines for each layer,
lanes for branches."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ssm_hdl import Manifest
from ssm_hdl.gen.depth import repetition_of
from ssm_hdl.operations import Edge

COLUMNS = 5
"""Most columns in a line."""

OUTPUT = ""
"""The place of the output port, which no operation can be called."""


@dataclass(frozen=True)
class Place:
    """Where a box stands: line of the picture, column of the line,
    lane of the column, all from 0."""

    line: int
    column: int
    lane: int


class Layout:
    """The places of all stages, of the input (by its name) and of the output port (`OUTPUT`).

    A stage stands one column after the last of its sources, in the lane of its first source if no
    box and no straight edge is there already. Every layer begins a line,
    so that all layers look alike.

    Attributes:
        columns: in the widest line.
        places: by name.
        lanes: number of lanes of each line.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        depths = {manifest.input.name: 0}
        for name, node in manifest.nodes.items():
            depths[name] = 1 + max(depths[source] for source in node.op.sources)
        depths[OUTPUT] = 1 + depths[manifest.graph.output]
        cells = list(_cells(manifest, depths))
        self.columns = 1 + max(column for _, column in cells)
        self.places: dict[str, Place] = {}
        occupied: set[tuple[int, int]] = set()
        for name, depth in depths.items():
            line, column = cells[depth]
            sources = self.sources(name)
            lane = (
                self.places[sources[0]].lane
                if sources and self.places[sources[0]].line == line
                else 0
            )
            while (depth, lane) in occupied:
                lane += 1
            occupied.add((depth, lane))
            self.places[name] = Place(line, column, lane)
            last = max((depths[reader] for reader in self.readers(name)), default=depth)
            if cells[last][0] == line and last - depth <= 2:
                occupied.update((between, lane) for between in range(depth + 1, last))
        lines = range(1 + cells[-1][0])
        self.lanes = [
            1 + max(place.lane for place in self.places.values() if place.line == line)
            for line in lines
        ]

    def sources(self, name: str) -> tuple[str, ...]:
        """Names of the sources of a stage, each once."""
        if name == self.manifest.input.name:
            return ()
        return (
            (self.manifest.graph.output,)
            if name == OUTPUT
            else tuple(dict.fromkeys(self.manifest.nodes[name].op.sources))
        )

    def readers(self, name: str) -> list[str]:
        """Names of the readers of a stage."""
        if name == OUTPUT:
            return []
        readers = list(dict.fromkeys(self.manifest.consumers(name)))
        return [*readers, OUTPUT] if name == self.manifest.graph.output else readers

    def edge(self, name: str) -> Edge:
        """The edge that leaves a stage or the input."""
        return (
            self.manifest.input
            if name == self.manifest.input.name
            else self.manifest.nodes[name].output
        )

    def straight(self, name: str, reader: str) -> bool:
        """Whether an edge can go to its reader without a way round: on the same line,
        and no box between."""
        source, target = self.places[name], self.places[reader]
        return source.line == target.line and not any(
            self.boxed(source.line, source.lane, column)
            for column in range(source.column + 1, target.column)
        )

    def boxed(self, line: int, lane: int, column: int) -> bool:
        """Whether a box is at a place."""
        return Place(line, column, lane) in self.places.values()


def _cells(manifest: Manifest, depths: dict[str, int]) -> Iterator[tuple[int, int]]:
    """Line and column of each depth, from 0 on."""
    end, line = 1 + depths[OUTPUT], 0
    starts, repetition = {0}, repetition_of(manifest)
    if repetition is not None and end > COLUMNS:
        blocks = [[depths[node.name] for node in block] for block in repetition.blocks]
        if len(blocks[0]) > 1:
            starts |= {min(block) for block in blocks} | {1 + max(blocks[-1])}
    ordered = sorted(starts - {end})
    for start, stop in zip(ordered, [*ordered[1:], end], strict=True):
        lines = math.ceil((stop - start) / COLUMNS)
        columns = math.ceil((stop - start) / lines)
        for index in range(stop - start):
            yield line + index // columns, index % columns
        line += lines
