"""Where the stages of a pipeline stand in its picture: columns by depth, wrapped into lines like text, lanes for branches."""

import math
from dataclasses import dataclass

from ssm_hdl import Manifest
from ssm_hdl.operations import Edge

COLUMNS = 5
"""Most columns in a line."""

OUTPUT = ""
"""The place of the output port, which no operation can be called."""


@dataclass(frozen=True)
class Place:
    """Where a box stands: line of the picture, column of the line, lane of the column, all from 0."""

    line: int
    column: int
    lane: int


class Layout:
    """The places of all stages, of the input (by its name) and of the output port (`OUTPUT`).

    A stage stands one column after the last of its sources, in the lane of its first source if no box and no straight edge
    is there already.

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
        total = 1 + max(depths.values())
        lines = math.ceil(total / COLUMNS)
        self.columns = math.ceil(total / lines)
        self.places: dict[str, Place] = {}
        occupied: set[tuple[int, int]] = set()
        for name, depth in depths.items():
            sources = self.sources(name)
            lane = self.places[sources[0]].lane if sources else 0
            if sources and depths[sources[0]] // self.columns != depth // self.columns:
                lane = 0
            while (depth, lane) in occupied:
                lane += 1
            occupied.add((depth, lane))
            self.places[name] = Place(depth // self.columns, depth % self.columns, lane)
            last = max((depths[reader] for reader in self.readers(name)), default=depth)
            if last // self.columns == depth // self.columns and last - depth <= 2:
                occupied.update((between, lane) for between in range(depth + 1, last))
        self.lanes = [1 + max(place.lane for place in self.places.values() if place.line == line) for line in range(lines)]

    def sources(self, name: str) -> tuple[str, ...]:
        """Names of the sources of a stage."""
        if name == self.manifest.input.name:
            return ()
        return (self.manifest.graph.output,) if name == OUTPUT else self.manifest.nodes[name].op.sources

    def readers(self, name: str) -> list[str]:
        """Names of the readers of a stage."""
        if name == OUTPUT:
            return []
        readers = list(dict.fromkeys(self.manifest.consumers(name)))
        return [*readers, OUTPUT] if name == self.manifest.graph.output else readers

    def edge(self, name: str) -> Edge:
        """The edge that leaves a stage or the input."""
        return self.manifest.input if name == self.manifest.input.name else self.manifest.nodes[name].output

    def straight(self, name: str, reader: str) -> bool:
        """Whether an edge can go to its reader without a way round: on the same line, and no box between."""
        source, target = self.places[name], self.places[reader]
        boxes = {p.column for p in self.places.values() if (p.line, p.lane) == (source.line, source.lane)}
        return source.line == target.line and not boxes & set(range(source.column + 1, target.column))
