"""The arithmetic of the selective scan: the next states of the modes of a word,
and their read-out."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value

from ssm_hdl.functions import LEAK, LEAK_MANTISSA, LEAK_SHIFT, leak
from ssm_hdl.gateware.arithmetic import (
    REQUANTIZE_LATENCY,
    delay,
    floor,
    requantize,
    tree,
    tree_latency,
)
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.layers import Layers, Table, choose
from ssm_hdl.gateware.memories import Ram, Storage
from ssm_hdl.gateware.selective_folding import (
    DRIVEN,
    LEAKED,
    PRODUCTS,
    READ_OUT,
    SelectiveFolding,
    drives,
)
from ssm_hdl.gateware.shift import shift_latency, shift_left
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
        layer: which layer.
    """

    go: Value
    first: Value
    final: Value
    done: Value
    fresh: Value
    word: Value
    channel: Value
    layer: Value


class SelectiveRecurrence:
    """h' = h - h m 2**-(8 + k) + v B 2**e and sum C h', for the modes of a word.

    The leak (m, k) needs no state, so the state is read only when the leak is there:
    the loop is short.

    Args:
        layers: the bound selective scans, a layer each.
        folding: their folding.
        kind: kind of multiplier.

    Attributes:
        sums: the formats of the exact sums of every layer.
        operands: what the operands of the three products may be.
        alpha: table of alpha.
        early: the shifts of v.
        late: the shifts of the products v B.
        width: bits of the state before it is rounded, the half included.
        driven: cycles from beginning a word to the B that it reads.
        stored: cycles to its next states, and to the C that it reads.
        latency: cycles to y, from the last word of a channel on.
    """

    def __init__(self, layers: Layers, folding: SelectiveFolding, kind: str) -> None:
        assert isinstance(layers.node.op, Operation)
        self.layers, self.folding, self.kind, self.op = layers, folding, kind, layers.node.op
        self.sums = [Sums.of(node) for node in layers.nodes]
        self.width = max(sums.state.width for sums in self.sums) + 1
        self.operands, (self.early, self.late) = folding.operands(kind), drives(layers, kind)
        self.alpha = layers.table(
            lambda node, lift: node.arrays["code"].reshape(folding.cycles, folding.modes)
        )
        self._leak = Table([leak_words()], layers.memories)
        self._least = min(int(node.arrays["shift"].min()) for node in layers.nodes)
        self._states = (layers.count - 1 << (folding.cycles - 1).bit_length()) + folding.cycles
        leaked, driven, read_out = (folding.cycles_of(kind, product) for product in range(PRODUCTS))
        # to the addend, which v B is in
        leaked, driven = leaked + shift_latency(LEAK_SHIFT), driven + self.late.latency + 1
        ready = _READ + _ADDRESS + _READ  # the leak is there, if the drive does not take longer
        self._wait = max(0, _READ + 1 + self.early.latency + driven - ready - leaked)
        self._leaked = ready + self._wait
        self._added = self._leaked + leaked
        self.driven = self._added - driven
        self.stored = self._added + 1 + REQUANTIZE_LATENCY
        self._summed = self.stored + read_out + tree_latency(folding.modes)
        self.latency = self._summed + (folding.groups > 1) + REQUANTIZE_LATENCY

    @property
    def storage(self) -> list[Storage]:
        """Its tables, and the states of all layers, each padded to a power of two of words."""
        leaks = [self._leak.storage("leak")] * self.folding.modes
        shifts = [*self.early.storage("early"), *self.late.storage("late")]
        return [self.alpha.storage("alpha"), *leaks, *shifts, self._kept]

    @property
    def _kept(self) -> Storage:
        """The memory of the states."""
        return self.layers.memories.ram(
            "state", self._states, self.folding.modes * self.op.state.width
        )

    def next(self, m: Module, issue: Issue, rate: Value, v: Value, b: list[Value]) -> list[Value]:
        """The next states, ``stored`` cycles after a word is begun.

        Args:
            m: the module it goes to.
            issue: the word that is begun.
            rate: the rate of its channel.
            v: the drive of its channel.
            b: the B of its modes, ``driven`` cycles later.
        """
        leaks, (h, keep), drives = (
            self._leaks(m, issue, rate),
            self._state(m, issue),
            self._drives(m, issue, v, b),
        )
        products = self._multiply(
            m,
            LEAKED,
            [(state, entry[:LEAK_MANTISSA]) for state, entry in zip(h, leaks, strict=True)],
        )
        stored = []
        for state, entry, product, drive in zip(h, leaks, products, drives, strict=True):
            amount = delay(m, entry[LEAK_MANTISSA:], self.folding.latency(self.kind))
            leaked = shift_left(m, product, amount, LEAK_SHIFT, self.width)
            # The half of the rounding falls on bits that are zero in the shifted state,
            # so adding it is free.
            kept = Cat(
                Const(1 << LEAK_UP - 1, LEAK_UP), delay(m, state, self._added - 1 - self._leaked)
            )
            addend, total = (
                Signal(Shape(self.width, True), reset_less=True, name=name)
                for name in ("addend", "total")
            )
            m.d.sync += [
                addend.eq((kept.as_signed() if self.op.state.signed else kept) + drive),
                total.eq(addend - leaked),
            ]
            stored.append(floor(m, total, LEAK_UP, self.op.state))
        keep(stored)
        return stored

    def _leaks(self, m: Module, issue: Issue, rate: Value) -> list[Value]:
        """The leak of every mode: its mantissa, and on top of it the left shift of its product."""
        up = max(each.address.f_bits for each in self.sums)
        rates = [up - node.inputs[0].format.f_bits for node in self.layers.nodes]
        alphas = [
            up - node.op.alpha.format.f_bits
            for node in self.layers.nodes
            if isinstance(node.op, Operation)
        ]
        drop = up - LEAK.f_bits
        offset = (OFFSET << up) + (1 << drop >> 1)
        place = delay(m, issue.word, self._wait)
        cycles = _READ + self._wait
        raised = delay(m, choose(m, issue.layer, rates, rate.shift_left) + offset, cycles)
        leaks = []
        for n, alpha in enumerate(self.alpha.read_late(m, "alpha", place)):
            total = delay(m, raised + choose(m, issue.layer, alphas, alpha.shift_left, cycles), 1)
            (entry,) = self._leak.read_late(
                m, f"leak_{n}", floor(m, total, drop, LEAK).as_unsigned()
            )
            leaks.append(entry)
        return leaks

    def _state(self, m: Module, issue: Issue) -> tuple[list[Value], Callable[[list[Value]], None]]:
        """The states of a word when their leaks are there,
        and a function that keeps the next ones."""
        f, bits, layer = self.folding, self.op.state.width, issue.layer
        read = self._leaked - _READ
        state = Ram(m, "state", self._kept)
        place = Counter(m, f.cycles, delay(m, issue.go, read, reset_less=False)).value
        m.d.comb += state.read.addr.eq(Cat(place, delay(m, layer, read)))
        ahead = int(self.layers.memories.fast)  # logic may follow what a fast block RAM reads
        kept = Mux(
            delay(m, issue.fresh, self._leaked - ahead), 0, delay(m, state.read.data, 1 - ahead)
        )
        word = delay(m, kept, ahead)
        h = [word.word_select(n, bits) for n in range(f.modes)]

        def keep(stored: list[Value]) -> None:
            written = delay(m, issue.go, self.stored, reset_less=False)
            to = Counter(m, f.cycles, written).value
            m.d.comb += [
                state.write.addr.eq(Cat(to, delay(m, layer, self.stored))),
                state.write.data.eq(Cat(stored)),
                state.write.en.eq(written),
            ]

        return [number.as_signed() if self.op.state.signed else number for number in h], keep

    def _drives(self, m: Module, issue: Issue, v: Value, b: list[Value]) -> list[Value]:
        """v B 2**e of every mode at the scale of the sums, when the addend is made."""
        shape, _ = self.operands[DRIVEN]
        early, late = (
            shifts.read(m, name, issue.channel)[0]
            for shifts, name in ((self.early, "early"), (self.late, "late"))
        )
        shifted = self.early.apply(
            m, 0, delay(m, v, _READ), early, shape.width + (not shape.signed)
        )
        shifted = shifted if shape.signed else shifted.as_unsigned()[: shape.width]
        shifted = delay(m, shifted, self.driven - _READ - self.early.latency)
        amount = delay(m, late, self._added - 1 - self.late.latency - _READ)
        products = self._multiply(m, DRIVEN, [(shifted, number) for number in b])
        drives = [
            self.late.apply(m, 0, product, amount, self.width - self._least) for product in products
        ]
        return [drive.shift_left(self._least) for drive in drives]

    def _multiply(self, m: Module, product: int, pairs: list[tuple[Value, Value]]) -> list[Value]:
        """One of the three products of every mode."""
        return self.folding.multiplier(self.kind, product).multiply_all(
            m, pairs, *self.operands[product]
        )

    def read_out(self, m: Module, issue: Issue, stored: list[Value], c: list[Value]) -> Value:
        """y, when all words of its channel are summed."""
        f, layers, late = self.folding, self.layers, self._summed
        drops = [
            sums.output.f_bits - node.output.format.f_bits
            for sums, node in zip(self.sums, layers.nodes, strict=True)
        ]
        lifts = [max(drops) - drop for drop in drops]
        products = self._multiply(m, READ_OUT, list(zip(stored, c, strict=True)))
        part = choose(m, issue.layer, lifts, tree(m, products).shift_left, late)
        if f.groups > 1:
            width = max(
                sums.output.width + lift for sums, lift in zip(self.sums, lifts, strict=True)
            )
            total, first = (
                Signal(Shape(width, True), reset_less=True, name="total"),
                delay(m, issue.first, late),
            )
            with m.If(delay(m, issue.go, late, reset_less=False)):
                m.d.sync += total.eq(Mux(first, 0, total) + part)
            part = total
        return requantize(m, part, max(drops) + layers.format.f_bits, layers.format)


def leak_words() -> np.ndarray:
    """The table of leaks by the bit pattern of their address: the mantissa,
    and on top of it the left shift of a product."""
    mantissa, shift = leak()
    return np.roll(mantissa | (LEAK_SHIFT - shift) << LEAK_MANTISSA, LEAK.min).reshape(-1, 1)
