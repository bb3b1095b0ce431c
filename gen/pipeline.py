# amaranth: UnusedElaboratable=no
"""The pipeline of a manifest: its stages, and what stands between them."""

import math
from collections.abc import Callable

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ssm_hdl import Manifest
from ssm_hdl.gateware.add import Add
from ssm_hdl.gateware.dense import Dense
from ssm_hdl.gateware.embedding import Embedding
from ssm_hdl.gateware.lookup import Lookup
from ssm_hdl.gateware.multiply import Multiply
from ssm_hdl.gateware.norm import Norm
from ssm_hdl.gateware.pool import Pool
from ssm_hdl.gateware.scan import Scan
from ssm_hdl.gateware.slice import Slice
from ssm_hdl.gateware.stream import Fork, Queue, Repack, reals, shape_of, signature
from ssm_hdl.gen.plan import Plan, StagePlan
from ssm_hdl.operations import Edge, Node

STAGES: dict[str, Callable[[Node, StagePlan], wiring.Component]] = {
    "dense": lambda node, plan: Dense(node, plan.multipliers, plan.kind, plan.pace),
    "scan": lambda node, plan: Scan(node, plan.multipliers, plan.kind),
    "lookup": lambda node, plan: Lookup(node, plan.lanes, plan.pace),
    "multiply": lambda node, plan: Multiply(node, plan.lanes, plan.kind, plan.pace),
    "add": lambda node, plan: Add(node, plan.lanes, plan.pace),
    "slice": lambda node, plan: Slice(node, plan.lanes),
    "embedding": lambda node, plan: Embedding(node, plan.pace),
    "norm": lambda node, plan: Norm(node, plan.kind, plan.pace),
    "pool": lambda node, plan: Pool(node, plan.lanes, plan.pace),
}
"""The gateware of every operation of the vocabulary."""

_PACKETS = {"dense": 3, "scan": 2, "norm": 3}
"""Packets that the memories of a stage hold, 1 for the others; those in its pipeline come on top."""


class Pipeline(wiring.Component):
    """The whole accelerator.

    Args:
        manifest: the integer program.
        plan: the multipliers of every stage.

    Attributes:
        stages: the gateware of every operation, by name.
        queues: what stands before an operation that joins two paths, by its name and the index of its input.

    Members:
        i: samples, one element a beat; ``last`` is true for every element of the last time step of a sequence.
        o: results, one element a beat, once a time step or once a sequence as the manifest's output edge says.
    """

    def __init__(self, manifest: Manifest, plan: Plan) -> None:
        self.manifest, self.plan = manifest, plan
        self.stages = {name: STAGES[node.op.op](node, plan.stages[name]) for name, node in manifest.nodes.items()}
        self.queues = {
            (name, index): Queue(shape_of(node.inputs[index]), lanes(sink), slack * reals(node.inputs[index]) // lanes(sink))
            for name, node in manifest.nodes.items()
            if len(node.inputs) > 1
            for index, (sink, slack) in enumerate(zip(self.stages[name].sinks, self._slack(node), strict=True))
            if slack
        }
        super().__init__({"i": In(signature(shape_of(manifest.input))), "o": Out(signature(shape_of(manifest.output)))})

    @property
    def cycles(self) -> int:
        """Cycles per time step, the initiation interval: that of the slowest stage, or of the ports."""
        steps = [reals(self.manifest.input)]
        for name, stage in self.stages.items():
            once = self.manifest.nodes[name].output.per_sequence and self.manifest.nodes[name].op.op != "pool"
            steps.append(math.ceil(stage.cycles / self.manifest.steps) if once else stage.cycles)
        if not self.manifest.output.per_sequence:
            steps.append(reals(self.manifest.output))
        return max(steps)

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        branches = self._branches(m, self.manifest.input, flipped(self.i))
        for name, stage in self.stages.items():
            setattr(m.submodules, name, stage)
            node = self.manifest.nodes[name]
            for index, (edge, sink) in enumerate(zip(node.inputs, stage.sinks, strict=True)):
                source = self._fit(m, f"{name}_{index}", edge, branches[edge.name].pop(0), lanes(sink))
                if queue := self.queues.get((name, index)):
                    m.submodules[f"{name}_{index}_queue"] = queue
                    connect(m, source, queue.i)
                    source = queue.o
                connect(m, source, sink)
            if name != self.manifest.graph.output:
                branches.update(self._branches(m, node.output, stage.o))
        output = self.stages[self.manifest.graph.output].o
        connect(m, self._fit(m, "output", self.manifest.output, output, 1), flipped(self.o))
        return m

    def _branches(self, m: Module, edge: Edge, source: stream.Interface) -> dict[str, list[stream.Interface]]:
        """A stream for each reader of an edge."""
        ways = len(self.manifest.consumers(edge.name))
        if ways == 1:
            return {edge.name: [source]}
        m.submodules[f"{edge.name}_fork"] = fork = Fork(shape_of(edge), lanes(source), ways)
        connect(m, source, fork.i)
        return {edge.name: list(fork.o)}

    def _fit(self, m: Module, name: str, edge: Edge, source: stream.Interface, width: int) -> stream.Interface:
        """The stream with another number of lanes; through their greatest common divisor if neither is a multiple."""
        common = math.gcd(lanes(source), width)
        for step in [width] if common in (lanes(source), width) else [common, width]:
            if step != lanes(source):
                m.submodules[f"{name}_repack_{step}"] = repack = Repack(shape_of(edge), lanes(source), step)
                connect(m, source, repack.i)
                source = repack.o
        return source

    def _slack(self, node: Node) -> list[int]:
        """Packets to hold at each input of a stage that joins two paths, so that neither ever waits for the other in vain.

        The latest input holds nothing: the one whose path gathers more whole packets or, if neither does, whose elements
        stand later in the packet that was forked. What the other brings has always left the fork before. The other holds
        what is in flight on the latest, and a packet more.
        """
        flight = {self.manifest.input.name: 0.0}  # packets on the way from the pipeline's input
        lateness = {self.manifest.input.name: (0, 0)}  # packets gathered, elements sliced off the front
        for name, other in self.manifest.nodes.items():
            held = _PACKETS.get(other.op.op, 1) + max(self.stages[name].latency, 0) / self.cycles
            flight[name] = max(flight[edge.name] for edge in other.inputs) + held
            gathered, sliced = max(lateness[edge.name] for edge in other.inputs)
            whole = other.op.op == "norm" or (other.op.op == "dense" and other.arrays["weight"].shape[0] == 1)
            lateness[name] = (gathered + 1, 0) if whole else (gathered, sliced + getattr(other.op, "start", 0))
        names = [edge.name for edge in node.inputs]
        latest = max(range(len(names)), key=lambda index: (lateness[names[index]], flight[names[index]]))
        ahead = [math.ceil(max(0.0, flight[names[latest]] - flight[name])) + 1 for name in names]
        return [0 if index == latest else packets for index, packets in enumerate(ahead)]


def lanes(port: stream.Interface) -> int:
    """Numbers in a beat of a stream."""
    return len(port.p.data)
