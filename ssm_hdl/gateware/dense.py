# amaranth: UnusedElaboratable=no
"""Gateware of dense."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ssm_hdl.fixed import Codes
from ssm_hdl.gateware import multiplier
from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY, delay, tree, tree_latency
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.folding import DenseFolding
from ssm_hdl.gateware.layers import Layers, Nodes, Table
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.operands import factors
from ssm_hdl.gateware.queue import Places
from ssm_hdl.gateware.replay import Replay
from ssm_hdl.gateware.shift import Shifts
from ssm_hdl.gateware.stream import layer_of, shape_of, tag_of
from ssm_hdl.operations import Node


class Dense(wiring.Component):
    """y[g, m] = sum_n W[g, m, n] x[g, n] + b[g, m], rounded once.

    Cycles per step: ``G M N / multipliers``, or ``pace`` for each result if that is more.
    Latency, last beat in to last beat out: ``5 + multiplier + levels + align + queue`` cycles, ``levels`` being those of the
    adder tree over the columns and ``align`` those that bring the rows of a lane to one scale, 0 if they have one; if the input
    is replayed, because fewer rows than M/G work side by side, ``1 + passes * beats`` more, and another ``(passes - 1) * beats``
    if the group before is still being replayed.

    Args:
        nodes: the bound operation, or those of several layers.
        which: folding, one of `DenseFolding.choices`, by its name or how many multipliers work side by side.
        kind: kind of multiplier, one of `multiplier.KINDS`.
        pace: cycles between results that are enough; the queue at the end is only as deep as they need.

    Members:
        i: x, ``columns * groups`` numbers a beat; the columns of each group in turn, in a beat too.
        o: y, ``rows * groups`` numbers a beat.
    """

    def __init__(self, nodes: Nodes, which: int | str = 1, kind: str = "dsp", pace: int = 1) -> None:
        self.layers, self.kind, self.pace = Layers.of(nodes), kind, max(pace, 1)
        self.folding = folding = DenseFolding.of(nodes, which)
        layers, (x,), y = self.layers, self.layers.node.inputs, self.layers.node.output
        i_lanes, o_lanes = folding.i_lanes, folding.o_lanes
        super().__init__({"i": In(layers.signature(x, i_lanes)), "o": Out(layers.signature(y, o_lanes))})
        self._weight = layers.table(lambda node, lift: self._words(node))
        self._bias = layers.table(lambda node, lift: node.arrays["bias"].reshape(-1, o_lanes) << lift)
        self._scale = Shifts(layers.table(lambda node, lift: node.arrays["scale"].reshape(-1, o_lanes) + lift))
        self._to_tree = 2 + folding.latency(kind) + tree_latency(folding.columns)
        self._to_sum = self._to_tree + self._scale.latency
        self._to_queue = self._to_sum + 1 + REQUANTIZE_LATENCY
        self.replay = None
        if folding.passes > 1:
            self.replay = Replay(shape_of(x), i_lanes, folding.beats, folding.passes, layers.count, layers.marked)
        self.queue = layers.queue(y, o_lanes, Places.needed(folding.beats + self._to_queue, max(folding.beats, pace)))

    @property
    def blocks(self) -> int:
        """DSP blocks."""
        return self.folding.blocks(self.kind)

    @property
    def products(self) -> int:
        """Products of real numbers that its multipliers make for a packet."""
        return self.folding.products

    @property
    def work(self) -> int:
        """Cycles that a packet keeps it busy."""
        return self.folding.cycles

    @property
    def sinks(self) -> list[stream.Interface]:
        """The one stream in."""
        return [self.i]

    @property
    def cycles(self) -> int:
        """Cycles per packet, the initiation interval."""
        return max(self.folding.cycles, self.folding.cycles // self.folding.beats * self.pace)

    @property
    def latency(self) -> int:
        """Cycles from the last beat of a packet in to its last beat out, when it meets no other and nothing stalls."""
        f = self.folding
        behind = f.beats * (f.passes - 1) if f.shape[0] > f.groups else 0
        replay = self.replay.latency + f.beats * f.passes - 1 + behind if self.replay else 0
        return replay + self._to_queue + self.queue.latency

    @property
    def tables(self) -> dict[str, Table]:
        """Those that may be in SPRAM, by the name of their storage."""
        return {"weight": self._weight}

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        own = [self._weight.storage("weight"), self._bias.storage("bias"), *self._scale.storage("scale")]
        return [*own, self.queue.storage, *([self.replay.storage] if self.replay else [])]

    def weights(self) -> Codes:
        """Words of weight codes in the order of their use, layer after layer, (words, groups * rows * columns)."""
        return self._weight.codes

    def _words(self, node: Node) -> Codes:
        """Those of one layer."""
        f = self.folding
        split = factors(node).reshape(-1, f.groups, f.passes, f.rows, f.beats, f.columns)
        return split.transpose(0, 2, 4, 1, 3, 5).reshape(f.words, f.multipliers)

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        f, to_sum, width = self.folding, self._to_sum, self.layers.width
        source = self.i
        if self.replay is not None:
            m.submodules.replay = self.replay
            connect(m, flipped(self.i), self.replay.i)
            source = self.replay.o
        m.submodules.queue = queue = self.queue
        connect(m, queue.o, flipped(self.o))

        go, first, final, word, ends = self._issue(m, source)
        weights = [delay(m, number, 1) for number in self._weight.read(m, "weights", word)]
        x = [delay(m, number, 2) for number in source.p.data]
        lanes = range(f.groups * f.rows)
        products = self._products(m, weights, x)
        sums = [tree(m, products[lane * f.columns : (lane + 1) * f.columns]) for lane in lanes]
        late = self._to_tree - 2  # to the tables: which result it is, counted there, takes fewer registers than handed on
        result = Counter(m, f.words // f.beats, delay(m, ends, late, reset_less=False))
        result = Cat(result.value, delay(m, layer_of(source.p), late))
        amounts = self._scale.read(m, "scale", result)
        sums = [self._scale.apply(m, lane, sums[lane], amounts[lane], width) for lane in lanes]
        bias = self._bias.read_late(m, "bias", delay(m, result, self._scale.latency))
        valid, start = delay(m, go, to_sum, reset_less=False), delay(m, first, to_sum)
        for lane in lanes:
            total = Signal(Shape(width, True), reset_less=True, name=f"total_{lane}")
            with m.If(valid):
                m.d.sync += total.eq(Mux(start, bias[lane], total) + sums[lane])
            m.d.comb += queue.i.p.data[lane].eq(self.layers.requantize(m, total))
        m.d.comb += [
            tag_of(queue.i.p).eq(delay(m, tag_of(source.p), self._to_queue)),
            queue.i.valid.eq(delay(m, go & final, self._to_queue, reset_less=False)),
        ]
        return m

    def _issue(self, m: Module, source: stream.Interface) -> tuple[Value, Value, Value, Value, Value]:
        """Take a beat when there is one and its result has a place; counts the words and the beats of a pass."""
        f, layer = self.folding, layer_of(source.p)
        go, begin = Signal(), Signal()
        beat, word = Counter(m, f.beats, go), Counter(m, f.words, go)
        places = Places(m, self.queue, begin)
        m.d.comb += [
            source.ready.eq(~beat.first | places.free),
            go.eq(source.valid & source.ready),
            begin.eq(go & beat.first),
        ]
        return go, beat.first, beat.last, Cat(word.value, layer), beat.wraps

    def _products(self, m: Module, weights: list[Value], x: list[Value]) -> list[Value]:
        """Those of every lane, column by column; the rows of a group have the same x."""
        f = self.folding
        numbers = [x[k // (f.rows * f.columns) * f.columns + k % f.columns] for k in range(f.multipliers)]
        return multiplier.multiply_all(m, self.kind, list(zip(weights, numbers, strict=True)), f.weights, f.x)
