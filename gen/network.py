# amaranth: UnusedElaboratable=no
"""The network of a pipeline: its components, and the streams that connect them.

It is the one description of the structure. `Pipeline.elaborate` makes RTL of it,
`ssm_hdl.gen.traffic` cycles.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from amaranth.lib import wiring

from ssm_hdl.families import Family
from ssm_hdl.gateware.fork import Fork
from ssm_hdl.gateware.queue import BURST, Queue
from ssm_hdl.gateware.repack import Repack, widths
from ssm_hdl.gateware.ring import Ring
from ssm_hdl.gateware.stage import SINKS, Stage
from ssm_hdl.gateware.stream import beats, lanes, shape_of
from ssm_hdl.gateware.timing import Beats
from ssm_hdl.gen.structure import ENTRY, EXIT, Structure


class Port(NamedTuple):
    """A stream of a component; one of several ways if the component is a fork.
    The pipeline itself has no name."""

    component: str
    member: str
    branch: int | None = None


class Link(NamedTuple):
    """A connection.

    Attributes:
        stream: name of the stream, as in `Structure`.
        reader: the stage that reads it in the end; empty if there are several, or none.
        source: the port that sends.
        sink: the port that takes.
    """

    stream: str
    reader: str
    source: Port
    sink: Port


class Network:
    """Components and links.

    Args:
        structure: the stages and what they read.
        stages: their gateware, by name.
        entry: the queue of the samples.
        family: the FPGA family.
        interval: cycles per time step that the plan allows.
        ring: the way round the stages that serve several layers, if there are.
        queues: what waits at an input of a stage, by the stage and the index of the input.

    Attributes:
        queues: the same.
        components: by name. Adapters have capitals in their names, so no operation can have them.
        links: the connections, sources first.
    """

    def __init__(
        self,
        structure: Structure,
        stages: Mapping[str, Stage],
        entry: Queue,
        family: Family,
        interval: int,
        ring: Ring | None,
        queues: Mapping[tuple[str, int], Any],
    ) -> None:
        self.structure, self.stages, self.family, self.interval, self.queues = (
            structure,
            stages,
            family,
            interval,
            queues,
        )
        self.components: dict[str, wiring.Component] = {}
        self.links: list[Link] = []
        source = next(iter(structure.edges))  # the samples
        branches = self._fork(source, self._add("Entry", entry, source, Port("", "i")))
        if ring is not None:
            self.components[ENTRY] = ring
            branches |= self._fork(ENTRY, Port(ENTRY, "entry")) | self._fork(EXIT, Port(ENTRY, "o"))
        for name, stage in stages.items():
            self.components[name] = stage
            for index, (stream, member) in enumerate(
                zip(structure.reads[name], SINKS, strict=False)
            ):
                end = self._fit(
                    f"{name}_{index}", stream, branches[stream].pop(0), lanes(stage, member), name
                )
                if queue := queues.get((name, index)):
                    end = self._add(f"{name}_{index}_Queue", queue, stream, end, reader=name)
                self.links.append(Link(stream, name, end, Port(name, member)))
            branches |= self._fork(name, Port(name, "o"))
        if ring is not None and structure.loop is not None:
            for stream, member in ((structure.loop.source, "i"), (structure.loop.back, "back")):
                end = self._fit(ENTRY, stream, branches[stream].pop(0), lanes(ring, member))
                self.links.append(Link(stream, "", end, Port(ENTRY, member)))
        output = structure.output
        end = self._fit("Output", output, branches[output].pop(0), 1)
        self.links.append(Link(output, "", end, Port("", "o")))

    def of(self, kind: type[wiring.Component]) -> list[Any]:
        """The components of a kind."""
        return [component for component in self.components.values() if isinstance(component, kind)]

    def streams(self, ends: Any) -> dict[Port, Beats]:
        """Transfers for every link, by either of its ports.

        Args:
            ends: which packets end a sequence, see `Beats`.
        """
        streams: dict[Port, Beats] = {}
        for link in self.links:
            name = f"{link.stream} to {link.reader}" if link.reader else link.stream
            streams[link.source] = streams[link.sink] = Beats(name, ends)
        return streams

    def _add(
        self, name: str, component: wiring.Component, stream: str, source: Port, reader: str = ""
    ) -> Port:
        """A component with one stream in and one out; the latter."""
        self.components[name] = component
        self.links.append(Link(stream, reader, source, Port(name, "i")))
        return Port(name, "o")

    def _fork(self, stream: str, source: Port) -> dict[str, list[Port]]:
        """A port for each reader of a stream."""
        readers = self.structure.readers(stream)
        if readers == 1:
            return {stream: [source]}
        layers, width = self.structure.layers(stream), width_of(self.structure, self.stages, stream)
        capacity = max(
            (self.stages[reader].holds for reader in self.structure.readers_of(stream)), default=1
        )
        slow = capacity == 1 and self.slow(stream, width, 2)
        fork = Fork(shape_of(self.structure.edges[stream]), width, readers, layers, slow)
        end = self._add(f"{stream}_Fork", fork, stream, source)
        return {stream: [end._replace(branch=branch) for branch in range(readers)]}

    def _fit(self, name: str, stream: str, source: Port, width: int, reader: str = "") -> Port:
        """The stream in beats of another width, see `widths`. Where its reader holds beats,
        the next is gathered meanwhile."""
        shape, layers = shape_of(self.structure.edges[stream]), self.structure.layers(stream)
        packet, came = (
            self.structure.packet(stream, reader),
            width_of(self.structure, self.stages, stream),
        )
        capacity = self.stages[reader].holds if reader else 1
        for step in widths(came, width, packet):
            few, many = sorted((came, step))
            at_once = capacity > 1 and step == few  # a wider beat is gathered ahead
            slow = not at_once and self.slow(stream, many, many // few + 1)
            repack = Repack(shape, came, step, layers, capacity, slow, packet)
            source, came = self._add(f"{name}_Repack_{step}", repack, stream, source, reader), step
        return source

    def slow(self, stream: str, width: int, cycles: int) -> bool:
        """An adapter may take some cycles for each beat, where that shortens the longest path,
        or takes fewer registers.

        Not before a stage that holds beats: it may be busy all the time and must find the
        next one at once.
        """
        count = beats(self.structure.numbers(stream), width) * self.structure.layers(stream)
        return self.family.slow_adapters and BURST * count * cycles <= self.interval


def width_of(structure: Structure, stages: Mapping[str, Stage], stream: str) -> int:
    """Numbers in a beat of a stream, at its source."""
    if stream not in stages and stream not in (ENTRY, EXIT):
        return 1
    loop = structure.loop
    return lanes(stages[loop.back if loop and stream in (ENTRY, EXIT) else stream], "o")
