# amaranth: UnusedElaboratable=no
"""The pipeline of a manifest: its stages, and what stands between them."""

import math
from functools import cached_property

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ssm_hdl import Manifest, registry
from ssm_hdl.gateware.queue import BURST, Queue
from ssm_hdl.gateware.ring import WAITING, Ring
from ssm_hdl.gateware.spram import Loader, image
from ssm_hdl.gateware.stream import Fork, Repack, beats, lanes, reals, shape_of, signature, widths
from ssm_hdl.gen.latency import turn
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.structure import ENTRY, EXIT, Structure

_PACKETS = {"dense": 2, "scan": 2, "norm": 3}
"""Packets that the memories of a stage hold, 1 for the others; those in its pipeline come on top."""


class Pipeline(wiring.Component):
    """The whole accelerator.

    Args:
        manifest: the integer program.
        plan: the multipliers of every stage.

    Attributes:
        structure: which stages there are, and what they read.
        stages: their gateware, by name.
        ring: the way round the stages that serve several layers, if there are.
        sprams: the tables in SPRAM, in the order in which `w` fills them.
        queues: what stands before an operation that joins two paths, by its name and the index of its input.
        entry: where the samples of a time step wait, so that who brings them does not have to.

    Members:
        i: samples, one element a beat; ``last`` is true for every element of the last time step of a sequence.
        o: results, one element a beat, once a time step or once a sequence as the manifest's output edge says.
        w: only with tables in SPRAM: the bytes of `image`; until it has taken all, after every reset, no sample is taken.
        loaded: all tables are as they have to be; a wrong image leaves it low.
    """

    def __init__(self, manifest: Manifest, plan: Plan) -> None:
        self.manifest, self.plan, self.family = manifest, plan, plan.family
        self.structure = structure = Structure.of(manifest, plan.share_layers, self.family)
        self.stages = {
            name: registry.stage(layers.node.op.op).build(layers, plan.stages[name]) for name, layers in structure.stages.items()
        }
        tables = [self.stages[name].tables[table] for name, stage in plan.stages.items() for table in stage.spram]
        self.sprams = [table.to_spram() for table in tables]
        self.queues: dict[tuple[str, int], Queue] = {}
        self.ring: Ring | None = None
        self.ring = self._ring()
        fast = self.family.fast_rams
        self.entry = Queue(shape_of(manifest.input), 1, max(2, manifest.input.size), fast=fast)
        slack = self._slack()
        for name in structure.stages:
            for index, sink in enumerate(self.stages[name].sinks):
                if packets := slack.get((name, index)):
                    source = structure.reads[name][index]
                    shape, depth = shape_of(structure.edges[source]), max(2, packets * structure.numbers(source) // lanes(sink))
                    marked = structure.stages[name].marked and index == 0  # of two that are joined, `last` is that of the first
                    self.queues[name, index] = Queue(shape, lanes(sink), depth, structure.layers(name), marked, fast)
        ports = {"i": In(signature(shape_of(manifest.input))), "o": Out(signature(shape_of(manifest.output)))}
        weights = {"w": In(stream.Signature(8))} if self.sprams else {}
        super().__init__({**ports, **weights, "loaded": Out(1)})

    @cached_property
    def cycles(self) -> int:
        """Cycles per time step, the initiation interval: of the slowest stage, of the ring, of the ports, or between stages."""
        steps = [reals(self.manifest.input), 0 if self.ring is None else self.ring.cycles]
        share = self.structure.share
        steps += [math.ceil(stage.cycles * share(name, self.manifest.steps)) for name, stage in self.stages.items()]
        if not self.manifest.output.per_sequence:
            steps.append(reals(self.manifest.output))
        for name, reads in self.structure.reads.items():
            width = lanes(self.stages[name].sinks[0])
            passing = (self.structure.passing(source, name, self.width(source), width, self.manifest.steps) for source in reads)
            steps += map(math.ceil, passing)
        return max(steps)

    def width(self, stream: str) -> int:
        """Numbers in a beat of a stream, where it comes from."""
        if stream == self.manifest.input.name:
            return 1
        loop = self.structure.loop
        return lanes(self.stages[loop.back if loop and stream in (ENTRY, EXIT) else stream].o)

    def holds(self, name: str) -> int:
        """Cycles in which a stage works with a beat before it takes the next."""
        return self.stages[name].holds

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        structure, output = self.structure, self.structure.output
        m.submodules["Entry"] = self.entry  # adapters begin with a capital letter, which no name in a manifest has
        connect(m, self._gate(m), self.entry.i)
        branches = self._branches(m, self.manifest.input.name, self.entry.o)
        if self.ring is not None:
            m.submodules[ENTRY] = self.ring
            branches |= self._branches(m, ENTRY, self.ring.entry) | self._branches(m, EXIT, self.ring.o)
        for name, stage in self.stages.items():
            setattr(m.submodules, name, stage)
            for index, (stream_name, sink) in enumerate(zip(structure.reads[name], stage.sinks, strict=True)):
                held = self.holds(name)
                source = self._fit(m, f"{name}_{index}", stream_name, branches[stream_name].pop(0), lanes(sink), name, held)
                if queue := self.queues.get((name, index)):
                    m.submodules[f"Queue_{name}_{index}"] = queue
                    connect(m, source, queue.i)
                    source = queue.o
                connect(m, source, sink)
            branches |= self._branches(m, name, stage.o)
        if self.ring is not None and structure.loop is not None:
            for stream_name, sink in ((structure.loop.source, self.ring.i), (structure.loop.back, self.ring.back)):
                connect(m, self._fit(m, f"Ring_{stream_name}", stream_name, branches[stream_name].pop(0), lanes(sink)), sink)
        connect(m, self._fit(m, "Output", output, branches[output].pop(0), 1), flipped(self.o))
        return m

    @property
    def image(self) -> bytes:
        """What ``w`` takes; empty if no table is in SPRAM."""
        return image(self.sprams)

    def _gate(self, m: Module) -> stream.Interface:
        """The samples, once all tables are loaded."""
        if not self.sprams:
            m.d.comb += self.loaded.eq(1)
            return flipped(self.i)
        m.submodules["Loader"] = loader = Loader(self.sprams)
        connect(m, flipped(self.w), loader.i)
        samples = signature(shape_of(self.manifest.input)).create()
        m.d.comb += [
            self.loaded.eq(loader.loaded),
            samples.p.eq(self.i.p),
            samples.valid.eq(self.i.valid & loader.loaded),
            self.i.ready.eq(samples.ready & loader.loaded),
        ]
        return samples

    def _ring(self) -> Ring | None:
        """The way round the stages of all layers, for as many packets as keep the slowest of them busy."""
        loop = self.structure.loop
        if loop is None:
            return None
        shape, width = shape_of(self.structure.edges[ENTRY]), self.width(ENTRY)
        count = beats(self.structure.numbers(ENTRY), width)
        self.ring = Ring(shape, width, count, loop.layers, 1)  # has the cycles of a step, whatever its flight
        return Ring(shape, width, count, loop.layers, 1 + math.ceil(turn(self, count) * loop.layers / self.cycles))

    def _branches(self, m: Module, name: str, source: stream.Interface) -> dict[str, list[stream.Interface]]:
        """A stream for each of its readers."""
        ways = self.structure.readers(name)
        if ways == 1:
            return {name: [source]}
        shape, layers = shape_of(self.structure.edges[name]), self.structure.layers(name)
        held = max(map(self.holds, [reader for reader, reads in self.structure.reads.items() if name in reads]), default=1)
        slow = held == 1 and self._slow(name, lanes(source), 2)
        m.submodules[f"Fork_{name}"] = fork = Fork(shape, lanes(source), ways, layers, slow)
        connect(m, source, fork.i)
        return {name: list(fork.o)}

    def _slow(self, stream: str, width: int, cycles: int) -> bool:
        """What stands between stages may take so many cycles for each beat, where that makes what is the longest path shorter.

        Not in front of one that holds beats, which may be busy all the time and has to find the next one at once.
        """
        count = beats(self.structure.numbers(stream), width) * self.structure.layers(stream)
        return self.family.slow_adapters and BURST * count * cycles <= self.cycles

    def _fit(
        self, m: Module, name: str, stream_name: str, source: stream.Interface, width: int, reader: str = "", held: int = 1
    ) -> stream.Interface:
        """The stream with another number of lanes, see `widths`. Where its reader holds beats, the next is gathered meanwhile."""
        shape, layers = shape_of(self.structure.edges[stream_name]), self.structure.layers(stream_name)
        packet = self.structure.packet(stream_name, reader)
        for step in widths(lanes(source), width, packet):
            few, many = sorted((lanes(source), step))
            at_once = held > 1 and step == few  # a wider beat is gathered ahead
            slow = not at_once and self._slow(stream_name, many, many // few + 1)
            m.submodules[f"Repack_{name}_{step}"] = repack = Repack(shape, lanes(source), step, layers, held, slow, packet)
            connect(m, source, repack.i)
            source = repack.o
        return source

    def _slack(self) -> dict[tuple[str, int], int]:
        """Packets to hold at each input of a stage that joins two paths, so that neither ever waits for the other in vain.

        The latest input holds nothing: the one whose path gathers more whole packets or, if neither does, whose elements
        stand later in the packet that was forked. What the other brings has always left the fork before. The other holds
        what is in flight on the latest, and a packet more; inside the ring, no more than there can be.
        """
        flight, lateness = self._paths()
        slack = {}
        for name, reads in self.structure.reads.items():
            latest = max(range(len(reads)), key=lambda index: (lateness[reads[index]], flight[reads[index]]))
            for index in {*range(len(reads))} - {latest}:
                packets = math.ceil(max(0.0, flight[reads[latest]] - flight[reads[index]])) + 1
                slack[name, index] = min(packets, self.ring.flight) if self.ring and self.structure.layers(name) > 1 else packets
        return slack

    def _paths(self) -> tuple[dict[str, float], dict[str, tuple[int, int]]]:
        """For every stream: packets on the way to it, and how late it is (packets gathered, elements sliced off the front)."""
        start, structure, loop = self.manifest.input.name, self.structure, self.structure.loop
        flight = {start: 0.0, ENTRY: 0.0}
        lateness = {start: (0, 0), ENTRY: (0, 0)}
        for name, reads in self.structure.reads.items():
            if EXIT in reads and EXIT not in flight and loop is not None and self.ring is not None:
                flight[EXIT] = flight[loop.source] + WAITING + self.ring.flight
                lateness[EXIT] = lateness[loop.source][0] + 1, 0
            layers = self.structure.stages[name]
            node = layers.node
            held = _PACKETS.get(node.op.op, 1) + max(self.stages[name].latency, 0) * layers.count / self.cycles
            held += (
                lanes(self.stages[name].sinks[0]) * (1 + (self.holds(name) > 1)) / structure.numbers(reads[0])
            )  # while it is gathered
            flight[name] = max(flight[source] for source in reads) + held
            gathered, sliced = max(lateness[source] for source in reads)
            whole = node.op.op == "norm" or (node.op.op == "dense" and node.arrays["weight"].shape[0] == 1)
            lateness[name] = (gathered + 1, 0) if whole else (gathered, sliced + getattr(node.op, "start", 0))
        return flight, lateness
