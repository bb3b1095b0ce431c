# amaranth: UnusedElaboratable=no
"""Gateware of the selective scan."""

from collections.abc import Callable
from itertools import count
from typing import NamedTuple, Self

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib.wiring import In, Out

from ssm_hdl.functions import LEAK, LEAK_MANTISSA, LEAK_SHIFT, leak
from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY, delay, floor, requantize, tree, tree_latency
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.layers import Layers, Nodes, Registers, Table, choose
from ssm_hdl.gateware.memories import Ram, Storage
from ssm_hdl.gateware.multiplier import DSP
from ssm_hdl.gateware.queue import Places
from ssm_hdl.gateware.rows import Rows
from ssm_hdl.gateware.selective_folding import DRIVEN, LEAKED, PRODUCTS, READ_OUT, SelectiveFolding, drives
from ssm_hdl.gateware.shift import shift_latency, shift_left
from ssm_hdl.gateware.stage import SINKS, Features, FoldedStage, StagePlan
from ssm_hdl.gateware.stream import layer_of, shape_of, tag_of
from ssm_hdl.gateware.timing import Beats, Cycles, Process, known
from ssm_hdl.operations import Selective as Operation
from ssm_hdl.operations.selective import LEAK_UP, OFFSET, Sums

_ADDRESS = 1 + REQUANTIZE_LATENCY
"""Cycles from rate and alpha to the address of the leak."""

_READ = 2
"""Cycles to read a memory and register what it reads."""


class Issue(NamedTuple):
    """The word that is begun in a cycle, if any.

    Attributes:
        go: a word is begun.
        first: it is the first of its channel.
        final: a word is begun, and it is the last of its channel.
        done: and the channel is the last of its step.
        fresh: the step is the first of its sequence.
        word: which word of the step, and on top of it of which layer.
        channel: which channel, and of which layer.
    """

    go: Value
    first: Value
    final: Value
    done: Value
    fresh: Value
    word: Value
    channel: Value


