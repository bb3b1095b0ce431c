# amaranth: UnusedElaboratable=no
"""Gateware of hadamard."""

from itertools import count
from typing import Self

from amaranth.hdl import Const, Module, Mux, Shape, Signal, Value
from amaranth.lib.wiring import In, Out, connect, flipped

from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY, delay, plus_minus, saturated
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.layers import Layers, Nodes, choose
from ssm_hdl.gateware.memories import BLOCK_RAM_FROM, Memories, Storage
from ssm_hdl.gateware.paley import Paley
from ssm_hdl.gateware.queue import Places
from ssm_hdl.gateware.stage import Features, QueuedStage, StagePlan
from ssm_hdl.gateware.stream import shape_of, tag_of
from ssm_hdl.gateware.sums import Sums
from ssm_hdl.gateware.timing import Beats, Cycles, Process, known
from ssm_hdl.hadamard import split
from ssm_hdl.operations import Node

IN_REGISTERS, IN_MEMORY = 4, 8
"""Results that wait in registers at most, and in memory at least:
five in registers take more LUTs than eight in memory."""


class Level:
    """A butterfly of a transform, its operands ``distance`` elements apart,
    with a delay line of that length.

    While the first operands come, the line takes them and gives the differences of those before.
    While the second ones come, it gives the first operands, and takes the differences.

    Args:
        x: shape of an element.
        distance: the distance.
        memories: how the pipeline makes its memories.
        half: added to the first operand of every block,
            and so to all results of the levels after this one.

    Attributes:
        y: shape of a result.
        ahead: cycles from the place of an element to the element.
    """

    def __init__(self, x: Shape, distance: int, memories: Memories, half: int = 0) -> None:
        self.distance, self.half = distance, half
        self.y = Shape(x.width + 1 + (not x.signed) + (distance == 1 and half > 0), True)
        width = self.y.width
        told = distance * width >= BLOCK_RAM_FROM  # as RAM of LUTs it would be half the stage
        self.line = Sums(distance, width, memories=memories, told=told)
        self.ahead = self.line.latency

    def apply(self, m: Module, x: Value, place: Value, go: Value) -> Value:
        """The results, a cycle after the elements.

        Args:
            m: the module it goes to.
            x: an element.
            place: its place in the packet, `ahead` cycles before.
            go: it is there.
        """
        bits = self.distance.bit_length()
        within, second = place[: bits - 1], delay(m, place[bits - 1], self.ahead)
        new = Signal(self.y)
        kept = self.line.keep(m, within, Const(0, 1), Const(0, len(new)), go, new.as_unsigned())
        first = kept.value.as_signed()
        start = Mux(delay(m, within == 0, self.ahead), self.half, 0) if self.half else 0
        m.d.comb += new.eq(plus_minus(Mux(second, first, start), x, second))
        return delay(m, (first + Mux(second, x, 0))[: len(new)].as_signed(), 1)


