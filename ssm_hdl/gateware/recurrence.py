"""The arithmetic of the diagonal scan: the next states of the modes of a word."""

from typing import NamedTuple, TypeAlias

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import data

from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY, delay
from ssm_hdl.gateware.dither import Dither
from ssm_hdl.gateware.layers import Layers, Table
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.operands import PARTS, SHORT
from ssm_hdl.gateware.scales import Scales
from ssm_hdl.gateware.scan_folding import ScanFolding
from ssm_hdl.gateware.shift import Shifts
from ssm_hdl.gateware.stream import layer_of
from ssm_hdl.operations import Scan as Operation

_READ = 2  # cycles to read a state and to register it
_RE, _IM = 0, 1

Part: TypeAlias = Value | int
"""Which part of a state is at hand: known when its products have multipliers of their own,
a signal when they take turns."""


class Issue(NamedTuple):
    """The word that is read in a cycle, if any.

    Attributes:
        go: a word is read.
        word: which word of the memories, and on top of it of which layer.
        phase: which of the cycles that a word takes.
        fresh: the step is the first of its sequence.
        final: a word is read, and the phase is its last.
        turns: ``final``, and the word is the last of its channels.
        wraps: ``turns``, and the word is the last of its step.
    """

    go: Value
    word: Value
    phase: Value
    fresh: Value
    final: Value
    turns: Value
    wraps: Value


