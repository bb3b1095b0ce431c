"""The wires of a picture: every stream in tracks of its own,
between the columns of boxes and above the lines.

A stream leaves its box to the right. It goes on straight where no box is in its way. Otherwise it
goes down the channel beside its box to the gutter above the line of its reader, along the gutter,
and down the channel before its reader. All places are in inches,
x from the left and y from the top.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ssm_hdl.sw.layout import Layout

BOX = (1.95, 1.16)
"""Width and height of a box."""
LANE, GUTTER, LABEL, ENTRY, TRACK, PORT = 0.2, 0.36, 0.8, 0.16, 0.15, 0.16
"""Between two lanes; between two lines and in a channel without tracks: beside a box for the label
of its stream, before one for the heads of arrows; between two tracks, and between two streams
that enter one box."""


@dataclass(frozen=True)
class Wire:
    """A stream on its way to a reader.

    Attributes:
        points: its corners.
        name_at: where the name of its source can stand, at the end of a way round, if there is one:
            x, y and on which side of the text that is.
    """

    points: list[tuple[float, float]]
    name_at: tuple[float, float, str] | None


class Wires:
    """The place of every box, and the wires between them.

    Attributes:
        size: width and height of it all.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._entries = {
            (source, name): entry for name in layout.places for source, entry in self._ports(name)
        }
        around = [
            (source, name) for source, name in self._entries if not layout.straight(source, name)
        ]
        gutters: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for source, name in around:
            begin, end = layout.places[source].column + 1, layout.places[name].column
            if begin != end:
                gutters[layout.places[name].line][source] += [begin, end]
        self._gutters = {line: _tracks(spans) for line, spans in gutters.items()}
        self._tops = list(self._lines())
        channels: dict[int, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for channel, source, ys in self._verticals():
            channels[channel][source] += ys
        self._channels = {channel: _tracks(spans) for channel, spans in channels.items()}
        self._lefts = list(self._columns())
        width = (
            self._lefts[-1] + BOX[0] + LABEL + TRACK * self._count(self._channels, layout.columns)
        )
        self.size = width, self._tops[-1]

    def corner(self, name: str) -> tuple[float, float]:
        """Upper left corner of a box."""
        place = self._layout.places[name]
        return self._lefts[place.column], self._tops[place.line] + place.lane * (BOX[1] + LANE)

    def wire(self, source: str, reader: str) -> Wire:
        """The wire from a box to one of its readers."""
        begin, end = self._layout.places[source], self._layout.places[reader]
        x, y = self._lefts[begin.column] + BOX[0], self._middle(source)
        goal = self._lefts[end.column], self._middle(reader) + self._entries[source, reader]
        if self._layout.straight(source, reader):
            if math.isclose(y, goal[1]):
                return Wire([(x, y), goal], None)
            turn = self._across(end.column, source)
            return Wire([(x, y), (turn, y), (turn, goal[1]), goal], None)
        out, into = self._across(begin.column + 1, source), self._across(end.column, source)
        if begin.column + 1 == end.column:
            return Wire([(x, y), (out, y), (out, goal[1]), goal], None)
        along = self._along(end.line, source)
        side = (
            (goal[0], along, "left")
            if out > into
            else (self._lefts[end.column - 1] + BOX[0], along, "right")
        )
        return Wire([(x, y), (out, y), (out, along), (into, along), (into, goal[1]), goal], side)

    def _ports(self, name: str) -> Iterator[tuple[str, float]]:
        """The sources of a box, and how far below its middle each enters.

        The middle is for a stream that comes straight, or for any where no box is on the left,
        from which one could leave there.
        """
        layout, place = self._layout, self._layout.places[name]
        lanes = {
            source: layout.places[source].lane
            for source in layout.sources(name)
            if layout.straight(source, name)
        }
        boxed = any(layout.boxed(place.line, place.lane, column) for column in range(place.column))
        above = 1 if boxed or place.lane in lanes.values() else 0
        below = 1
        for source in layout.sources(name):
            if lanes.get(source) == place.lane:
                yield source, 0.0
            elif source in lanes and lanes[source] > place.lane:
                yield source, below * PORT
                below += 1
            else:
                yield source, -above * PORT
                above += 1

    def _verticals(self) -> Iterator[tuple[int, str, list[float]]]:
        """What goes up or down: its channel, its source, and between which heights."""
        for (source, name), entry in self._entries.items():
            begin, end = self._layout.places[source], self._layout.places[name]
            y, goal = self._middle(source), self._middle(name) + entry
            if self._layout.straight(source, name):
                if not math.isclose(y, goal):
                    yield end.column, source, [y, goal]
            elif begin.column + 1 == end.column:
                yield end.column, source, [y, goal]
            else:
                along = self._along(end.line, source)
                yield begin.column + 1, source, [y, along]
                yield end.column, source, [along, goal]

    def _lines(self) -> Iterator[float]:
        """The top of each line, and the bottom of the last."""
        y = 0.0
        for line, lanes in enumerate(self._layout.lanes):
            tracks = self._count(self._gutters, line)
            y += (GUTTER if line or tracks else 0.0) + TRACK * tracks
            yield y
            y += lanes * BOX[1] + (lanes - 1) * LANE
        yield y

    def _columns(self) -> Iterator[float]:
        """The left side of each column."""
        x = 0.0
        for column in range(self._layout.columns):
            x += (LABEL if column else 0.0) + TRACK * self._count(self._channels, column) + ENTRY
            yield x
            x += BOX[0]

    def _middle(self, name: str) -> float:
        """The height of the middle of a box."""
        place = self._layout.places[name]
        return self._tops[place.line] + place.lane * (BOX[1] + LANE) + BOX[1] / 2

    def _along(self, line: int, source: str) -> float:
        """The height of the track of a stream above a line."""
        return self._tops[line] - 0.16 - TRACK * self._gutters[line][source]

    def _across(self, channel: int, source: str) -> float:
        """The place of the track of a stream in the channel left of a column."""
        begin = self._lefts[channel - 1] + BOX[0] + LABEL if channel else 0.0
        return begin + TRACK * (self._channels[channel][source] + 0.5)

    @staticmethod
    def _count(tracks: Mapping[int, Mapping[str, int]], place: int) -> int:
        """How many tracks are side by side."""
        return 1 + max(tracks.get(place, {}).values(), default=-1)


def _tracks(spans: Mapping[str, Iterable[float]]) -> dict[str, int]:
    """The first track for each stream on which nothing is that it would touch."""
    tracks: list[list[tuple[float, float]]] = []
    chosen: dict[str, int] = {}
    for name, ends in sorted(spans.items(), key=lambda item: min(item[1])):
        low, high = min(ends), max(ends)
        free = (
            track for track, used in enumerate(tracks) if all(high < a or b < low for a, b in used)
        )
        chosen[name] = next(free, len(tracks))
        if chosen[name] == len(tracks):
            tracks.append([])
        tracks[chosen[name]].append((low, high))
    return chosen
