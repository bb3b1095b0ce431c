# amaranth: UnusedElaboratable=no
"""Gateware of the diagonal scan."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.fixed import Codes
from ssm_hdl.gateware import multiplier
from ssm_hdl.gateware.arithmetic import Rom, Storage, delay, requantize
from ssm_hdl.gateware.stream import Counter, Places, Queue, shape_of, signature
from ssm_hdl.operations import Node

_PARTS = 2  # real and imaginary
_PRODUCTS = 4  # of a complex product
_READ = 2  # cycles to read a state and to register it
_FINISH = 4  # to bring products together, add the drive, round and saturate


@dataclass(frozen=True)
class ScanFolding:
    """How the C x N complex products fall onto multipliers: ``modes`` of them side by side, or one in ``phases`` cycles."""

    shape: tuple[int, int]
    modes: int
    phases: int

    @classmethod
    def of(cls, node: Node, multipliers: int) -> "ScanFolding":
        """The folding onto a number of multipliers.

        Raises:
            SsmHdlError: the number does not divide the work evenly; the message lists those that do.
        """
        for folding in cls.choices(node):
            if folding.multipliers == multipliers:
                return folding
        valid = ", ".join(str(folding.multipliers) for folding in cls.choices(node))
        raise SsmHdlError(f"{node.name}: cannot fold onto {multipliers} multipliers; it can onto {valid}")

    @classmethod
    def choices(cls, node: Node) -> list["ScanFolding"]:
        """Every folding: 1 or 2 multipliers for a mode, 4 for each of several modes, up to all modes of all channels."""
        channels, modes = shape = node.arrays["shift"].shape
        serial = [cls(shape, 1, phases) for phases in (4, 2)]
        within = [cls(shape, n, 1) for n in range(1, modes + 1) if modes % n == 0]
        across = [cls(shape, c * modes, 1) for c in range(2, channels + 1) if channels % c == 0]
        return serial + within + across

    @property
    def multipliers(self) -> int:
        """Multipliers side by side."""
        return self.modes * _PRODUCTS // self.phases

    @property
    def o_lanes(self) -> int:
        """Numbers in a beat of the output."""
        return _PARTS * self.modes

    @property
    def words(self) -> int:
        """Memory words of a step."""
        return self.shape[0] * self.shape[1] // self.modes

    @property
    def cycles(self) -> int:
        """Cycles in which the memory words of a step are read."""
        return self.words * self.phases

    def loop(self, product: int) -> int:
        """Cycles from reading a state to having written it, with a multiplier that takes ``product``."""
        return _READ + product + _FINISH + self.phases

    def interval(self, product: int) -> int:
        """Cycles per step, with a multiplier that takes ``product``."""
        return max(self.cycles, self.loop(product))

    @property
    def channels(self) -> int:
        """Channels side by side: elements of u in a beat."""
        return max(1, self.modes // self.shape[1])

    @property
    def words_per_beat(self) -> int:
        """Memory words that one beat of u drives."""
        return self.words * self.channels // self.shape[0]


class Scan(wiring.Component):
    """h'[c, n] = Abar[c, n] h[c, n] + 2**e[c, n] u[c], complex, rounded once; h = 0 before the first step of a sequence.

    The state lives in a memory with one read and one write a cycle; it is not cleared, the first step of a sequence (after reset
    or after a step marked ``last``) ignores what it reads.

    Cycles per step: ``4 C N / multipliers``, at least ``loop``, the cycles from reading a state to having written it.
    Latency, last beat in to last beat out: ``6 + multiplier + queue`` cycles.

    Args:
        node: the bound operation.
        multipliers: how many work side by side, one of `ScanFolding.choices`.
        kind: kind of multiplier, one of `multiplier.KINDS`.

    Attributes:
        cycles: cycles per step, the initiation interval.
        loop: cycles from reading a state to having written it.

    Members:
        i: u, ``channels`` numbers a beat.
        o: h', ``2 * modes`` numbers a beat, real and imaginary parts in turn.
    """

    def __init__(self, node: Node, multipliers: int = 1, kind: str = "dsp") -> None:
        self.node, self.kind = node, kind
        self.folding = folding = ScanFolding.of(node, multipliers)
        u, h = shape_of(node.inputs[0]), shape_of(node.output)
        super().__init__(
            {"i": In(signature(u, folding.channels)), "o": Out(signature(h, folding.o_lanes))}
        )
        product = multiplier.latency(kind, h)
        self._to_product = _READ + product
        self._to_part = self._to_product + _FINISH
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
        return self._to_part + self.queue.latency

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        f = self.folding
        state = Storage("state", f.words, self.node.output.format.width * f.o_lanes, True)
        return [Storage.rom("transition", self.transition()), Storage.rom("shift", self.shift()), state, self.queue.storage]

    def transition(self) -> Codes:
        """Words of Abar in the order of their use, (words, 2 * modes)."""
        return self.node.arrays["transition"].reshape(self.folding.words, -1)

    def shift(self) -> Codes:
        """Words of shifts beyond the least, (words, modes)."""
        shift = self.node.arrays["shift"]
        return (shift - shift.min()).reshape(self.folding.words, -1)

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        f, queue, bits = self.folding, self.queue, self.node.output.format.width
        m.submodules.queue = queue
        connect(m, queue.o, flipped(self.o))
        written = Signal()
        go, word, phase, fresh, final = self._issue(m, written)

        m.submodules.state = state = memory.Memory(shape=_PARTS * bits * f.modes, depth=f.words, init=[])
        read, write = state.read_port(), state.write_port()
        m.d.comb += [read.addr.eq(word), read.en.eq(go)]
        poles = Rom(m, "transition", self.transition(), word, go).numbers
        states = [Mux(delay(m, fresh, 1), 0, read.data.word_select(i, bits)).as_signed() for i in range(_PARTS * f.modes)]
        drives = self._drives(m, word, go)
        now = delay(m, phase, 1)
        parts = []
        for mode in range(f.modes):
            pole, h = poles[2 * mode : 2 * mode + 2], states[2 * mode : 2 * mode + 2]
            parts += self._mode(m, now, pole, h, drives[mode])

        stored = Cat(parts)
        m.d.comb += [
            write.addr.eq(delay(m, word, self._to_part)),
            write.data.eq(stored),
            written.eq(delay(m, final, self._to_part, reset_less=False)),
            write.en.eq(written),
            Value.cast(queue.i.p.data).eq(stored),
            queue.i.p.last.eq(delay(m, self.i.p.last, self._to_part)),
            queue.i.valid.eq(write.en),
        ]
        return m

    def _issue(self, m: Module, written: Value) -> tuple[Value, Value, Value, Value, Value]:
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
        return go, word.value, phase.value, fresh, final

    def _drives(self, m: Module, word: Value, go: Value) -> list[Value]:
        """2**e u of every mode, at the scale of the products and in time to be added to them; a shift in three steps."""
        shift = self.node.arrays["shift"]
        least, cycles = int(shift.min()), self._to_product  # the table and u take the first cycle
        bits = int(shift.max() - least).bit_length()
        width = self.node.accumulator.width - least  # holds every drive, by the bound
        amounts = Rom(m, "shift", self.shift(), word, go).numbers
        drives = []
        for mode, amount in enumerate(amounts):
            u, amount = delay(m, self.i.p.data[mode // self.folding.shape[1]], 1), amount[:bits]
            step = -(-bits // 3)
            for low in range(0, bits, max(step, 1)):
                shifted = u << Cat(Const(0, low), amount[low : low + step])
                u, amount = delay(m, shifted[:width].as_signed(), 1), delay(m, amount, 1)
            stages = 1 + (-(-bits // step) if bits else 0)
            drives.append(delay(m, u, 1 + cycles - stages) << least)
        return drives

    def _mode(self, m: Module, phase: Value, pole: list[Value], h: list[Value], drive: Value) -> list[Value]:
        """The two parts of the next state of one mode, in the same cycle."""
        f = self.folding
        re, im = 0, 1
        if f.phases == 1:
            pole, h = [delay(m, part, 1) for part in pole], [delay(m, part, 1) for part in h]
            real = self._product(m, pole[re], h[re]) - self._product(m, pole[im], h[im])
            imaginary = self._product(m, pole[re], h[im]) + self._product(m, pole[im], h[re])
            return [self._finish(m, real, drive), self._finish(m, imaginary, Const(0))]
        part = delay(m, phase[-1], self._to_product - 1)  # 0 while real parts are made, then 1
        if f.phases == 2:
            swap = phase[0]
            first = self._product(m, delay(m, pole[re], 1), delay(m, Mux(swap, h[im], h[re]), 1))
            second = self._product(m, delay(m, pole[im], 1), delay(m, Mux(swap, h[re], h[im]), 1))
        else:
            a = Mux(phase[0], pole[im], pole[re])
            b = Mux(phase[0] ^ phase[1], h[im], h[re])
            second = self._product(m, delay(m, a, 1), delay(m, b, 1))
            first = delay(m, second, 1)
        stored = self._finish(m, Mux(part, first + second, first - second), Mux(delay(m, part, 1), 0, drive))
        return [delay(m, stored, f.phases // 2), stored]

    def _product(self, m: Module, pole: Value, h: Value) -> Value:
        return multiplier.multiply(m, self.kind, pole, h)

    def _finish(self, m: Module, product: Value, drive: Value) -> Value:
        """Add the drive, round and saturate, in a cycle each."""
        accumulator, format = self.node.accumulator, self.node.output.format
        total = Signal(Shape(accumulator.width, True), reset_less=True)
        m.d.sync += total.eq(delay(m, product, 1) + drive)
        return requantize(m, total, accumulator.f_bits, format)
