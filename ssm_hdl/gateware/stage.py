"""The protocol of a stage: what every gateware component of an operation answers
to the generator."""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self, TypeAlias

from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.wiring import connect, flipped

from ssm_hdl.gateware.folding import Folding
from ssm_hdl.gateware.layers import Layers, Table
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.multiplier import DSP
from ssm_hdl.gateware.queue import Queue
from ssm_hdl.gateware.stream import Component, lanes, reals
from ssm_hdl.gateware.timing import Beats, Cycles, Process
from ssm_hdl.operations import Node

SINKS = "ijkl"
"""Names of the streams into a stage: of its first input, its second, and so on."""

Features: TypeAlias = dict[str, float]
"""What something is made of, in bits, by what fitted costs multiply."""


@dataclass(frozen=True)
class StagePlan:
    """How a stage is built.

    Attributes:
        lanes: numbers in a beat of its output; of its input, if `Stage.o_lanes` says so.
        folding: name of the folding, of operations that have several.
        multipliers: products side by side; 0 where there are none.
        kind: kind of multiplier, `ssm_hdl.gateware.multiplier.DSP` or `LUT`.
        pace: cycles between two beats of results that are enough;
            queues are only as deep as these need.
        even: the reader takes the results one by one, all through the interval.
        registers: running sums are in registers, to save block RAM.
        in_blocks: multipliers in DSP blocks; the others are made of LUTs.
        blocks: DSP blocks of these multipliers; two may share one.
        spram: names of its tables that are in SPRAM instead of block RAM.
        compact: it has the form that takes the fewest logic cells, for a stage that idles;
            see `Stage.compacts`.
    """

    lanes: int = 1
    folding: str = ""
    multipliers: int = 0
    kind: str = DSP
    pace: int = 1
    even: bool = False
    registers: bool = False
    in_blocks: int = 0
    blocks: int = 0
    spram: tuple[str, ...] = ()
    compact: bool = False


