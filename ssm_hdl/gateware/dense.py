# amaranth: UnusedElaboratable=no
"""Gateware of dense."""

from itertools import count
from typing import Self

import numpy as np
from amaranth.hdl import Cat, Module, Shape, Signal, Value
from amaranth.lib.wiring import In, Out

from ssm_hdl.fixed import Codes
from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY, delay, extended, tree, tree_latency
from ssm_hdl.gateware.compact_dense import CompactDense
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.dense_folding import DenseFolding
from ssm_hdl.gateware.layers import Layers, Nodes, Table
from ssm_hdl.gateware.memories import Storage, pad_edge, shape_for
from ssm_hdl.gateware.multiplier import DSP
from ssm_hdl.gateware.operands import factors
from ssm_hdl.gateware.queue import BURST, Places
from ssm_hdl.gateware.shift import Shifts
from ssm_hdl.gateware.stage import Features, FoldedStage, StagePlan
from ssm_hdl.gateware.stream import layer_of, shape_of, tag_of
from ssm_hdl.gateware.sums import Sums
from ssm_hdl.gateware.timing import Beats, Cycles, known
from ssm_hdl.operations import Node


class Dense(FoldedStage):
    """y[g, m] = sum_n W[g, m, n] x[g, n] + b[g, m], rounded once.

    Column by column: a beat is multiplied by all of its rows, in ``passes`` cycles, and added to
    their sums, before the next comes in. So the products are made while a packet is still coming,
    none of it has to be kept, and the results follow its last beat one after the other,
    in a burst that the queue at the end takes up.

    Cycles per step: ``G M N / multipliers``, M and N being filled up to multiples of the rows and
    the columns side by side; or ``pace`` for each beat of results if that is more.
    Latency, last beat in to last beat out: ``5 + multiplier + levels + align + queue`` cycles,
    ``levels`` of the adder tree over the columns, and ``align`` that bring the rows of a lane to
    one scale, 0 if they have one.

    Args:
        nodes: the bound operation, or one for each of several layers.
        which: folding, one of `DenseFolding.choices`, by its name or how many multipliers
            work side by side.
        kind: kind of multiplier, `DSP` or `LUT`.
        pace: cycles between results that are enough; the queue at the end is only as deep as bursts
            of them need then.
        registers: keep the sums in registers, where block RAMs are scarce.
        even: its reader takes the results one by one, all through the interval, as a scan does:
            the queue holds what comes earlier, or the stage would wait in the middle of a burst.

    Members:
        i: x, ``columns * groups`` numbers per beat; the columns of each group in
            turn, in a beat too. The last of a group may be filled up, with any numbers.
        o: y, ``rows * groups`` numbers per beat, the last filled up with any.
    """

    folds = DenseFolding
    sums_in_registers = True
    folding: DenseFolding

    @classmethod
    def build(cls, layers: Layers, plan: StagePlan) -> Self | CompactDense:
        """With the folding, the multipliers, the pace and the registers of a plan."""
        if plan.compact:
            return CompactDense.build(layers, plan)
        return cls(layers, plan.folding, plan.kind, plan.pace, plan.registers, plan.even)

    @classmethod
    def compacts(cls, layers: Layers, plan: StagePlan) -> bool:
        """See `CompactDense`."""
        return CompactDense.compacts(layers, plan)

    @classmethod
    def i_channels(cls, node: Node) -> int:
        """Its groups."""
        return int(node.arrays["weight"].shape[0])

    def __init__(
        self,
        nodes: Nodes,
        which: int | str = 1,
        kind: str = DSP,
        pace: int = 1,
        registers: bool = False,
        even: bool = False,
    ) -> None:
        self.layers, self.kind, self.pace = Layers.of(nodes), kind, max(pace, 1)
        self.folding = folding = DenseFolding.of(nodes, which)
        layers, (x,), y = self.layers, self.layers.node.inputs, self.layers.node.output
        i_lanes, o_lanes = folding.i_lanes, folding.o_lanes
        super().__init__(
            {"i": In(layers.signature(x, i_lanes)), "o": Out(layers.signature(y, o_lanes))}
        )
        self._weight = layers.table(lambda node, lift: self._words(node))
        self._bias = layers.table(lambda node, lift: self._results(node.arrays["bias"]) << lift)
        self._scale = Shifts(
            layers.table(lambda node, lift: self._results(node.arrays["scale"]) + lift)
        )
        self._to_tree = 2 + folding.latency(kind) + tree_latency(folding.columns)
        self._to_sum = self._to_tree + self._scale.latency
        self.depth = self._to_sum + 1 + REQUANTIZE_LATENCY
        self.sums = (
            Sums(folding.passes, layers.width * o_lanes, registers, layers.memories)
            if folding.beats > 1
            else None
        )
        # There are some BURST * pace cycles for a result. As far as the stage idles,
        # results may wait, and it with them.
        each = BURST * self.pace
        burst = min(folding.passes, -(-folding.passes * folding.beats // each))
        places = Places.needed(self.depth, max(folding.spacing, pace), burst)
        if even:
            places = max(places, Places.needed(self.depth, each, burst))
        self.queue = layers.queue(y, o_lanes, places)

    @property
    def cycles(self) -> int:
        """Cycles per packet, the initiation interval."""
        return max(self.folding.cycles, self.folding.cycles // self.folding.beats * self.pace)

    @property
    def burst(self) -> int:
        """Cycles from the first result of a beat to its last: one for each,
        or as fast as places in the queue come back."""
        return Places.span(self.queue, self.depth, self.folding.passes)

    @property
    def tables(self) -> dict[str, Table]:
        """The tables that may be in SPRAM, by the name of their storage."""
        return {"weight": self._weight}

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        own = [
            self._weight.storage("weight"),
            self._bias.storage("bias"),
            *self._scale.storage("scale"),
        ]
        return [*own, self.queue.storage, *([self.sums.storage] if self.sums else [])]

    @property
    def operands(self) -> tuple[int, int]:
        """Bits of the two operands of a product."""
        node = self.layers.node
        return shape_for(node.arrays["code"]).width, node.inputs[0].format.width

    @property
    def features(self) -> Features:
        """Operands, adder trees, running sums and the shifts of rows."""
        f, x = self.folding, shape_of(self.layers.node.inputs[0])
        terms, product, sums = f.columns - 1, sum(self.operands), f.o_lanes * self.layers.width
        tree = f.o_lanes * (terms * product + terms.bit_length())
        return {
            "inputs": f.i_lanes * x.width,
            "tree": tree,
            "sums": sums,
            "shifts": sums * self._scale.latency,
        }

    def weights(self) -> Codes:
        """Words of weight codes in the order of their use, as they are multiplied,
        (words, groups * rows * columns)."""
        return self._weight.codes

    def _words(self, node: Node) -> Codes:
        """The words of one layer."""
        f = self.folding
        fill = (0, 0), (0, f.passes * f.rows - f.shape[1]), (0, f.beats * f.columns - f.shape[2])
        filled = np.pad(factors(node).reshape(f.shape), fill)
        split = filled.reshape(f.blocks_of_groups, f.groups, f.passes, f.rows, f.beats, f.columns)
        for kind, columns, _ in f.kinds(self.kind):
            part = np.s_[..., columns.start : columns.stop]
            split[part] = f.family.multiplier(kind).borrow(split[part], 3, f.weights, f.x)
        return split.transpose(0, 4, 2, 1, 3, 5).reshape(f.words, f.multipliers)

    def _results(self, constants: Codes) -> Codes:
        """Constants of the results, (G M), in the order in which they come, (words, lanes):
        the pass at the bottom."""
        f = self.folding
        results = f.blocks_of_groups * f.passes * f.o_lanes
        filled = pad_edge(constants.ravel(), results - constants.size)
        split = filled.reshape(f.blocks_of_groups, f.passes, f.o_lanes)
        padding = (1 << (f.passes - 1).bit_length()) - f.passes if f.blocks_of_groups > 1 else 0
        return pad_edge(split, 0, padding, 0).reshape(-1, f.o_lanes)

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m, queue = self.module(), self.queue
        f, to_sum, width, source = self.folding, self._to_sum, self.layers.width, self.i
        go, first, final, word, ends = self._issue(m)
        weights = self._weight.read_late(m, "weights", word)
        x = [delay(m, number, 2) for number in source.p.data]
        lanes = range(f.groups * f.rows)
        products = self._products(m, weights, x)
        sums = [tree(m, products[lane * f.columns : (lane + 1) * f.columns]) for lane in lanes]
        # to the tables: which result it is, counted there, takes fewer registers than handed on
        late = self._to_tree - 2
        turn = Counter(m, f.passes, delay(m, go, late, reset_less=False))
        block = Counter(m, f.blocks_of_groups, delay(m, ends, late, reset_less=False))
        result = Cat(turn.value, block.value, delay(m, layer_of(source.p), late))
        amounts = self._scale.read(m, "scale", result)
        sums = [self._scale.apply(m, lane, sums[lane], amounts[lane], width) for lane in lanes]
        place, ahead = (
            delay(m, result, self._scale.latency),
            0 if self.sums is None else self.sums.ahead,
        )
        bias = (self._bias.read if ahead else self._bias.read_late)(m, "bias", place)
        totals = self._add(
            m,
            delay(m, go, to_sum, reset_less=False),
            delay(m, first, to_sum - ahead),
            turn.value,
            bias,
            sums,
        )
        for lane, total in enumerate(totals):
            m.d.comb += queue.i.p.data[lane].eq(self.layers.requantize(m, total))
        m.d.comb += [
            tag_of(queue.i.p).eq(delay(m, tag_of(source.p), self.depth)),
            queue.i.valid.eq(delay(m, go & final, self.depth, reset_less=False)),
        ]
        return m

    def _issue(self, m: Module) -> tuple[Value, Value, Value, Value, Value]:
        """Take a beat with all of its rows, pass by pass; the last beat of a group when its
        results have a place."""
        f, source = self.folding, self.i
        go, able, begin = Signal(name="go"), Signal(name="able"), Signal(name="begin")
        turn = Counter(m, f.passes, go)
        beat, word = Counter(m, f.beats, turn.wraps), Counter(m, f.words, go)
        places = Places(m, self.queue, begin)
        m.d.comb += [
            able.eq(~beat.last | places.free),
            go.eq(source.valid & able),
            source.ready.eq(able & turn.last),
            begin.eq(go & beat.last),
        ]
        return go, beat.first, beat.last, Cat(word.value, layer_of(source.p)), beat.wraps

    def _add(
        self, m: Module, go: Value, first: Value, turn: Value, bias: list[Value], sums: list[Value]
    ) -> list[Value]:
        """The totals of the rows at hand, a cycle after their sums;
        with the first beat they begin with the bias."""
        shape = Shape(self.layers.width, True)
        if self.sums is None:
            return [
                delay(m, extended(a + b, shape.width).as_signed(), 1)
                for a, b in zip(bias, sums, strict=True)
            ]
        new = Signal(shape.width * len(sums))
        place = delay(m, turn, self._to_sum - self.sums.latency - (self._to_tree - 2))
        start = Cat(extended(number, shape.width) for number in bias)
        kept = self.sums.keep(m, place, first, start, go, new)
        before = [
            kept.value.word_select(lane, shape.width).as_signed() for lane in range(len(sums))
        ]
        totals = [old + more for old, more in zip(before, sums, strict=True)]
        m.d.comb += new.eq(Cat(total[: shape.width] for total in totals))
        return [kept.newest.word_select(lane, shape.width).as_signed() for lane in range(len(sums))]

    def _products(self, m: Module, weights: list[Value], x: list[Value]) -> list[Value]:
        """The products of every lane, column by column; the rows of a group have the same x."""
        f = self.folding
        numbers = [
            x[k // (f.rows * f.columns) * f.columns + k % f.columns] for k in range(f.multipliers)
        ]
        made: dict[int, Value] = {}
        for kind, columns, cycles in f.kinds(self.kind):
            those = [k for k in range(f.multipliers) if k % f.columns in columns]
            pairs = [(weights[k], numbers[k]) for k in those]
            products = f.family.multiplier(kind).multiply_all(m, pairs, f.weights, f.x, f.rows)
            made |= {
                k: delay(m, product, f.latency(self.kind) - cycles)
                for k, product in zip(those, products, strict=True)
            }
        return [made[k] for k in range(f.multipliers)]

    def begin(self, queued: Beats, o: Beats, i: Beats) -> Cycles:
        """Each beat is multiplied in some passes;
        the passes of the last beat of a group need places."""
        begun, results = -1, count()
        beats, passes = self.folding.beats, self.folding.passes
        for beat in count():
            begun = max(begun, (yield from known(i.offered, beat)) - 1)
            if beat % beats == beats - 1:
                for _ in range(passes):
                    begun = yield from self.queue.place(o, next(results), begun + 1)
                    queued.offered.append(begun + self.depth)
            else:
                begun += passes
            i.taken.append(begun)