class Hadamard(QueuedStage):
    """y = 2**-shift H x, for n = m 2**k elements: `Paley` for the factor of m rows, if it is not 1,
    then k levels of `Level`.

    A cycle takes an element in, or none, and gives the result ``2**k - 1`` elements before it.
    After the last element a packet has as many steps without one, so that no result waits for a
    packet that has not come.

    Cycles per packet: ``2 n - 1``, or with a pace ``n - 1 + n * pace``; ``n * (m + 1)`` with a
    Paley factor. Latency, last beat in to last beat out:
    ``2**k - 1 + k + line + round + queue`` cycles, and ``n * m + 3`` more with a Paley factor,
    or some more with a pace, which is for m = 1 only. ``line`` is 2 if the line of the first level
    is in memory, else 0, or 1 if n is 1. ``round`` is 2 where rounding takes an adder of its own,
    else 0.

    Args:
        nodes: the bound operation, or one for each of several layers.
        pace: cycles between results that are enough;
            the queue at the end is only as deep as they need.
        compact: fewer registers: results are rounded on the way into the queue,
            and one may be the only one under way.

    Members:
        i: x, an element per beat.
        o: y, an element per beat.
    """

    @classmethod
    def build(cls, layers: Layers, plan: StagePlan) -> Self:
        """With the pace of a plan."""
        return cls(layers, plan.pace, plan.compact)

    @classmethod
    def most_lanes(cls, node: Node) -> int:
        """An element at a time."""
        return 1

    @classmethod
    def compacts(cls, layers: Layers, plan: StagePlan) -> bool:
        """Its reader takes a result as soon as it is there."""
        return not plan.even

    def __init__(self, nodes: Nodes, pace: int = 1, compact: bool = False) -> None:
        self.layers = layers = Layers.of(nodes)
        (x,), y = layers.node.inputs, layers.node.output
        super().__init__({"i": In(layers.signature(x)), "o": Out(layers.signature(y))})
        self.size = x.size
        rows, levels = split(x.size)
        self.paley = Paley(layers, rows) if rows > 1 else None
        self.pace = 1 if self.paley else pace
        shape = self.paley.sums if self.paley else shape_of(x)
        self.levels = list[Level]()
        # Half a code of the result is added on the way, where it takes no adder:
        # in the first level whose sums have room for it, or with one bit more in the last.
        # Half a code that is wider than the sums has no room in any.
        alike = levels and not (self.paley or any(layers.lift)) and layers.drop < layers.width
        half = 1 << layers.drop - 1 if alike and layers.drop > 0 else 0
        self._adds = layers.drop > 0 and not half
        for level in reversed(range(levels)):
            fits = half >> levels - 1 - level == 0 or level == 0
            self.levels.append(Level(shape, 1 << level, layers.memories, half * fits))
            half *= not fits
            shape = self.levels[-1].y
        self.ahead = (1 << levels) - 1
        # An element waits until the line of the first level is read. Later ones are read meanwhile.
        # A packet of one waits too: a queue in memory takes nothing in the first cycle of all.
        self._wait = self.levels[0].ahead if levels else int(self.paley is None)
        self._round = REQUANTIZE_LATENCY if self._adds and not compact else 0
        self.depth = self._wait + levels + self._round
        places = Places.needed(self.depth, self.pace, least=2 - compact)
        self.queue = layers.queue(y, 1, max(places, IN_MEMORY) if places > IN_REGISTERS else places)

    @property
    def work(self) -> int:
        """Cycles that a packet keeps it busy."""
        return self.size * (self.paley.rows + 1) if self.paley else self.size + self.ahead

    @property
    def cycles(self) -> int:
        """Cycles per packet, the initiation interval."""
        return max(self.work, self.ahead + self.size * self.pace)

    @property
    def latency(self) -> int:
        """Cycles from the last beat of a packet in to its last beat out,
        when it meets no other and nothing stalls."""
        before = self.size * self.paley.rows + self.paley.latency if self.paley else 0
        return before + self.burst + super().latency

    @property
    def burst(self) -> int:
        """Cycles from the result that the last element completes to the last one."""
        return Places.span(self.queue, self.depth, self.ahead + 1)

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        before = self.paley.storage if self.paley else []
        return [*before, *(level.line.storage for level in self.levels), self.queue.storage]

    @property
    def features(self) -> Features:
        """Sums of the levels, which have a register each, and the sums that are rounded."""
        added = sum(level.y.width for level in self.levels)
        added += self.paley.sums.width if self.paley else 0
        return {
            "inputs": self.layers.node.inputs[0].format.width,
            "added": added,
            "sums": self.layers.width,
        }

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m, queue, source = self.module(), self.queue, self.i
        if self.paley:
            m.submodules.paley = self.paley
            connect(m, flipped(self.i), self.paley.i)
            source = self.paley.o
        go, take, made = (
            Signal(name="go"),
            Signal(name="take"),
            Signal(init=self.ahead == 0, name="made"),
        )
        coming = Signal(init=1)
        step = Counter(m, self.size + self.ahead, go)
        places = Places(m, queue, take)
        able = ~made | places.free
        m.d.comb += [
            source.ready.eq(coming & able),
            go.eq((source.valid | ~coming) & able),
            take.eq(go & made),
        ]
        kept = Signal.like(tag_of(source.p), name="tag")
        tag = Mux(coming, tag_of(source.p), kept)
        m.d.sync += kept.eq(tag)
        if self.ahead:
            with m.If(go):
                m.d.sync += [
                    coming.eq((coming & (step.value != self.size - 1)) | step.last),
                    made.eq((made | (step.value == self.ahead - 1)) & ~step.last),
                ]
        m.d.comb += [
            queue.i.p.data[0].eq(self._result(m, source.p.data[0], step.value, go, tag[1:])),
            tag_of(queue.i.p).eq(delay(m, tag, self.depth)),
            queue.i.valid.eq(delay(m, take, self.depth, reset_less=False)),
        ]
        return m

    def _result(self, m: Module, x: Value, place: Value, go: Value, layer: Value) -> Value:
        """The results, `depth` cycles after the steps that give them."""
        layers, x, places = self.layers, delay(m, x, self._wait), [place]
        go, cycles = delay(m, go, self._wait, reset_less=False), self._wait + len(self.levels)
        for _ in range(cycles - 1):
            places.append(delay(m, places[-1], 1))
        for cycle, level in enumerate(self.levels, self._wait):
            m.submodules[f"level_{level.distance}"] = inside = Module()
            x = level.apply(inside, x, places[cycle - level.ahead], go)
            go = delay(m, go, 1, reset_less=False)
        x = choose(m, delay(m, layer, cycles), layers.lift, x.shift_left)
        if self._adds:
            return (layers.requantize if self._round else layers.rounded)(m, x)
        return saturated(m, x, layers.drop, layers.format)

    def timing(self, o: Beats, **sinks: Beats) -> list[Process]:
        """When its beats move."""
        (i,) = sinks.values()
        if self.paley is None:
            return super().timing(o, i=i)
        sums = Beats(ends=i.ends)
        return [Process(self.paley.run, i, sums), *super().timing(o, i=sums)]

    def begin(self, queued: Beats, o: Beats, i: Beats) -> Cycles:
        """A step that gives a result needs a place for it."""
        at, results = -1, count()
        for packet in count():
            for step in range(self.size + self.ahead):
                at += 1
                if step < self.size:
                    at = max(at, (yield from known(i.offered, packet * self.size + step)))
                if step >= self.ahead:
                    at = yield from self.queue.place(o, next(results), at)
                    queued.offered.append(at + self.depth)
                if step < self.size:
                    i.taken.append(at)
