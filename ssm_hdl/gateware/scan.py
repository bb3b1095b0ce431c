# amaranth: UnusedElaboratable=no
"""Gateware of the diagonal scan."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ssm_hdl.gateware import multiplier
from ssm_hdl.gateware.arithmetic import Storage, delay
from ssm_hdl.gateware.folding import PARTS, ScanFolding
from ssm_hdl.gateware.recurrence import Issue, Recurrence
from ssm_hdl.gateware.stream import Counter, Places, Queue, shape_of, signature
from ssm_hdl.operations import Node


class Scan(wiring.Component):
    """h'[c, n] = Abar[c, n] h[c, n] + 2**e[c, n] u[c], complex, rounded once; h = 0 before the first step of a sequence.

    The state lives in a memory with one read and one write a cycle; it is not cleared, the first step of a sequence (after reset
    or after a step marked ``last``) ignores what it reads.

    Cycles per step: ``4 C N / multipliers``, at least ``loop``, the cycles from reading a state to having written it.
    Latency, last beat in to last beat out: ``6 + multiplier + align + queue`` cycles, ``align`` being those that bring the
    products of different modes to one scale, 0 if they have one.

    Args:
        node: the bound operation.
        multipliers: how many work side by side, one of `ScanFolding.choices`.
        kind: kind of multiplier, one of `multiplier.KINDS`.

    Attributes:
        cycles: cycles per step, the initiation interval.
        loop: cycles from reading a state to having written it.

    Members:
        i: u, ``channels`` elements a beat, real and imaginary parts in turn if it is complex.
        o: h', ``2 * modes`` numbers a beat, real and imaginary parts in turn.
    """

    def __init__(self, node: Node, multipliers: int = 1, kind: str = "dsp") -> None:
        self.node = node
        self.folding = folding = ScanFolding.of(node, multipliers)
        u, h = shape_of(node.inputs[0]), shape_of(node.output)
        super().__init__({"i": In(signature(u, folding.i_lanes)), "o": Out(signature(h, folding.o_lanes))})
        self.recurrence = Recurrence(node, folding, kind)
        product = multiplier.latency(kind, h)
        self.cycles, self.loop = folding.interval(product), folding.loop(product)
        self.queue = Queue(h, folding.o_lanes, Places.needed(self.loop, folding.phases))

    @property
    def work(self) -> int:
        """Cycles that a packet keeps it busy."""
        return self.folding.cycles

    @property
    def sinks(self) -> list[stream.Interface]:
        """The one stream in."""
        return [self.i]

    @property
    def latency(self) -> int:
        """Cycles from the last beat of a step in to its last beat out, when nothing stalls."""
        return self.recurrence.latency + self.queue.latency

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        state = Storage("state", self.folding.words, self.node.output.format.width * self.folding.o_lanes, True)
        return [*self.recurrence.storage, state, self.queue.storage]

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        f, queue, bits, cycles = self.folding, self.queue, self.node.output.format.width, self.recurrence.latency
        m.submodules.queue = queue
        connect(m, queue.o, flipped(self.o))
        written = Signal()
        issue = self._issue(m, written)

        m.submodules.state = state = memory.Memory(shape=PARTS * bits * f.modes, depth=f.words, init=[])
        read, write = state.read_port(), state.write_port()
        m.d.comb += [read.addr.eq(issue.word), read.en.eq(issue.go)]
        fresh = delay(m, issue.fresh, 1)
        h = [Mux(fresh, 0, read.data.word_select(i, bits)).as_signed() for i in range(PARTS * f.modes)]
        stored = Cat(self.recurrence.next(m, issue, self.i.p, h))
        m.d.comb += [
            write.addr.eq(delay(m, issue.word, cycles)),
            write.data.eq(stored),
            written.eq(delay(m, issue.final, cycles, reset_less=False)),
            write.en.eq(written),
            Value.cast(queue.i.p.data).eq(stored),
            queue.i.p.last.eq(delay(m, self.i.p.last, cycles)),
            queue.i.valid.eq(write.en),
        ]
        return m

    def _issue(self, m: Module, written: Value) -> Issue:
        """Take u while its modes are read, word by word, each when its result has a place in the queue."""
        f = self.folding
        fresh, able, go, final, begin = Signal(init=1), Signal(), Signal(), Signal(), Signal()
        phase = Counter(m, f.phases, go)
        beat, word = Counter(m, f.words_per_beat, final), Counter(m, f.words, final)
        places = Places(m, self.queue, begin)
        early = Signal()
        if f.cycles < self.loop:  # a step is shorter than the loop: with all words read and not yet written, the next waits
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
            m.d.sync += fresh.eq(self.i.p.last)
        return Issue(go, word.value, phase.value, fresh, final, word.wraps)
