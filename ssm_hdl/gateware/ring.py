# amaranth: UnusedElaboratable=no
"""The way round a set of stages that serves all layers of a model:
packets pass it once for each layer."""

from functools import partial
from itertools import count

from amaranth.hdl import Module, Mux, Shape, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.memories import Memories, Storage
from ssm_hdl.gateware.queue import Queue
from ssm_hdl.gateware.stream import Component, layer_of, signature, tag_of
from ssm_hdl.gateware.timing import Beats, Cycles, Process, known

WAITING = 2
"""Packets that may wait to be let in: one is gathered while another goes in."""


class Ring(Component):
    """Lets packets into the stages at layer 0, sends them back in at the next layer,
    and out after the last.

    Returning packets go first. A new packet enters only when it is complete, and only while fewer
    than ``flight`` are on their way. The queue of returning packets has room for all of them, so
    packets can always leave the stages. At every layer, packets keep the order of their first
    entry. Beats of different packets are never mixed.

    Cycles per packet let in: ``beats + 1``, so ``layers * (beats + 1)`` per step. Latency:
    ``1 + queue`` cycles from the first beat that comes round to its entry, 2 from the last beat of
    a new packet to the entry of its first, 0 to the outside.

    Args:
        shape: shape of a number.
        lanes: numbers in a beat.
        beats: beats in a packet.
        layers: times that a packet goes round, 2 at least.
        flight: packets on their way at once.
        luts_below: see `Memories`.

    Members:
        i: packets from outside.
        entry: packets to the stages, with the layer that they are at.
        back: packets from the stages.
        o: packets to the outside.
    """

    replaces = 3
    """Cycles from the last beat of a packet after the last layer to the entry of the first beat of
    a packet that waits."""

    def __init__(
        self, shape: Shape, lanes: int, beats: int, layers: int, flight: int, luts_below: int = 0
    ) -> None:
        self.beats, self.layers, self.flight = beats, layers, flight
        outside, inside = signature(shape, lanes), signature(shape, lanes, layers)
        super().__init__(
            {"i": In(outside), "entry": Out(inside), "back": In(inside), "o": Out(outside)}
        )
        memories = Memories(luts_below=luts_below)
        self.waiting = Queue(shape, lanes, WAITING * beats, memories=memories)
        self.loop = Queue(shape, lanes, flight * beats, layers, memories=memories)

    @property
    def cycles(self) -> int:
        """Cycles per time step, the initiation interval."""
        return self.layers * (self.beats + 1)

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        return [self.waiting.storage, self.loop.storage]

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        m.submodules.waiting = waiting = self.waiting
        m.submodules.loop = loop = self.loop
        leaves = self._exit(m, loop.i)
        gathered = Counter(m, self.beats, self.i.valid & self.i.ready)
        m.d.comb += [
            waiting.i.payload.eq(self.i.payload),
            waiting.i.valid.eq(self.i.valid),
            self.i.ready.eq(waiting.i.ready),
        ]
        self._enter(m, gathered.wraps, leaves)
        return m

    def _enter(self, m: Module, gathered: Value, leaves: Value) -> None:
        """Choose who goes in next, and keep to it until the last beat is in."""
        busy, new, go, begin = (
            Signal(name="busy"),
            Signal(name="new"),
            Signal(name="go"),
            Signal(name="begin"),
        )
        whole = Signal(range(WAITING + 1))  # packets that wait and are all there
        free = Signal(range(self.flight + 1), init=self.flight)
        beat = Counter(m, self.beats, go)
        waiting, loop, entry = self.waiting.o, self.loop.o, self.entry
        m.d.comb += [
            entry.payload.eq(loop.payload),
            entry.valid.eq(busy & Mux(new, waiting.valid, loop.valid)),
            waiting.ready.eq(busy & new & entry.ready),
            loop.ready.eq(busy & ~new & entry.ready),
            go.eq(entry.valid & entry.ready),
            begin.eq(~busy & ~loop.valid & (whole != 0) & (free != 0)),
        ]
        with m.If(new):
            m.d.comb += [entry.p.data.eq(waiting.p.data), tag_of(entry.p).eq(waiting.p.last)]
        with m.If(~busy):
            m.d.sync += [busy.eq(loop.valid | begin), new.eq(~loop.valid)]
        with m.Elif(beat.wraps):
            m.d.sync += busy.eq(0)
        m.d.sync += [whole.eq(whole + gathered - begin), free.eq(free + leaves - begin)]

    def _exit(self, m: Module, loop: stream.Interface) -> Value:
        """Send a packet out, or round to the next layer;
        true when the last beat of one goes out."""
        back, layer = self.back, layer_of(self.back.p)
        ends = layer == self.layers - 1
        leaving = Counter(m, self.beats, self.o.valid & self.o.ready)
        m.d.comb += [
            self.o.p.data.eq(back.p.data),
            self.o.p.last.eq(back.p.last),
            self.o.valid.eq(back.valid & ends),
            loop.p.data.eq(back.p.data),
            loop.p.last.eq(back.p.last),
            loop.p.layer.eq(layer + 1),
            loop.valid.eq(back.valid & ~ends),
            back.ready.eq(Mux(ends, self.o.ready, loop.ready)),
        ]
        return leaving.wraps

    def timing(self, i: Beats, entry: Beats, back: Beats, o: Beats) -> list[Process]:
        """When its beats move."""
        new, comes, again = (Beats() for _ in range(3))
        layers: list[int] = []  # of every packet, in the order in which they enter
        return [
            *self.waiting.timing(i, new),
            *self.loop.timing(comes, again),
            Process(partial(self._part, layers), back, o, comes),
            Process(partial(self._choose, layers), i, new, again, o, entry, chooses=True),
        ]

    def _part(self, layers: list[int], back: Beats, o: Beats, comes: Beats) -> Cycles:
        """Returning packets go out or round."""
        for beat in count():
            cycle = yield from known(back.offered, beat)
            branch = comes if layers[beat // self.beats] < self.layers - 1 else o
            branch.offered.append(cycle)
            back.taken.append((yield from known(branch.taken, len(branch.offered) - 1)))

    def _choose(
        self, layers: list[int], i: Beats, new: Beats, again: Beats, o: Beats, entry: Beats
    ) -> Cycles:
        """The next packet that enters: one that comes round if it is there,
        else a new one as soon as that is let in."""
        idle, beats = 0, self.beats  # the first cycle in which it may choose
        while True:
            fresh = layers.count(0)
            came = len(layers) - fresh
            # packets are on their way round
            rounds = sum(layer < self.layers - 1 for layer in layers) > came
            needs = [
                (i.taken, (fresh + 1) * beats - 1),
                (o.taken, (fresh + 1 - self.flight) * beats - 1),
            ]
            last = False  # beats not yet known come later than known ones
            while True:
                lacks = [(cycles, beat) for cycles, beat in needs if len(cycles) <= beat]
                begins = max(
                    [idle, *(cycles[beat] + 1 for cycles, beat in needs if 0 <= beat < len(cycles))]
                )
                if rounds and len(again.offered) > came * beats:
                    begins_again = max(idle, again.offered[came * beats])
                    if begins_again <= begins or not lacks or last:
                        rounds = begins_again <= begins or bool(lacks)
                        begins = begins_again if rounds else begins
                        break
                elif not lacks and (last or not rounds):
                    rounds = False
                    break
                else:
                    lacks = [(again.offered, came * beats), *lacks] if rounds else lacks
                last = bool((yield lacks[0]))
            start, stream = (came, again) if rounds else (fresh, new)
            looped = [layer + 1 for layer in layers if layer < self.layers - 1]
            layers.append(looped[came] if rounds else 0)
            moved = begins
            for beat in range(start * beats, (start + 1) * beats):
                while len(stream.offered) <= beat:  # whoever says that nothing else moves
                    yield stream.offered, beat
                entry.offered.append(max(stream.offered[beat], moved + 1))
                while len(entry.taken) < len(entry.offered):
                    yield entry.taken, len(entry.offered) - 1
                moved = entry.taken[-1]
                stream.taken.append(moved)
            idle = moved + 1
