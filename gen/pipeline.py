# amaranth: UnusedElaboratable=no
"""The pipeline of a manifest: its stages, and the adapters between them."""

import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ssm_hdl import Manifest, registry
from ssm_hdl.gateware.memories import Memories
from ssm_hdl.gateware.queue import Queue
from ssm_hdl.gateware.ring import Ring
from ssm_hdl.gateware.spram import Loader, image
from ssm_hdl.gateware.stage import SINKS
from ssm_hdl.gateware.stream import beats, lanes, reals, shape_of, signature
from ssm_hdl.gen.joins import joins
from ssm_hdl.gen.liveness import check
from ssm_hdl.gen.network import Network, Port, width_of
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.structure import ENTRY, Structure


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
        queues: before an operation that joins two paths, by its name and the index of its input.
        entry: where the samples of a time step wait, so that who brings them does not have to.

    Members:
        i: samples, one element per beat; ``last`` is true for every element of the last time
            step of a sequence.
        o: results, one element per beat, once per time step or once per sequence as the manifest's
            output edge says.
        w: only with tables in SPRAM: the bytes of `image`; until it has taken all,
            after every reset, no sample is taken.
        loaded: all tables are as they have to be; a wrong image leaves it low.
    """

    def __init__(self, manifest: Manifest, plan: Plan) -> None:
        self.manifest, self.plan, self.family = manifest, plan, plan.family
        self.structure = structure = Structure.of(
            manifest, plan.share_layers, self.family, plan.luts_below
        )
        self.stages = {
            name: registry.stage(layers.node.op.op).build(layers, plan.stages[name])
            for name, layers in structure.stages.items()
        }
        tables = [
            self.stages[name].tables[table]
            for name, stage in plan.stages.items()
            for table in stage.spram
        ]
        self.sprams = [table.to_spram() for table in tables]
        self.entry = entry_of(manifest, structure.memories)
        self.ring, self.queues = joins(self)
        self.network = self.assemble(self.ring, self.queues)
        ports = {
            "i": In(signature(shape_of(manifest.input))),
            "o": Out(signature(shape_of(manifest.output))),
        }
        weights = {"w": In(stream.Signature(8))} if self.sprams else {}
        super().__init__({**ports, **weights, "loaded": Out(1)})

    @cached_property
    def bound(self) -> int:
        """Cycles per time step that the plan allows: of the slowest stage at its pace, the ring,
        the ports, or a repack.

        Cheap, for the choice between plans; for the cycles that there are see `ssm_hdl.gen.timing`.
        """
        structure = self.structure
        share, loop = structure.share, structure.loop
        steps = [reals(self.manifest.input)]
        if loop is not None:
            steps.append(
                loop.layers
                * (beats(structure.numbers(ENTRY), lanes(self.stages[loop.back], "o")) + 1)
            )
        steps += [
            math.ceil(stage.cycles * share(name, self.manifest.steps))
            for name, stage in self.stages.items()
        ]
        if not self.manifest.output.per_sequence:
            steps.append(reals(self.manifest.output))
        for name, reads in structure.reads.items():
            width = lanes(self.stages[name], SINKS[0])
            passing = (
                structure.passing(
                    source,
                    name,
                    width_of(structure, self.stages, source),
                    width,
                    self.manifest.steps,
                )
                for source in reads
            )
            steps += map(math.ceil, passing)
        return max(steps)

    def assemble(self, ring: Ring | None, queues: Mapping[tuple[str, int], Any]) -> Network:
        """The network with a ring and with queues at the inputs of stages."""
        return Network(
            self.structure, self.stages, self.entry, self.family, self.bound, ring, queues
        )

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        check(self)
        m = Module()
        for name, component in self.network.components.items():
            setattr(m.submodules, name, component)
        for _, _, source, sink in self.network.links:
            connect(m, self._stream(m, source), self._stream(m, sink))
        return m

    def _stream(self, m: Module, port: Port) -> stream.Interface:
        if not port.component:
            return self._gate(m) if port.member == "i" else flipped(self.o)
        member = getattr(self.network.components[port.component], port.member)
        return member if port.branch is None else member[port.branch]

    @property
    def image(self) -> bytes:
        """What ``w`` takes; empty if no table is in SPRAM."""
        return image(self.sprams)

    @property
    def loader(self) -> str:
        """The name of what fills the tables in SPRAM; an operation may have the shorter one."""
        return "Loader" if "loader" in self.stages else "loader"

    def _gate(self, m: Module) -> stream.Interface:
        """The samples, once all tables are loaded."""
        if not self.sprams:
            m.d.comb += self.loaded.eq(1)
            return flipped(self.i)
        m.submodules[self.loader] = loader = Loader(self.sprams)
        connect(m, flipped(self.w), loader.i)
        samples = signature(shape_of(self.manifest.input)).create()
        m.d.comb += [
            self.loaded.eq(loader.loaded),
            samples.p.eq(self.i.p),
            samples.valid.eq(self.i.valid & loader.loaded),
            self.i.ready.eq(samples.ready & loader.loaded),
        ]
        return samples


def entry_of(manifest: Manifest, memories: Memories) -> Queue:
    """Where the samples of a time step wait."""
    return Queue(shape_of(manifest.input), 1, max(2, manifest.input.size), memories=memories)