class Selective(FoldedStage):
    """h' = h - h G(rate + alpha) + v B 2**e, rounded once, and y = C h', rounded once; h = 0 before the first step of a sequence.

    A word is the modes side by side of a channel. Rate and v wait at the door while the words of their channel are begun; B and
    C are held in `Rows`, as each channel reads them. The state is read late, when its leak is there, so the loop is short. It is
    not cleared: the first step of a sequence ignores what it reads.

    Cycles per step: ``max(C * N / modes, C * pace, N, loop)``, ``loop = 8 + multiplier``, of the product h m.
    Latency, last beat of rate in to last beat out: ``depth + queue``, see docs/stages.md.

    Args:
        nodes: the bound operation, or one for each of several layers.
        which: folding, one of `SelectiveFolding.choices`, by its name or how many multipliers work side by side.
        kind: kind of multiplier, `DSP` or `LUT`.
        pace: cycles between results that are enough; the queue at the end is only as deep as they need.

    Attributes:
        loop: cycles from reading a state until it may be read again.

    Members:
        i, j, k, l: rate, v, B and C, a number a beat.
        o: y, a number a beat.
    """

    folds = SelectiveFolding
    reads_last = True
    takes_evenly = True
    folding: SelectiveFolding

    @classmethod
    def build(cls, layers: Layers, plan: StagePlan) -> Self:
        """With the folding, the multipliers and the pace of a plan."""
        return cls(layers, plan.folding, plan.kind, plan.pace)

    def __init__(self, nodes: Nodes, which: int | str = 1, kind: str = DSP, pace: int = 1) -> None:
        self.layers = layers = Layers.of(nodes)
        assert isinstance(layers.node.op, Operation)
        self.op, self.kind, self.pace, self.folding = layers.node.op, kind, pace, (f := SelectiveFolding.of(nodes, which))
        inputs, y = layers.node.inputs, layers.node.output
        members = {name: In(layers.signature(edge)) for name, edge in zip(SINKS, inputs, strict=True)}
        super().__init__({**members, "o": Out(layers.signature(y))})
        self._sums = [Sums.of(node) for node in layers.nodes]
        self._operands, (self._early, self._late) = f.operands(kind), drives(layers, kind)
        self._least = min(int(node.arrays["shift"].min()) for node in layers.nodes)
        self._alpha = layers.table(lambda node, lift: node.arrays["code"].reshape(f.cycles, f.modes))
        self._leak = Table([leak_words()], layers.fast)
        products = [f.cycles_of(kind, product) for product in range(PRODUCTS)]
        # The cycles, from the one in which a word is begun, in which its leak, the v of its drive and its addend are there.
        shift, drive = shift_latency(LEAK_SHIFT), _READ + 1 + self._early.latency
        ready = _READ + _ADDRESS + _READ
        driven = products[DRIVEN] + self._late.latency + 1
        self._wait = max(0, drive + driven - (ready + products[LEAKED] + shift))
        self._leaked = ready + self._wait
        self._added = self._leaked + products[LEAKED] + shift
        self._driven = self._added - driven
        self._stored = self._added + 1 + REQUANTIZE_LATENCY
        self._summed = self._stored + products[READ_OUT] + tree_latency(f.modes)
        self.depth = self._summed + (f.groups > 1) + REQUANTIZE_LATENCY
        self.loop = f.loop(products[LEAKED])
        b, c = (shape_of(edge) for edge in inputs[2:])
        self._b, self._c = (
            Rows(name, shape, f.shape[1], f.modes, late) for name, shape, late in (("b", b, self._driven), ("c", c, self._stored))
        )
        self.queue = layers.queue(y, 1, Places.needed(self.depth, max(f.groups, pace)))

    @property
    def cycles(self) -> int:
        """Cycles per step, the initiation interval."""
        return max(self.folding.interval(self.folding.latency(self.kind)), self.folding.shape[0] * self.pace)

    @property
    def tables(self) -> dict[str, Table]:
        """The table that may be in SPRAM."""
        return {"alpha": self._alpha}

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        f = self.folding
        state = Storage("state", self._states, f.modes * self.op.state.width, True, written=True)
        tables = [
            self._alpha.storage("alpha"),
            *[self._leak.storage("leak")] * f.modes,
            *self._early.storage("early"),
            *self._late.storage("late"),
        ]
        return [*tables, state, self._b.storage, self._c.storage, self.queue.storage]

    @property
    def operands(self) -> tuple[int, int]:
        """Bits of the two operands of a product, the means of the three."""
        a, b = (sum(pair[k].width for pair in self._operands) // PRODUCTS for k in range(2))
        return a, b

    @property
    def features(self) -> Features:
        """The modes side by side: their sums, and the shifts of their leaks."""
        f, sums = self.folding, self.folding.modes * self._width
        return {
            "inputs": sum(edge.format.width for edge in self.layers.node.inputs),
            "sums": sums,
            "shifts": sums * shift_latency(LEAK_SHIFT),
            "drives": sums * self._late.latency,
            "tree": (f.modes - 1) * max(each.output.width for each in self._sums),
        }

    @property
    def _states(self) -> int:
        """Words of the memory of states."""
        return (self.layers.count - 1 << (self.folding.cycles - 1).bit_length()) + self.folding.cycles

    @property
    def _width(self) -> int:
        """Bits of the state before it is rounded, the half included."""
        return max(each.state.width for each in self._sums) + 1

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m, f, queue, modes = self.module(), self.folding, self.queue, range(self.folding.modes)
        there = Signal()
        issue = self._issue(m, there)
        b, c = (rows.read(m, port, issue.go, issue.done) for rows, port in ((self._b, self.k), (self._c, self.l)))
        m.d.comb += there.eq(b.there & c.there)
        leaks = self._leaks(m, issue)
        h, keep = self._state(m, issue)
        products = self._multiply(m, LEAKED, [(h[n], leaks[n][:LEAK_MANTISSA]) for n in modes])
        amounts = [delay(m, leaks[n][LEAK_MANTISSA:], f.latency(self.kind)) for n in modes]
        drives = self._drives(m, issue, b.numbers)
        stored = []
        for n in modes:
            leaked = shift_left(m, products[n], amounts[n], LEAK_SHIFT, self._width)
            # The half of the rounding falls on bits that are zero in the shifted state, so adding it is free.
            kept = Cat(Const(1 << LEAK_UP - 1, LEAK_UP), delay(m, h[n], self._added - 1 - self._leaked))
            addend, total = (Signal(Shape(self._width, True), reset_less=True) for _ in range(2))
            number = kept.as_signed() if self.op.state.signed else kept
            m.d.sync += [addend.eq(number + drives[n]), total.eq(addend - leaked)]
            stored.append(floor(m, total, LEAK_UP, self.op.state))
        keep(stored)
        total = self._read_out(m, issue, stored, c.numbers)
        m.d.comb += [
            queue.i.p.data[0].eq(total),
            tag_of(queue.i.p).eq(delay(m, tag_of(self.i.p), self.depth)),
            queue.i.valid.eq(delay(m, issue.final, self.depth, reset_less=False)),
        ]
        return m

    def _issue(self, m: Module, there: Value) -> Issue:
        """Begin word by word of a channel while B and C are there, the last one when its result has a place in the queue."""
        f, layer = self.folding, layer_of(self.i.p)
        fresh = Registers(m, "fresh", 1, 1, self.layers.count, layer)
        go, able, final = Signal(), Signal(), Signal()
        group, word = Counter(m, f.groups, go), Counter(m, f.cycles, go)
        channel = Counter(m, f.shape[0], final)
        places = Places(m, self.queue, final)
        early = Signal()
        if f.cycles < self.loop:  # a step is shorter than the loop: with all words read and not yet written, the next waits
            ahead = Signal(range(f.cycles + 1))
            m.d.sync += ahead.eq(ahead + go - delay(m, go, self.loop - 1, reset_less=False))
            m.d.comb += early.eq(ahead == f.cycles)
        m.d.comb += [
            able.eq(there & ~early & (places.free | ~group.last)),
            go.eq(able & self.i.valid & self.j.valid),
            final.eq(go & group.last),
            self.i.ready.eq(able & group.last & self.j.valid),
            self.j.ready.eq(able & group.last & self.i.valid),
        ]
        with m.If(word.wraps):
            fresh.set(self.i.p.last)
        return Issue(go, group.first, final, word.wraps, fresh.value, Cat(word.value, layer), Cat(channel.value, layer))

    def _leaks(self, m: Module, issue: Issue) -> list[Value]:
        """The leak of every mode: its mantissa, and on top of it the left shift of its product."""
        up = max(each.address.f_bits for each in self._sums)
        rates = [up - node.inputs[0].format.f_bits for node in self.layers.nodes]
        alphas = [up - node.op.alpha.format.f_bits for node in self.layers.nodes if isinstance(node.op, Operation)]
        drop = up - LEAK.f_bits
        offset = (OFFSET << up) + (1 << drop >> 1)
        place = delay(m, issue.word, self._wait)
        cycles = _READ + self._wait
        layer = layer_of(self.i.p)
        rate = delay(m, choose(m, layer, rates, self.i.p.data[0].shift_left) + offset, cycles)
        leaks = []
        for n, alpha in enumerate(self._alpha.read_late(m, "alpha", place)):
            total = delay(m, rate + choose(m, layer, alphas, alpha.shift_left, cycles), 1)
            (entry,) = self._leak.read_late(m, f"leak_{n}", floor(m, total, drop, LEAK).as_unsigned())
            leaks.append(entry)
        return leaks

    def _state(self, m: Module, issue: Issue) -> tuple[list[Value], Callable[[list[Value]], None]]:
        """The states of a word when their leaks are there, and a function that keeps the next ones."""
        f, bits, layer = self.folding, self.op.state.width, layer_of(self.i.p)
        read = self._leaked - _READ
        state = Ram(m, "state", bits * f.modes, self._states)
        place = Counter(m, f.cycles, delay(m, issue.go, read, reset_less=False)).value
        m.d.comb += state.read.addr.eq(Cat(place, delay(m, layer, read)))
        ahead = int(self.layers.fast)  # logic may follow what a fast block RAM reads
        kept = Mux(delay(m, issue.fresh, self._leaked - ahead), 0, delay(m, state.read.data, 1 - ahead))
        word = delay(m, kept, ahead)
        h = [word.word_select(n, bits) for n in range(f.modes)]

        def keep(stored: list[Value]) -> None:
            written = delay(m, issue.go, self._stored, reset_less=False)
            to = Counter(m, f.cycles, written).value
            m.d.comb += [
                state.write.addr.eq(Cat(to, delay(m, layer, self._stored))),
                state.write.data.eq(Cat(stored)),
                state.write.en.eq(written),
            ]

        return [number.as_signed() if self.op.state.signed else number for number in h], keep

    def _drives(self, m: Module, issue: Issue, b: list[Value]) -> list[Value]:
        """v B 2**e of every mode at the scale of the sums, when the addend is made."""
        v, _ = self._operands[DRIVEN]
        early, late = (shifts.read(m, name, issue.channel)[0] for shifts, name in ((self._early, "early"), (self._late, "late")))
        shifted = self._early.apply(m, 0, delay(m, self.j.p.data[0], _READ), early, v.width + (not v.signed))
        shifted = shifted if v.signed else shifted.as_unsigned()[: v.width]
        shifted = delay(m, shifted, self._driven - _READ - self._early.latency)
        amount = delay(m, late, self._added - 1 - self._late.latency - _READ)
        products = self._multiply(m, DRIVEN, [(shifted, number) for number in b])
        drives = [self._late.apply(m, 0, product, amount, self._width - self._least) for product in products]
        return [drive.shift_left(self._least) for drive in drives]

    def _multiply(self, m: Module, product: int, pairs: list[tuple[Value, Value]]) -> list[Value]:
        """One of the three products of every mode."""
        return self.folding.multiplier(self.kind, product).multiply_all(m, pairs, *self._operands[product])

    def _read_out(self, m: Module, issue: Issue, stored: list[Value], c: list[Value]) -> Value:
        """y, when all words of its channel are summed."""
        f, layers, late = self.folding, self.layers, self._summed
        drops = [sums.output.f_bits - node.output.format.f_bits for sums, node in zip(self._sums, layers.nodes, strict=True)]
        lifts = [max(drops) - drop for drop in drops]
        products = self._multiply(m, READ_OUT, list(zip(stored, c, strict=True)))
        part = choose(m, layer_of(self.i.p), lifts, tree(m, products).shift_left, late)
        if f.groups > 1:
            width = max(sums.output.width + lift for sums, lift in zip(self._sums, lifts, strict=True))
            total, first = Signal(Shape(width, True), reset_less=True), delay(m, issue.first, late)
            with m.If(delay(m, issue.go, late, reset_less=False)):
                m.d.sync += total.eq(Mux(first, 0, total) + part)
            part = total
        return requantize(m, part, max(drops) + layers.format.f_bits, layers.format)

    def timing(self, o: Beats, **sinks: Beats) -> list[Process]:
        """When its beats move: B and C are held while the words of all channels are begun."""
        rate, drive, *packets = sinks.values()
        rows = [Beats(), Beats()]
        loads = [Process(each.take, i, row) for each, i, row in zip((self._b, self._c), packets, rows, strict=True)]
        return [*loads, *super().timing(o, rate=rate, drive=drive, b=rows[0], c=rows[1])]

    def begin(self, made: Beats, o: Beats, rate: Beats, drive: Beats, b: Beats, c: Beats) -> Cycles:
        """A word is begun when all it reads is there, and the last of a channel when its result has a place."""
        f, begun, words = self.folding, -1, list[int]()
        for beat in count():
            begun = max(begun, (yield from known(rate.offered, beat)) - 1, (yield from known(drive.offered, beat)) - 1)
            step, channel = divmod(beat, f.shape[0])
            if channel == 0:
                begun = max(begun, (yield from known(b.offered, step)) - 1, (yield from known(c.offered, step)) - 1)
            for group in range(f.groups):
                begun += 1
                if f.cycles < self.loop and len(words) >= f.cycles:
                    begun = max(begun, words[-f.cycles] + self.loop)
                if group == f.groups - 1:
                    begun = yield from self.queue.place(o, beat, begun)
                words.append(begun)
            rate.taken.append(begun)
            drive.taken.append(begun)
            made.offered.append(begun + self.depth)
            if channel == f.shape[0] - 1:
                b.taken.append(begun)
                c.taken.append(begun)


def leak_words() -> np.ndarray:
    """The table of leaks by the bit pattern of their address: the mantissa, and on top of it the left shift of a product."""
    mantissa, shift = leak()
    return np.roll(mantissa | (LEAK_SHIFT - shift) << LEAK_MANTISSA, LEAK.min).reshape(-1, 1)
