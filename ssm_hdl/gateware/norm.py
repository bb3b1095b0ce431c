# amaranth: UnusedElaboratable=no
"""Gateware of norm."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Self

from amaranth.hdl import Module, Shape, Signal, Value
from amaranth.lib.wiring import In, Out

from ssm_hdl.families.base import Family
from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY, delay, requantize, times, times_latency
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.deviation import Deviation, Packet
from ssm_hdl.gateware.folding import Folding
from ssm_hdl.gateware.layers import Layers, Nodes
from ssm_hdl.gateware.memories import Ram, Storage, shape_for
from ssm_hdl.gateware.multiplier import DSP, Multiplier
from ssm_hdl.gateware.queue import Places
from ssm_hdl.gateware.shift import shift_latency, shift_left
from ssm_hdl.gateware.stage import Features, FoldedStage, StagePlan
from ssm_hdl.gateware.stream import layer_of, tag_of
from ssm_hdl.gateware.timing import Beats, Cycles, Process, known


@dataclass(frozen=True)
class NormFolding(Folding):
    """One multiplier, for the products of the elements and the inverse root:
    V has one of its own, of adders.

    Where the operands do not fit a DSP block of the family, the multiplier is made of LUTs.

    Attributes:
        size: elements of a packet.
        operands: what d and the inverse root may be.
        used: cycles from reading an element to its product.
        around: cycles from the last element in to the inverse root.
        family: the FPGA family.
    """

    size: int
    operands: tuple[Shape, Shape]
    used: int
    around: int
    family: Family

    multipliers = 1
    i_lanes = 1
    o_lanes = 1
    holds = 1

    @classmethod
    def every(cls, layers: Layers) -> Sequence[Self]:
        """The one there is."""
        deviation = Deviation(layers)
        size, operands = (
            deviation.size,
            (deviation.shifted, Shape(deviation.root.cells + deviation.root.inside)),
        )
        used = 3 + times_latency(size) + shift_latency(deviation.most)
        return [cls(size, operands, used, deviation.latency, layers.family)]

    @property
    def products(self) -> int:
        """Products for a packet, without those for V."""
        return self.size

    def latency(self, kind: str) -> int:
        """Cycles of a product."""
        return self.multiplier(kind).latency(*self.operands)

    def blocks(self, kind: str) -> int:
        """DSP blocks that the multiplier takes."""
        return self.multiplier(kind).blocks(*self.operands, self.multipliers)

    def in_blocks(self, kind: str) -> int:
        """1, unless the multiplier is made of LUTs."""
        return self.blocks(kind)

    def multiplier(self, kind: str) -> Multiplier:
        """The multiplier of a kind, or of LUTs."""
        return self.family.multiplier(kind, *self.operands)

    def interval(self, product: int) -> int:
        """Cycles per packet, whatever cycles a product takes."""
        return max(self.size, self.around) + 1


class Norm(FoldedStage):
    """y = d / sqrt(V), d = n x - S, V = n sum x**2 - S**2 + epsilon, rounded once.

    One packet comes in and is summed up, the inverse root of another is taken, and a third is sent,
    all from a ring of memory. What the elements of a packet have in common changes stage by stage
    of their way, so that packets follow without a gap.

    Cycles per step: ``n + 1``, ``1 + around``, or ``pace`` for each result, whichever is most.
    Latency, last beat in to last beat out: ``around + n + 5 + times + shift + multiplier + queue``
    cycles, more with a pace. ``around``, from the last beat in to the inverse root,
    is ``4 + max(1, times) + 2 square + width / 2`` cycles.

    ``times`` is the levels of an adder tree for the bits that are 1 in n. ``square`` is the cycles
    of a multiplier of adders, with the bits of x or of the slope on one side. ``width`` is the bits
    of V, made even. ``shift`` is the cycles of a shift by up to ``width / 2 - 1``.

    Args:
        nodes: the bound operation, or one for each of several layers.
        kind: kind of multiplier, `DSP` or `LUT`.
        pace: cycles between results that are enough;
            the queue at the end is only as deep as they need.

    Members:
        i: x, a number per beat.
        o: y, a number per beat.
    """

    folds = NormFolding
    folding: NormFolding

    @classmethod
    def build(cls, layers: Layers, plan: StagePlan) -> Self:
        """With the multiplier and the pace of a plan."""
        return cls(layers, plan.kind, plan.pace)

    def __init__(self, nodes: Nodes, kind: str = DSP, pace: int = 1) -> None:
        self.kind, self.pace = kind, pace
        self.layers = layers = Layers.of(nodes)
        (x,), y = layers.node.inputs, layers.node.output
        self.deviation, self.size = Deviation(layers), y.size
        self.folding = NormFolding.of(nodes, 1)
        super().__init__({"i": In(layers.signature(x)), "o": Out(layers.signature(y))})
        self._used = self.folding.used
        self.depth = self._used + self.folding.latency(kind) + REQUANTIZE_LATENCY
        self.queue = layers.queue(y, 1, Places.needed(self.depth, pace))

    @property
    def work(self) -> int:
        """Cycles that a packet keeps it busy."""
        return self.folding.interval(0)

    @property
    def cycles(self) -> int:
        """Cycles per packet, the initiation interval."""
        return max(self.work, self.size * self.pace)

    @property
    def latency(self) -> int:
        """Cycles from the last beat of a packet in to its last beat out,
        when it meets no other and nothing stalls."""
        return self.deviation.latency + 1 + self.span + super().latency

    @property
    def span(self) -> int:
        """Cycles from the first beat of a packet out to its last: they wait for places in the queue
        if there is a pace."""
        return Places.span(self.queue, self.depth, self.size)

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        return [self._ring, *self.deviation.storage, self.queue.storage]

    @property
    def _ring(self) -> Storage:
        return self.layers.memories.ram("ring", 3 * self.size, self.deviation.x.width)

    @property
    def operands(self) -> tuple[int, int]:
        """Bits of the two operands of a product."""
        node = self.layers.node
        return shape_for(node.arrays["slope"]).width, node.inputs[0].format.width

    @property
    def features(self) -> Features:
        """V and its root, and the elements."""
        width = self.layers.node.inputs[0].format.width
        return {"root": self.deviation.root.width, "sums": self.layers.width, "inputs": width}

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m, queue = self.module(), self.queue
        ring = Ram(m, "ring", self._ring)
        write, read = ring.write, ring.read
        take, leave = Signal(name="take"), Signal(name="leave")
        place, to = Counter(m, self.size, take), Counter(m, 3 * self.size, take)
        packet = self.deviation.of(m, self.i.p.data[0], layer_of(self.i.p), place, take, leave)
        goes_on, go = self._send(m, leave)
        m.d.comb += [
            self.i.ready.eq(self.deviation.open),
            take.eq(self.i.valid & self.i.ready),
            leave.eq(self.deviation.done & ~goes_on),
            write.addr.eq(to.value),
            write.data.eq(self.i.p.data[0]),
            write.en.eq(take),
            read.addr.eq(Counter(m, 3 * self.size, go).value),
        ]
        x = read.data.as_signed() if self.deviation.x.signed else read.data
        tag, sent = (Signal.like(tag_of(self.i.p), name=name) for name in ("tag", "sent"))
        with m.If(place.wraps):
            m.d.sync += tag.eq(tag_of(self.i.p))
        with m.If(leave):
            m.d.sync += sent.eq(tag)
        m.d.comb += [
            queue.i.p.data[0].eq(self._result(m, x, packet, leave)),
            tag_of(queue.i.p).eq(delay(m, sent, self.depth)),
            queue.i.valid.eq(delay(m, go, self.depth, reset_less=False)),
        ]
        return m

    def _send(self, m: Module, leave: Value) -> tuple[Value, Value]:
        """Two flags: the packet has elements to read after this cycle's,
        and one is read in this cycle."""
        reading, go = Signal(name="reading"), Signal(name="go")
        sent = Counter(m, self.size, go)
        places = Places(m, self.queue, go)
        m.d.comb += go.eq(reading & places.free)
        goes_on = reading & ~sent.wraps
        m.d.sync += reading.eq(goes_on | leave)
        return goes_on, go

    def _result(self, m: Module, x: Value, packet: Packet, leave: Value) -> Value:
        """y, of an element per cycle after it is read.

        The first element of a packet is read in the cycle after it leaves, at the earliest,
        and the last of the packet before in that cycle, at the latest.
        """
        deviation, root, multiplied = self.deviation, self.deviation.root, times_latency(self.size)

        def common(value: Value, cycles: int) -> Value:
            """A value of the packet, for an element ``cycles`` after it is read."""
            kept = Signal.like(value, reset_less=True)
            with m.If(delay(m, leave, cycles, reset_less=False)):
                m.d.sync += kept.eq(value)
            return kept

        # S may belong to the next packet 3 cycles after this one leaves;
        # the other values change later.
        total, d = (
            common(delay(m, packet.total, multiplied), 2 + multiplied),
            Signal(deviation.shifted, name="d"),
        )
        whole = delay(m, times(m, delay(m, x, 1), self.size) - total, 1)
        shift, inverse = common(packet.shift, 3 + multiplied), common(packet.inverse, self._used)
        m.d.comb += d.eq(
            shift_left(m, whole, shift, deviation.most, len(d) + root.drop) >> root.drop
        )
        product = self.folding.multiplier(self.kind).multiply(m, d, inverse)
        return requantize(m, product, root.f_bits, deviation.format)

    def timing(self, o: Beats, **sinks: Beats) -> list[Process]:
        """When its beats move. Inside, a packet comes with its last element,
        and leaves to be sent once its root is there."""
        root = Beats()
        return [Process(self._gather, *sinks.values(), root), *super().timing(o, root=root)]

    def _gather(self, i: Beats, root: Beats) -> Cycles:
        cycle, waits = -1, -1
        for packet in count():
            for beat in range(packet * self.size, (packet + 1) * self.size):
                cycle = max(cycle + 1, (yield from known(i.offered, beat)))
                if packet and beat % self.size == self.size - 1:
                    cycle = max(cycle, (yield from known(root.taken, packet - 1)) + 1)
                cycle += cycle == waits
                i.taken.append(cycle)
            root.offered.append(cycle)
            waits = cycle + self.deviation.takes_turn

    def begin(self, queued: Beats, o: Beats, root: Beats) -> Cycles:
        """A packet is sent once its root is there."""
        read = -1
        for packet in count():
            read = max(read, (yield from known(root.offered, packet)) + self.deviation.latency)
            root.taken.append(read)
            for beat in range(packet * self.size, (packet + 1) * self.size):
                read = yield from self.queue.place(o, beat, read + 1)
                queued.offered.append(read + self.depth)
