# amaranth: UnusedElaboratable=no
"""Gateware of the selective scan."""

from itertools import count
from typing import Self

from amaranth.hdl import Cat, Module, Signal, Value
from amaranth.lib.wiring import In, Out

from ssm_hdl.functions import LEAK_SHIFT
from ssm_hdl.gateware.arithmetic import delay
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.layers import Layers, Nodes, Registers, Table
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.multiplier import DSP
from ssm_hdl.gateware.queue import Places
from ssm_hdl.gateware.rows import Rows
from ssm_hdl.gateware.selective_folding import PRODUCTS, SelectiveFolding
from ssm_hdl.gateware.selective_recurrence import Issue, SelectiveRecurrence
from ssm_hdl.gateware.shift import shift_latency
from ssm_hdl.gateware.stage import SINKS, Features, FoldedStage, StagePlan
from ssm_hdl.gateware.stream import layer_of, shape_of, tag_of
from ssm_hdl.gateware.timing import Beats, Cycles, Process, known


class Selective(FoldedStage):
    """h' = h - h G(rate + alpha) + v B 2**e, rounded once, and y = C h', rounded once;
    h = 0 before the first step of a sequence.

    A word is the modes side by side of a channel. Rate and v wait at the door while the words of
    their channel are begun; B and C are held in `Rows`, as each channel reads them. The state is
    read late, when its leak is there, so the loop is short. It is not cleared: the first step of a
    sequence ignores what it reads.

    Cycles per step: ``max(C * N / modes, C * pace, N, loop)``, ``loop = 8 + multiplier``, of the
    product h m. Latency, last beat of rate in to last beat out: ``depth + queue``,
    see docs/stages.md.

    Args:
        nodes: the bound operation, or one for each of several layers.
        which: folding, one of `SelectiveFolding.choices`, by its name or how many multipliers
            work side by side.
        kind: kind of multiplier, `DSP` or `LUT`.
        pace: cycles between results that are enough;
            the queue at the end is only as deep as they need.

    Attributes:
        loop: cycles from reading a state until it may be read again.

    Members:
        i, j, k, l: rate, v, B and C, a number per beat.
        o: y, a number per beat.
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
        self.kind, self.pace, self.folding = kind, pace, (f := SelectiveFolding.of(nodes, which))
        inputs, y = layers.node.inputs, layers.node.output
        members = {
            name: In(layers.signature(edge)) for name, edge in zip(SINKS, inputs, strict=True)
        }
        super().__init__({**members, "o": Out(layers.signature(y))})
        self.recurrence = recurrence = SelectiveRecurrence(layers, f, kind)
        self.depth, self.loop = recurrence.latency, f.loop(f.latency(kind))
        b, c = (shape_of(edge) for edge in inputs[2:])
        self._b, self._c = (
            Rows(name, shape, f.shape[1], f.modes, late, layers.memories)
            for name, shape, late in (("b", b, recurrence.driven), ("c", c, recurrence.stored))
        )
        self.queue = layers.queue(y, 1, Places.needed(self.depth, max(f.groups, pace)))

    @property
    def cycles(self) -> int:
        """Cycles per step, the initiation interval."""
        return max(
            self.folding.interval(self.folding.latency(self.kind)),
            self.folding.shape[0] * self.pace,
        )

    @property
    def tables(self) -> dict[str, Table]:
        """The table that may be in SPRAM."""
        return {"alpha": self.recurrence.alpha}

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        return [*self.recurrence.storage, self._b.storage, self._c.storage, self.queue.storage]

    @property
    def operands(self) -> tuple[int, int]:
        """Bits of the two operands of a product, the means of the three."""
        a, b = (
            sum(pair[k].width for pair in self.recurrence.operands) // PRODUCTS for k in range(2)
        )
        return a, b

    @property
    def features(self) -> Features:
        """The modes side by side: their sums, and the shifts of their leaks."""
        f, recurrence = self.folding, self.recurrence
        sums = f.modes * recurrence.width
        return {
            "inputs": sum(edge.format.width for edge in self.layers.node.inputs),
            "sums": sums,
            "shifts": sums * shift_latency(LEAK_SHIFT),
            "drives": sums * recurrence.late.latency,
            "tree": (f.modes - 1) * max(each.output.width for each in recurrence.sums),
        }

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m, queue, recurrence = self.module(), self.queue, self.recurrence
        there = Signal()
        issue = self._issue(m, there)
        b, c = (
            rows.read(m, port, issue.go, issue.done)
            for rows, port in ((self._b, self.k), (self._c, self.l))
        )
        m.d.comb += there.eq(b.there & c.there)
        states = recurrence.next(m, issue, self.i.p.data[0], self.j.p.data[0], b.numbers)
        m.d.comb += [
            queue.i.p.data[0].eq(recurrence.read_out(m, issue, states, c.numbers)),
            tag_of(queue.i.p).eq(delay(m, tag_of(self.i.p), self.depth)),
            queue.i.valid.eq(delay(m, issue.final, self.depth, reset_less=False)),
        ]
        return m

    def _issue(self, m: Module, there: Value) -> Issue:
        """Begin word by word of a channel while B and C are there,
        the last one when its result has a place in the queue."""
        f, layer = self.folding, layer_of(self.i.p)
        fresh = Registers(m, "fresh", 1, 1, self.layers.count, layer)
        go, able, final = Signal(name="go"), Signal(name="able"), Signal(name="final")
        group, word = Counter(m, f.groups, go), Counter(m, f.cycles, go)
        channel = Counter(m, f.shape[0], final)
        places = Places(m, self.queue, final)
        early = Signal()
        # a step is shorter than the loop: with all words read and not yet written, the next waits
        if f.cycles < self.loop:
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
        return Issue(
            go,
            group.first,
            final,
            word.wraps,
            fresh.value,
            Cat(word.value, layer),
            Cat(channel.value, layer),
            layer,
        )

    def timing(self, o: Beats, **sinks: Beats) -> list[Process]:
        """When its beats move: B and C are held while the words of all channels are begun."""
        rate, drive, *packets = sinks.values()
        rows = [Beats(), Beats()]
        loads = [
            Process(each.take, i, row)
            for each, i, row in zip((self._b, self._c), packets, rows, strict=True)
        ]
        return [*loads, *super().timing(o, rate=rate, drive=drive, b=rows[0], c=rows[1])]

    def begin(
        self, queued: Beats, o: Beats, rate: Beats, drive: Beats, b: Beats, c: Beats
    ) -> Cycles:
        """A word is begun when all it reads is there, and the last of a channel when its
        result has a place."""
        f, begun, words = self.folding, -1, list[int]()
        for beat in count():
            begun = max(
                begun,
                (yield from known(rate.offered, beat)) - 1,
                (yield from known(drive.offered, beat)) - 1,
            )
            step, channel = divmod(beat, f.shape[0])
            if channel == 0:
                begun = max(
                    begun,
                    (yield from known(b.offered, step)) - 1,
                    (yield from known(c.offered, step)) - 1,
                )
            for group in range(f.groups):
                begun += 1
                if f.cycles < self.loop and len(words) >= f.cycles:
                    begun = max(begun, words[-f.cycles] + self.loop)
                if group == f.groups - 1:
                    begun = yield from self.queue.place(o, beat, begun)
                words.append(begun)
            rate.taken.append(begun)
            drive.taken.append(begun)
            queued.offered.append(begun + self.depth)
            if channel == f.shape[0] - 1:
                b.taken.append(begun)
                c.taken.append(begun)