class Stage(Component):
    """A stage: the gateware of an operation, or of the same operation of all the
    layers that share it.

    Class facts:

    Attributes:
        folds: how its products fall onto multipliers; None if it has a multiplier for each lane,
            or none.
        shareable: the layers of a model may share it.
        reads_last: it looks at ``last`` of its input, so queues before it have to keep it.
        takes_evenly: it takes its input one by one all through the interval.
        streams: a result leaves for each element as it comes; otherwise results come in bursts.
        drops: it passes on some beats and drops others.
        sums_in_registers: its running sums can be in registers instead of memory
            (``StagePlan.registers``).

    Of an instance:

    Attributes:
        layers: the operations that it serves.
        o: the stream of results.
        timing: makes the processes that decide when beats move,
            from its streams by name (see `ssm_hdl.gateware.timing`).
    """

    folds: ClassVar[type[Folding] | None] = None
    shareable: ClassVar[bool] = True
    reads_last: ClassVar[bool] = False
    takes_evenly: ClassVar[bool] = False
    streams: ClassVar[bool] = False
    drops: ClassVar[bool] = False
    sums_in_registers: ClassVar[bool] = False

    layers: Layers
    o: stream.Interface
    timing: Callable[..., list[Process]]

    @classmethod
    @abstractmethod
    def build(cls, layers: Layers, plan: StagePlan) -> Self:
        """The stage of a plan."""

    @classmethod
    def most_lanes(cls, node: Node) -> int:
        """The most lanes of a stage without a folding; any divisor will do as well."""
        return math.gcd(reals(node.inputs[0]), reals(node.output))

    @classmethod
    def o_lanes(cls, node: Node, lanes: int) -> int:
        """Numbers in a beat of the output of a stage without a folding,
        with the lanes of a plan."""
        return lanes

    @classmethod
    def compacts(cls, layers: Layers, plan: StagePlan) -> bool:
        """A plan may ask for the compact form."""
        return False

    @classmethod
    def i_channels(cls, node: Node) -> int:
        """Channels in which it reads a packet:
        a folding may take some of each channel side by side."""
        return 1

    @classmethod
    def o_channels(cls, node: Node) -> int:
        """Channels in which it sends a packet."""
        return 1

    @classmethod
    def dsp_blocks(cls, layers: Layers, lanes: int, kind: str) -> int:
        """DSP blocks of a stage without a folding."""
        return 0

    @property
    @abstractmethod
    def cycles(self) -> int:
        """Cycles per packet, the initiation interval."""

    @property
    @abstractmethod
    def latency(self) -> int:
        """Cycles from the last beat of a packet in to its last beat out,
        when it meets no other packet and nothing stalls."""

    @property
    def work(self) -> int:
        """Cycles that a packet keeps it busy, without those until the next may follow."""
        return self.cycles

    @property
    @abstractmethod
    def storage(self) -> list[Storage]:
        """Its memories."""

    @property
    def sinks(self) -> list[stream.Interface]:
        """The streams in, in the order of the operation's inputs, by the names of `SINKS`."""
        return [getattr(self, name) for name in SINKS[: len(self.layers.node.inputs)]]

    @property
    def holds(self) -> int:
        """Cycles that it works with a beat before it takes the next."""
        return 1

    @property
    def keeps(self) -> bool:
        """All results of a packet can wait in it."""
        return False

    @property
    def tables(self) -> dict[str, Table]:
        """Tables of constants that may be in SPRAM, by the name of their storage."""
        return {}

    @property
    def blocks(self) -> int:
        """DSP blocks."""
        return 0

    @property
    def products(self) -> int:
        """Products of real numbers that its multipliers make for a packet."""
        return 0

    @property
    def operands(self) -> tuple[int, int]:
        """Bits of the two operands of a product."""
        return 0, 0

    @property
    def burst(self) -> int:
        """Cycles from the first result that its last beat completes to the last result;
        0 if results leave as beats come."""
        return 0

    @property
    def features(self) -> Features:
        """What its datapath is made of; memories, multipliers and results are counted for
        all stages alike."""
        inputs = zip(SINKS, self.layers.node.inputs, strict=False)
        return {"inputs": sum(lanes(self, name) * edge.format.width for name, edge in inputs)}


class QueuedStage(Stage):
    """A stage that is a pipeline into a queue: nothing stalls in it,
    since a result is begun when it has a place there.

    Attributes:
        queue: the queue.
        depth: cycles from the beat that completes a result to the queue.
        begin: makes the process that takes beats and begins results,
            from ``queued`` (the results at the queue), ``o`` and the streams in.
    """

    queue: Queue
    depth: int
    begin: Callable[..., Cycles]

    @property
    def latency(self) -> int:
        """Cycles from the last beat of a packet in to its last beat out,
        when it meets no other and nothing stalls."""
        return self.depth + self.queue.latency

    @property
    def keeps(self) -> bool:
        """All results of a packet can wait in it."""
        return self.queue.depth * lanes(self, "o") >= reals(self.layers.node.output)

    def module(self) -> Module:
        """A module with the queue, connected to the output."""
        m = Module()
        m.submodules.queue = self.queue
        connect(m, self.queue.o, flipped(self.o))
        return m

    def timing(self, o: Beats, **sinks: Beats) -> list[Process]:
        """When its beats move."""
        queued = Beats()
        return [Process(self.begin, queued, o, *sinks.values()), *self.queue.drain(queued, o)]


class FoldedStage(QueuedStage):
    """A stage whose products fall onto multipliers by a folding.

    Attributes:
        folding: the folding.
        kind: kind of multiplier.
    """

    folding: Folding
    kind: str

    @property
    def work(self) -> int:
        """Cycles that a packet keeps it busy."""
        return self.folding.cycles

    @property
    def holds(self) -> int:
        """Cycles that it works with a beat before it takes the next."""
        return self.folding.holds

    @property
    def blocks(self) -> int:
        """DSP blocks."""
        return self.folding.blocks(self.kind)

    @property
    def products(self) -> int:
        """Products of real numbers that its multipliers make for a packet."""
        return self.folding.products
