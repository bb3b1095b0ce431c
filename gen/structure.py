"""Which stages there are and what they read: one for every operation,
or one for the same operation of all layers."""

from collections.abc import Mapping
from dataclasses import dataclass

from ssm_hdl import Manifest, registry
from ssm_hdl.families.base import Family
from ssm_hdl.families.generic import GENERIC
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.memories import DEFAULT, Memories
from ssm_hdl.gateware.repack import passing
from ssm_hdl.gateware.stream import reals
from ssm_hdl.gen.depth import find_layers, stage_name
from ssm_hdl.operations import Edge

ENTRY, EXIT = "Ring", "Ring_o"
"""The streams of the ring, into its stages and out of it; no operation can have these names."""


@dataclass(frozen=True)
class Loop:
    """The stages that serve several layers.

    Attributes:
        stages: their names, in order.
        layers: how many.
        source: the stream that the first layer reads.
        back: the stage whose results go round to the next layer.
    """

    stages: tuple[str, ...]
    layers: int
    source: str
    back: str


@dataclass(frozen=True)
class Structure:
    """Stages and streams. A stream has the name of the input or of the stage that it comes from,
    or is one of the ring's.

    Attributes:
        stages: what each stage serves, by its name, in order.
        reads: names of the streams that each reads, in order.
        edges: the edge of every stream; of the first layer, if there are several.
        output: the stream that leaves the pipeline.
        loop: the stages that serve several layers, if there are.
        memories: how the pipeline makes its memories.
    """

    stages: Mapping[str, Layers]
    reads: Mapping[str, tuple[str, ...]]
    edges: Mapping[str, Edge]
    output: str
    loop: Loop | None = None
    memories: Memories = DEFAULT

    @classmethod
    def of(
        cls,
        manifest: Manifest,
        share_layers: bool = False,
        family: Family = GENERIC,
        luts_below: int = 0,
    ) -> "Structure":
        """The structure of a manifest.

        Args:
            manifest: the integer program.
            share_layers: the layers, repetitions of the same operations, share their stages.
            family: the FPGA family.
            luts_below: see `ssm_hdl.gateware.memories.Memories`.

        Raises:
            SsmHdlError: there are no layers that can.
        """
        if share_layers:
            return cls._shared(manifest, family, luts_below)
        marked = _marked(manifest)
        stages = {
            name: Layers([node], name in marked, family, luts_below)
            for name, node in manifest.nodes.items()
        }
        reads = {name: node.op.sources for name, node in manifest.nodes.items()}
        memories = Memories(family.fast_rams, luts_below)
        edges = _edges(manifest, stages)
        return cls(stages, reads, edges, manifest.graph.output, memories=memories)

    @classmethod
    def _shared(cls, manifest: Manifest, family: Family, luts_below: int) -> "Structure":
        repetition = find_layers(manifest)
        inside = {node.name for nodes in repetition.positions for node in nodes}
        names = {*manifest.nodes, manifest.input.name}
        places: dict[str, Layers] = {}  # by the name of the stage
        for nodes in repetition.positions:
            name = stage_name(nodes, names - {node.name for node in nodes} | places.keys())
            places[name] = Layers(nodes, family=family, luts_below=luts_below)
        # streams by edge
        renamed = {node.name: name for name, layers in places.items() for node in layers.nodes}
        back = list(places)[repetition.back]
        behind = {**renamed, places[back].nodes[-1].name: EXIT}
        stages, reads = {}, {}
        for name, node in manifest.nodes.items():
            if name not in inside:
                stages[name] = Layers([node], family=family, luts_below=luts_below)
                reads[name] = tuple(behind.get(source, source) for source in node.op.sources)
            elif renamed[name] not in stages:
                stages[renamed[name]] = places[renamed[name]]
                outside = {repetition.source: ENTRY}
                reads[renamed[name]] = tuple(
                    outside.get(source) or renamed[source] for source in node.op.sources
                )
        loop = Loop(tuple(places), places[back].count, repetition.source, back)
        edges = _edges(manifest, stages) | {
            stream: places[back].node.output for stream in (ENTRY, EXIT)
        }
        output = behind.get(manifest.graph.output, manifest.graph.output)
        memories = Memories(family.fast_rams, luts_below)
        return cls(stages, reads, edges, output, loop, memories)

    def readers(self, stream: str) -> int:
        """How many read a stream: stages, the ring, the pipeline's output."""
        ring = [] if self.loop is None else [self.loop.source, self.loop.back]
        return [
            *(name for names in self.reads.values() for name in names),
            *ring,
            self.output,
        ].count(stream)

    def readers_of(self, stream: str) -> list[str]:
        """The stages that read a stream."""
        return [name for name, reads in self.reads.items() if stream in reads]

    def ends(self, stream: str) -> bool:
        """It comes once in a sequence, from a stage that works in every time step."""
        return (
            self.edges[stream].per_sequence and not self.stages[stream].node.inputs[0].per_sequence
        )

    def part(self, stream: str) -> bool:
        """It is a part of another stream, whose other beats are dropped."""
        stage = self.stages.get(stream)
        return stage is not None and registry.stage(stage.node.op.op).drops

    def layers(self, stream: str) -> int:
        """Layers that the packets of a stream may be at."""
        return (
            self.loop.layers
            if self.loop is not None and stream in (ENTRY, *self.loop.stages)
            else 1
        )

    def share(self, name: str, steps: int) -> float:
        """How often a stage works in a time step: once for each layer,
        or once in a sequence of ``steps``."""
        node = self.stages[name].node
        return self.stages[name].count / (steps if node.inputs[0].per_sequence else 1)

    def passing(self, stream: str, reader: str, i_lanes: int, o_lanes: int, steps: int) -> float:
        """Cycles of a time step on the way to a reader,
        from beats of one width to beats of another.

        Args:
            stream: the stream that is read.
            reader: the stage that reads it.
            i_lanes: numbers in a beat of the stream.
            o_lanes: numbers in a beat as its reader takes it.
            steps: time steps of a sequence, in which there are streams that come once.
        """
        packets = self._channels(stream, reader) * self.layers(stream)
        cycles = packets * passing(i_lanes, o_lanes, self.packet(stream, reader))
        return cycles / steps if self.edges[stream].per_sequence else cycles

    def packet(self, stream: str, reader: str = "") -> int:
        """Numbers of a stream after which beats may be padded: one channel of a scan,
        if its channels are read one by one."""
        return self.numbers(stream) // self._channels(stream, reader)

    def _channels(self, stream: str, reader: str) -> int:
        source, to = self.stages.get(stream), self.stages.get(reader)
        if source is None or to is None:
            return 1
        channels = registry.stage(source.node.op.op).o_channels(source.node)
        return channels if channels == registry.stage(to.node.op.op).i_channels(to.node) else 1

    def numbers(self, stream: str) -> int:
        """Real numbers in a packet."""
        return reals(self.edges[stream])


def _marked(manifest: Manifest) -> set[str]:
    """The streams whose `last` is used: a scan and a pool read it,
    and a join passes on the one of its first input."""
    marked = {manifest.graph.output}
    for name, node in reversed(manifest.nodes.items()):
        if name in marked or registry.stage(node.op.op).reads_last:
            marked.add(node.op.sources[0])
    return marked


def _edges(manifest: Manifest, stages: Mapping[str, Layers]) -> dict[str, Edge]:
    return {manifest.input.name: manifest.input} | {
        name: layers.node.output for name, layers in stages.items()
    }
