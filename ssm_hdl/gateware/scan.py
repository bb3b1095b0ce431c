# amaranth: UnusedElaboratable=no
"""Gateware of the diagonal scan."""

from itertools import count
from typing import Self

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.wiring import In, Out

from ssm_hdl.gateware.arithmetic import delay
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.layers import Layers, Nodes, Registers, Table
from ssm_hdl.gateware.memories import Ram, Storage, shape_for
from ssm_hdl.gateware.multiplier import DSP
from ssm_hdl.gateware.operands import PARTS
from ssm_hdl.gateware.queue import Places
from ssm_hdl.gateware.recurrence import Issue, Recurrence
from ssm_hdl.gateware.scan_folding import ScanFolding
from ssm_hdl.gateware.stage import Features, FoldedStage, StagePlan
from ssm_hdl.gateware.stream import layer_of, tag_of
from ssm_hdl.gateware.timing import Beats, Cycles, known
from ssm_hdl.operations import Node


class Scan(FoldedStage):
    """h'[c, n] = Abar[c, n] h[c, n] + 2**e[c, n] u[c], complex, rounded once;
    h = 0 before the first step of a sequence.

    The state lives in a memory with one read and one write per cycle. It is not cleared: the first
    step of a sequence (after reset or after a step marked ``last``) ignores the words that it
    reads. The memory holds the states of all layers, each padded to a power of two of words.

    Cycles per step: ``C / channels * ceil(N / modes) * max(phases, pace)``, and at least
    ``loop = 6 + product + phases``. Latency, last beat in to last beat out:
    ``6 + product + queue``.

    ``product = max(multiplier + sum + align, drive + delta - 1)``: until the product has the scale
    of all modes, and until its addend is there. ``sum`` is 1 for complex products by three of real
    numbers. ``align`` is the shift of the products to one scale, 0 if they have one or the
    multipliers shift (see `Scales`). ``drive`` is the shift of u by e. ``delta`` is 1 in delta
    form. docs/stages.md has all names.

    Args:
        nodes: the bound operation, or one for each of several layers.
        which: folding, one of `ScanFolding.choices`, by its name or how many multipliers
            work side by side.
        kind: kind of multiplier, `DSP` or `LUT`.
        pace: cycles between results that are enough;
            the queue at the end is only as deep as they need.

    Attributes:
        loop: cycles from reading a state to having written it.

    Members:
        i: u, ``channels`` elements per beat, real and imaginary parts in turn if it is complex.
        o: h', ``2 * modes`` numbers per beat, real and imaginary parts in turn. If several channels
            are side by side with some of their modes, so they are in a beat. The packet then has
            the folding's order, and only a `Dense` whose groups lie alike can read it.
            The last beat of a channel is filled up with any numbers.
    """

    folds = ScanFolding
    reads_last = True
    takes_evenly = True
    folding: ScanFolding

    @classmethod
    def build(cls, layers: Layers, plan: StagePlan) -> Self:
        """With the folding, the multipliers and the pace of a plan."""
        return cls(layers, plan.folding, plan.kind, plan.pace)

    @classmethod
    def o_channels(cls, node: Node) -> int:
        """The channels of the state."""
        return int(node.arrays["scale"].shape[0])

    def __init__(self, nodes: Nodes, which: int | str = 1, kind: str = DSP, pace: int = 1) -> None:
        self.layers = layers = Layers.of(nodes)
        self.kind, self.folding = kind, (folding := ScanFolding.of(nodes, which))
        (u,), h = layers.node.inputs, layers.node.output
        super().__init__(
            {
                "i": In(layers.signature(u, folding.i_lanes)),
                "o": Out(layers.signature(h, folding.o_lanes)),
            }
        )
        self.recurrence = Recurrence(layers, folding, kind)
        self.depth = self.recurrence.latency
        product = folding.latency(kind)
        self._cycles, self.loop = (
            max(folding.interval(product), folding.words * pace),
            folding.loop(product),
        )
        self.queue = layers.queue(
            h, folding.o_lanes, Places.needed(self.loop, max(folding.phases, pace))
        )

    @property
    def cycles(self) -> int:
        """Cycles per step, the initiation interval."""
        return self._cycles

    @property
    def tables(self) -> dict[str, Table]:
        """The tables that may be in SPRAM, by the name of their storage."""
        return self.recurrence.tables

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        return [*self.recurrence.storage, self._kept, self.queue.storage]

    @property
    def _kept(self) -> Storage:
        """The memory of the states."""
        return self.layers.memories.ram(
            "state", self._states, self.layers.format.width * self.folding.o_lanes
        )

    @property
    def operands(self) -> tuple[int, int]:
        """Bits of the two operands of a product."""
        node = self.layers.node
        return shape_for(node.arrays["code"]).width, node.output.format.width

    @property
    def features(self) -> Features:
        """The parts of the states side by side: their products, sums,
        shifts and what the options of the scan add."""
        f, layers, recurrence = self.folding, self.layers, self.recurrence
        parts = (2 if f.phases == 1 else 1) * f.modes
        raised = recurrence.scales.raised
        return {
            "parts": parts,
            "turns": parts * layers.format.width * (f.phases > 1),
            "products": parts * sum(self.operands),
            "sums": parts * layers.width,
            "shifts": parts * layers.width * recurrence.scales.latency,
            "raised": parts * (layers.format.width + raised) * (raised > 0),
            "drives": parts * layers.width * recurrence.drives.latency,
            "delta": parts * layers.width * recurrence.op.delta,
            "dither": parts * recurrence.op.dither,
            "ahead": f.cycles < self.loop,
        }

    @property
    def _states(self) -> int:
        """Words of the memory of states."""
        return (self.layers.count - 1 << (self.folding.words - 1).bit_length()) + self.folding.words

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = self.module()
        f, queue, bits, cycles = self.folding, self.queue, self.layers.format.width, self.depth
        written = Signal()
        issue = self._issue(m, written)

        state = Ram(m, "state", self._kept)
        read, write = state.read, state.write
        m.d.comb += [read.addr.eq(issue.word), read.en.eq(issue.go)]
        # nothing stands between a slow block RAM and the register
        ahead = int(self.layers.memories.fast)
        kept, fresh = delay(m, read.data, 1 - ahead), delay(m, issue.fresh, 2 - ahead)
        kept = delay(m, Mux(fresh, 0, kept), ahead)
        h = [kept.word_select(i, bits).as_signed() for i in range(PARTS * f.modes)]
        stored = Cat(self.recurrence.next(m, issue, self.i.p, h))
        m.d.comb += [
            write.addr.eq(
                Cat(
                    Counter(m, self.folding.words, written).value,
                    delay(m, layer_of(self.i.p), cycles),
                )
            ),
            write.data.eq(stored),
            written.eq(delay(m, issue.final, cycles, reset_less=False)),
            write.en.eq(written),
            Value.cast(queue.i.p.data).eq(stored),
            tag_of(queue.i.p).eq(delay(m, tag_of(self.i.p), cycles)),
            queue.i.valid.eq(write.en),
        ]
        return m

    def _issue(self, m: Module, written: Value) -> Issue:
        """Take u while its modes are read, word by word,
        each when its result has a place in the queue."""
        f = self.folding
        layer = layer_of(self.i.p)
        fresh = Registers(m, "fresh", 1, 1, self.layers.count, layer)
        able, go, final, begin = (
            Signal(name="able"),
            Signal(name="go"),
            Signal(name="final"),
            Signal(name="begin"),
        )
        phase = Counter(m, f.phases, go)
        beat, word = Counter(m, f.words_per_beat, final), Counter(m, f.words, final)
        places = Places(m, self.queue, begin)
        early = Signal()
        # a step is shorter than the loop: with all words read and not yet written, the next waits
        if f.cycles < self.loop:
            ahead = Signal(range(f.words + 1))
            m.d.sync += ahead.eq(ahead + begin - written)
            m.d.comb += early.eq(ahead == f.words)
        m.d.comb += [
            able.eq(~phase.first | (places.free & ~early)),
            go.eq(self.i.valid & able),
            begin.eq(go & phase.first),
            final.eq(go & phase.last),
            self.i.ready.eq(able & phase.last & beat.last),
        ]
        with m.If(word.wraps):
            fresh.set(self.i.p.last)
        return Issue(
            go, Cat(word.value, layer), phase.value, fresh.value, final, beat.wraps, word.wraps
        )

    def begin(self, queued: Beats, o: Beats, i: Beats) -> Cycles:
        """A word is read when its result has a place and its states are written."""
        ended, stored, f = -1, queued.offered, self.folding
        loops, phases, words = f.words if f.cycles < self.loop else 0, f.phases, f.words_per_beat
        for beat in count():
            ended = max(ended, (yield from known(i.offered, beat)) - 1)
            for word in range(beat * words, (beat + 1) * words):
                begun = yield from self.queue.place(o, word, ended + 1)
                if loops and word >= loops:
                    begun = max(begun, stored[word - loops] + 1)
                ended = begun + phases - 1
                stored.append(ended + self.depth)
            i.taken.append(ended)
