# amaranth: UnusedElaboratable=no
"""Gateware of a dense that idles: one multiplier, row by row."""

from itertools import count
from typing import NamedTuple, Self

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib.wiring import In, Out

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import Codes
from ssm_hdl.gateware.arithmetic import delay, saturated
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.dense_folding import DenseFolding
from ssm_hdl.gateware.layers import Layers, Nodes, Table
from ssm_hdl.gateware.memories import Ram, Storage, shape_for
from ssm_hdl.gateware.multiplier import DSP
from ssm_hdl.gateware.operands import factors
from ssm_hdl.gateware.queue import Places
from ssm_hdl.gateware.stage import Features, FoldedStage, StagePlan
from ssm_hdl.gateware.stream import shape_of, tag_of
from ssm_hdl.gateware.timing import Beats, Cycles, Process, known
from ssm_hdl.operations import Node


class Source(NamedTuple):
    """Where a row finds its numbers.

    Attributes:
        number: the number of a slot, when its weight is read.
        tag: the tag of its packet, in the cycle of the slot.
        there: the number of the next slot is there.
        filled: all numbers of the next row are.
    """

    number: Value
    tag: Value
    there: Value
    filled: Value


class CompactDense(FoldedStage):
    """y[g, m] = sum_n W[g, m, n] x[g, n] + b[g, m], rounded once, for a dense that idles:
    row by row, in one running sum.

    The running sum is in the DSP block, where its adder holds the sum (`Multiplier.accumulates`):
    so the dense is little more than counters, what rounds and one result that waits. A row takes a
    slot for its bias and one for each column. Exponents of rows are in the weights:
    the table holds them shifted. The constant that rounds is in the bias.

    A packet of several columns and rows is kept in a memory of two packets, since every row reads
    all of it. With one row for each group, x is multiplied as it comes; with one column,
    it stays at the door for all rows.

    Cycles per step: ``G M max(N + 1, pace)``. Latency, last beat in to last beat out:
    ``read + sum + queue`` cycles if x is not kept; otherwise ``N + 1`` more, and those from the
    first row to the last (`span`).

    Args:
        nodes: the bound operation, or one for each of several layers; one group,
            or one row for each.
        kind: kind of multiplier, `DSP` or `LUT`.
        pace: cycles between results that are enough;
            the queue at the end is only as deep as they need.
        even: its reader keeps a result until it has worked with it, as a scan or a dense does:
            that has a place more.

    Members:
        i: x, a number per beat.
        o: y, a number per beat.
    """

    folds = DenseFolding
    folding: DenseFolding

    @classmethod
    def compacts(cls, layers: Layers, plan: StagePlan) -> bool:
        """One multiplier in a DSP block that holds the sum, and one group, or one row for each."""
        folding = DenseFolding.of(layers, plan.folding)
        if folding.multipliers > 1 or plan.kind != DSP or min(folding.shape[:2]) > 1:
            return False
        stage = cls.build(layers, plan)
        return layers.family.dsp.accumulates(*stage._factors, layers.offset_width)

    @classmethod
    def build(cls, layers: Layers, plan: StagePlan) -> Self:
        """With the multiplier and the pace of a plan."""
        return cls(layers, plan.kind, plan.pace, plan.even)

    def __init__(self, nodes: Nodes, kind: str = DSP, pace: int = 1, even: bool = False) -> None:
        self.layers, self.kind = (layers := Layers.of(nodes)), kind
        (x,), y = layers.node.inputs, layers.node.output
        self.folding = DenseFolding.of(nodes, 1)
        super().__init__({"i": In(layers.signature(x)), "o": Out(layers.signature(y))})
        groups, rows, self._columns = self.folding.shape
        if groups > 1 and rows > 1:
            raise SsmHdlError(
                f"{layers.node.name}: {groups} groups of {rows} rows have no compact form; "
                "a group may have one row"
            )
        self._rows = groups * rows
        self._kept = rows > 1 and self._columns > 1
        self._least = min(
            int(node.arrays["scale"].min()) + lift
            for node, lift in zip(layers.nodes, layers.lift, strict=True)
        )
        self._weight, self._bias = layers.table(self._weights), layers.table(self._biases)
        self._multiplier = layers.family.multiplier(kind)
        self._read = 2 - layers.memories.fast
        self.depth = self._read + self._multiplier.sum_latency(*self._factors)
        self._slots = self._columns + 1
        self._flight = self._columns + self.depth
        self._pace = max(self._slots, pace)
        more = even or rows == 1  # one that takes x as it comes does not let it wait for a place
        self.queue = layers.queue(y, 1, Places.needed(self._flight, self._pace, least=1) + more)

    @property
    def cycles(self) -> int:
        """Cycles per packet, the initiation interval."""
        return self._rows * self._pace

    @property
    def work(self) -> int:
        """Cycles that a packet keeps it busy."""
        return self._rows * self._slots

    @property
    def holds(self) -> int:
        """Cycles in which it works with a beat before it takes the next."""
        return 1 if self._columns > 1 else self.folding.shape[1] * self._slots

    @property
    def burst(self) -> int:
        """Cycles from the first result that the last beat completes to the last result."""
        return self.span if self._kept else 0

    @property
    def span(self) -> int:
        """Cycles from the first row of a packet to the last:
        as fast as slots and places in the queue let them."""
        back = self._flight + self.queue.latency + Places.latency
        return (self._rows - 1) * self._slots + (self._rows - 1) // self.queue.depth * max(
            0, back - self.queue.depth * self._slots
        )

    @property
    def latency(self) -> int:
        """Cycles from the last beat of a packet in to its last beat out,
        when it meets no other and nothing stalls."""
        return (1 + self.span + self._columns if self._kept else 0) + super().latency

    @property
    def tables(self) -> dict[str, Table]:
        """The tables that may be in SPRAM, by the name of their storage."""
        return {"weight": self._weight}

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        own = [self._weight.storage("weight"), self._bias.storage("bias"), self.queue.storage]
        return [*own, *([self._packets] if self._kept else [])]

    @property
    def _packets(self) -> Storage:
        """The memory of two packets."""
        return self.layers.memories.ram(
            "packets", 2 << self._bits, shape_of(self.layers.node.inputs[0]).width
        )

    @property
    def operands(self) -> tuple[int, int]:
        """Bits of the two operands of a product."""
        a, b = map(Shape.cast, self._factors)
        return a.width, b.width

    @property
    def features(self) -> Features:
        """Its input, and the sum where it is in logic."""
        in_block = self.kind == DSP and self._multiplier.accumulates(
            *self._factors, self.layers.offset_width
        )
        return {**super().features, "sums": self.layers.offset_width * (not in_block)}

    @property
    def _bits(self) -> int:
        """Bits of a place in a packet."""
        return (self._columns - 1).bit_length()

    @property
    def _factors(self) -> tuple[Shape, Shape]:
        """What the multiplier multiplies: shifted weights, and x shifted by what all rows are."""
        x = shape_of(self.layers.node.inputs[0])
        return shape_for(self._weight.codes), Shape(x.width + self._least, x.signed)

    def _weights(self, node: Node, lift: int) -> Codes:
        """The shifted codes of a layer, (words, 1)."""
        spread = node.arrays["scale"].reshape(-1, 1) + lift - self._least
        return (factors(node).reshape(self._rows, self._columns) << spread).reshape(-1, 1)

    def _biases(self, node: Node, lift: int) -> Codes:
        """What the sums of a layer begin with, (rows, 1)."""
        half = 1 << self.layers.drop - 1 if self.layers.drop > 0 else 0
        return (node.arrays["bias"].reshape(-1, 1) << lift) + half

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m, queue = self.module(), self.queue
        running, start, step = Signal(name="running"), Signal(name="start"), Signal(name="step")
        places = Places(m, queue, start)
        column = Counter(m, self._columns, step)
        row = Counter(m, self._rows, column.wraps)
        source = self._source(m, column, row, running)
        m.d.comb += [
            start.eq(~running & places.free & source.filled),
            step.eq(running & source.there),
        ]
        m.d.sync += running.eq(start | (running & ~column.wraps))

        layer = source.tag[1:]
        whole = self._columns & self._columns - 1 == 0 or self._rows == 1
        word = (
            Cat(column.value, row.value)
            if whole
            else Counter(m, self._rows * self._columns, step).value
        )
        read = self._weight.read if self.layers.memories.fast else self._weight.read_late
        (weight,) = read(m, "weights", Cat(word, layer))
        to_load = self.depth - 1  # to where a product is added, and a bias taken
        # a row stays for its slots, so its bias is hardly delayed
        early = max(0, to_load - 1 - self._read - self._columns)
        place = Cat(delay(m, row.value, early), delay(m, layer, early))
        (bias,) = (self._bias.read if self.layers.memories.fast else self._bias.read_late)(
            m, "bias", place
        )
        adds = delay(m, running, to_load, reset_less=False)
        stalled = (
            delay(m, running & ~source.there, to_load)
            if not isinstance(source.there, Const)
            else Const(0)
        )
        number = source.number.shift_left(self._least)
        total = self._multiplier.accumulate(
            m, weight, number, bias, ~adds, stalled, self.layers.offset_width
        )
        m.d.comb += [
            queue.i.p.data[0].eq(saturated(m, total, self.layers.drop, self.layers.format)),
            tag_of(queue.i.p).eq(delay(m, source.tag, self.depth)),
            queue.i.valid.eq(~adds & delay(m, adds, 1, reset_less=False)),
        ]
        return m

    def _source(self, m: Module, column: Counter, row: Counter, running: Value) -> Source:
        """Where the numbers of the rows are."""
        if self._kept:
            return self._memory(m, column, row)
        number, one = self.i.p.data[0], self.folding.shape[1] > 1
        m.d.comb += self.i.ready.eq(running & (row.last if one else 1))
        return Source(
            delay(m, number, self._read),
            tag_of(self.i.p),
            Const(1) if one else self.i.valid,
            self.i.valid,
        )

    def _memory(self, m: Module, column: Counter, row: Counter) -> Source:
        """A memory of two packets: one is read while the next comes."""
        packets = Ram(m, "packets", self._packets)
        takes, filled, write, read = (
            Signal(name="takes"),
            Signal(2, name="filled"),
            Signal(name="write"),
            Signal(name="read"),
        )
        place = Counter(m, self._columns, takes)
        tags = [Signal(len(tag_of(self.i.p)), reset_less=True, name=f"tag_{k}") for k in range(2)]
        m.d.comb += [
            self.i.ready.eq(~filled[1]),
            takes.eq(self.i.valid & self.i.ready),
            packets.write.addr.eq(Cat(place.value, write)),
            packets.write.data.eq(self.i.p.data[0]),
            packets.write.en.eq(takes),
            packets.read.addr.eq(Cat(column.value, read)),
        ]
        m.d.sync += [write.eq(write ^ place.wraps), read.eq(read ^ row.wraps)]
        with m.If(place.wraps & ~row.wraps):
            m.d.sync += filled.eq(Cat(1, filled[0]))
        with m.Elif(row.wraps & ~place.wraps):
            m.d.sync += filled.eq(filled[1])
        for k, tag in enumerate(tags):
            with m.If(takes & (write == k)):
                m.d.sync += tag.eq(tag_of(self.i.p))
        number = (
            packets.read.data.as_signed()
            if self.i.p.data.shape().elem_shape.signed
            else packets.read.data
        )
        return Source(
            delay(m, number, self._read - 1), Mux(read, tags[1], tags[0]), Const(1), filled[0]
        )

    def timing(self, o: Beats, **sinks: Beats) -> list[Process]:
        """When its beats move, and whole packets where they are kept."""
        if not self._kept:
            return super().timing(o, **sinks)
        packets = Beats()  # offered once they are whole, taken when the last row has read them
        return [Process(self._keep, *sinks.values(), packets), *super().timing(o, packets=packets)]

    def _keep(self, i: Beats, packets: Beats) -> Cycles:
        cycle = -1
        for packet in count():
            if packet > 1:
                cycle = max(cycle, (yield from known(packets.taken, packet - 2)))
            for beat in range(packet * self._columns, (packet + 1) * self._columns):
                cycle = max(cycle + 1, (yield from known(i.offered, beat)))
                i.taken.append(cycle)
            packets.offered.append(cycle + 1)

    def begin(self, queued: Beats, o: Beats, x: Beats) -> Cycles:
        """A row is begun when its numbers and a place are there,
        or the first of them if it takes them."""
        slot, stays = -1, self.folding.shape[1] > 1
        for row in count():
            beat = row // self._rows if stays else row * self._columns
            slot = max(slot + 1, (yield from known(x.offered, beat)))
            slot = yield from self.queue.place(o, row, slot)
            if stays:
                slot += self._columns
                if row % self._rows == self._rows - 1:
                    x.taken.append(slot)
            else:
                for number in range(beat, beat + self._columns):
                    slot = max(slot + 1, (yield from known(x.offered, number)))
                    x.taken.append(slot)
            queued.offered.append(slot + self.depth)