class Recurrence:
    """h' = Abar h + 2**e u, complex, for the modes of a word; ``latency`` cycles after the word is
    read, from its last phase on.

    Where the scales of the modes differ, `Scales` brings the products of a part to one scale. The
    addend of their sum, the drive and in delta form the state, is added up while the multipliers
    work. In delta form the rounding constant falls on bits that are zero in the state,
    so adding it takes no adder.

    Args:
        layers: the bound scans, a layer each.
        folding: its folding.
        kind: kind of multiplier.

    Attributes:
        scales: brings the products to one scale.
        drives: the shifts of the drive.
    """

    def __init__(self, layers: Layers, folding: ScanFolding, kind: str) -> None:
        assert isinstance(layers.node.op, Operation)
        self.layers, self.op, self.folding, self.kind = layers, layers.node.op, folding, kind
        self.scales, self.drives = (
            folding.scales(layers, kind),
            Shifts(folding.amounts(layers, "shift")),
        )
        self._driven = _READ + self.drives.latency
        self._aligned = _READ + folding.latency(kind) + 1
        self._multiplied = self._aligned - self.scales.latency - 1
        self._added = self._aligned + 1
        self.latency = self._added + REQUANTIZE_LATENCY
        # the addend has the offset of the rounding in it
        self._within = self.op.delta and layers.drop > 0
        self._offset = self._driven if self._within else self._added  # the cycle of that
        self._width = layers.offset_width if self._within else layers.width

    @property
    def tables(self) -> dict[str, Table]:
        """Its tables that may be in SPRAM, by the name of their storage."""
        shifts: dict[str, Scales | Shifts] = {"scale": self.scales, "shift": self.drives}
        return {"code": self.scales.codes} | {
            name: shift.table for name, shift in shifts.items() if shift.storage(name)
        }

    @property
    def storage(self) -> list[Storage]:
        """Its tables."""
        return [
            self.scales.codes.storage("code"),
            *self.scales.storage("scale"),
            *self.drives.storage("shift"),
        ]

    def next(self, m: Module, issue: Issue, u: data.View, h: list[Value]) -> list[Value]:
        """The next states.

        Args:
            m: the module it goes to.
            issue: the word that is read.
            u: payload of the input, in the cycle of ``issue``.
            h: the states of the word two cycles later, real and imaginary parts in turn.
        """
        f, modes = self.folding, range(self.folding.modes)
        table, short = self.scales.codes, f.terms == SHORT
        place = delay(m, issue.word, int(short and f.phases == 1))
        codes = table.read_late(m, "code", place) if f.phases <= 2 else table.read(m, "code", place)
        scales, shifts = (
            self.scales.read(m, "scale", issue.word),
            self.drives.read(m, "shift", issue.word),
        )
        numbers = [delay(m, number, 2) for number in u.data]
        dither = self._dither(m, issue, u) if self.op.dither and self.layers.drop else None
        phase = delay(m, issue.phase, 1)
        states = [h[PARTS * mode : PARTS * mode + PARTS] for mode in modes]
        products = self._products(m, phase, codes, states, scales)
        parts = []
        for mode, state in enumerate(states):
            stored = []
            for part, product in self._sums(m, phase, products[mode]):
                aligned = self._align(m, mode, product, scales[mode])
                drive = self._drive(m, mode, _later(m, part, 1), numbers, shifts[mode])
                offset = (
                    dither.offset(mode, _later(m, part, self._offset - 2), self.layers.drop)
                    if dither
                    else None
                )
                total = Signal(Shape(self._width, True), reset_less=True)
                m.d.sync += total.eq(aligned + self._addend(m, part, state, drive, offset))
                stored.append(
                    self.layers.floor(m, total)
                    if self._within
                    else self.layers.requantize(m, total, offset)
                )
            parts += stored if f.phases == 1 else self._both(m, stored[0])
        return parts

    def _drive(self, m: Module, mode: int, part: Part, u: list[Value], amount: Value) -> Value:
        """2**e u of a part of a mode at the scale of the sums, as soon as it is there,
        the cycles of the shift after u."""
        element = u[mode // self.folding.within * self.folding.parts :][: self.folding.parts]
        number = _pick(part, *element, *[Const(0)] * (PARTS - len(element)))
        # which holds it, by the bound
        return self.drives.apply(m, mode, number, amount, self.layers.width)

    def _dither(self, m: Module, issue: Issue, u: data.View) -> Dither:
        """The dither, a cycle ahead of what it is added to."""
        cycles = self._offset - 1
        done = delay(m, issue.final, cycles, reset_less=False)
        turns, wraps, last, layer = (
            delay(m, value, cycles) for value in (issue.turns, issue.wraps, u.last, layer_of(u))
        )
        return Dither(m, self.folding, done, turns, wraps, last, layer, self.layers.count)

    def _products(
        self,
        m: Module,
        phase: Value,
        codes: list[Value],
        states: list[list[Value]],
        scales: list[Value],
    ) -> list[list[Value]]:
        """The products of every mode."""
        f = self.folding
        parts, count = len(codes) // f.modes, f.multipliers // f.modes
        pairs = []
        for mode, state in enumerate(states):
            pairs += self._operands(
                m, phase, codes[parts * mode : parts * (mode + 1)], state, scales[mode]
            )
        scale = self.scales
        products = f.family.multiplier(self.kind).multiply_all(m, pairs, scale.code, scale.state)
        products = [delay(m, product, f.wait(self.kind)) for product in products]
        return [products[count * mode : count * (mode + 1)] for mode in range(f.modes)]

    def _operands(
        self, m: Module, phase: Value, code: list[Value], h: list[Value], scale: Value
    ) -> list[tuple[Value, Value]]:
        """The operands of a mode, two cycles after they are read, or three with a sum;
        codes to choose from come after one.

        A sum has a register of its own, and so has the operand beside it.
        """
        (re, im), f, later = h, self.folding, delay(m, phase, 1)

        def state(number: Value) -> Value:
            return self.scales.before(number, scale)

        if f.phases == 1:
            re, im = (state(part) for part in h)
            if f.terms == SHORT:
                return list(
                    zip(code, (delay(m, number, 1) for number in (re + im, re, im)), strict=True)
                )
            return list(zip((*code, *code), (re, im, im, re), strict=True))
        if f.phases == 2:
            other = later[-1]
            numbers = Mux(other, im, re), Mux(other, re, im)
            return [(part, state(number)) for part, number in zip(code, numbers, strict=True)]
        if f.terms == SHORT:
            first, last = phase == 0, phase[1]
            factor = Mux(last, code[2], Mux(first, code[1], code[0]))
            number = state(Mux(later[1], 0, re)) + state(Mux(later == 0, 0, im))
            return [(delay(m, factor, 2), delay(m, number, 1))]
        factor, number = Mux(phase[0], code[_IM], code[_RE]), Mux(later[0] ^ later[1], im, re)
        return [(delay(m, factor, 1), state(number))]

    def _sums(self, m: Module, phase: Value, products: list[Value]) -> list[tuple[Part, Value]]:
        """The parts of code h: both at once, or one after the other as the sum or the difference of
        this product and the last."""
        f = self.folding
        if f.phases == 1 and f.terms == SHORT:
            both, real, imaginary = products
            return [(_RE, both - imaginary), (_IM, both + real)]
        if f.phases == 1:
            return [(_RE, products[0] - products[1]), (_IM, products[2] + products[3])]
        part = phase[0] if f.terms == SHORT else phase[-1]  # 1 while imaginary parts are made
        first, second = products if f.phases == 2 else (delay(m, products[0], 1), products[0])
        return [(part, Mux(_later(m, part, self._multiplied - 1), first + second, first - second))]

    def _both(self, m: Module, stored: Value) -> list[Value]:
        """Both parts of a mode, in the cycle of the later one: the real one of three terms,
        else the imaginary one."""
        if self.folding.terms == SHORT:
            return [stored, delay(m, stored, 1)]
        return [delay(m, stored, self.folding.phases // 2), stored]

    def _align(self, m: Module, mode: int, product: Value, scale: Value) -> Value:
        """The products of a mode at the scale of all."""
        scale = delay(m, scale, self._multiplied - 1) if self.scales.latency else scale
        return self.scales.behind(m, mode, delay(m, product, 1), scale, self._width)

    def _addend(
        self, m: Module, part: Part, h: list[Value], drive: Value, offset: Value | None
    ) -> Value:
        """The addend of the aligned products: the drive and, in delta form,
        the state with the offset below it."""
        drop = self.layers.drop
        if not self.op.delta:
            return delay(m, drive, self._aligned - self._driven)
        kept = delay(m, _pick(_later(m, part, 1), h[_RE], h[_IM]), self._driven - 2).shift_left(
            drop
        )
        if self._within:
            below = (
                Const(1 << drop - 1, drop) if offset is None else Cat(offset, Const(0, drop))[:drop]
            )
            kept = Cat(below, kept[drop:]).as_signed()
        addend = Signal(Shape(self._width, True), reset_less=True)
        m.d.sync += addend.eq(kept + drive)
        return delay(m, addend, self._aligned - self._driven - 1)


def _later(m: Module, part: Part, cycles: int) -> Part:
    return delay(m, part, cycles) if isinstance(part, Value) else part


def _pick(part: Part, real: Value, imaginary: Value) -> Value:
    """Whichever is the part's."""
    return Mux(part, imaginary, real) if isinstance(part, Value) else (real, imaginary)[part]
