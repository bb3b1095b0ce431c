"""The arithmetic of the diagonal scan: the next states of the modes of a word."""

from typing import NamedTuple, TypeAlias

from amaranth.hdl import Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import data

from ssm_hdl.gateware import multiplier
from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY, delay
from ssm_hdl.gateware.dither import Dither
from ssm_hdl.gateware.folding import PARTS, ScanFolding, scales
from ssm_hdl.gateware.layers import Layers, Table
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.shift import Shifts
from ssm_hdl.gateware.stream import layer_of, shape_of
from ssm_hdl.operations import Scan as Operation

_READ = 2  # cycles to read a state and to register it
_RE, _IM = 0, 1

Part: TypeAlias = Value | int
"""Which part of a state is at hand: known when its products have multipliers of their own, a signal when they take turns."""


class Issue(NamedTuple):
    """What is read in a cycle.

    Attributes:
        go: something is.
        word: which word of the memories, and on top of it of which layer.
        phase: which of the cycles that a word takes.
        fresh: the step is the first of its sequence.
        final: something is read, and the phase is the last.
        wraps: and the word is the last of its step.
    """

    go: Value
    word: Value
    phase: Value
    fresh: Value
    final: Value
    wraps: Value


class Recurrence:
    """h' = Abar h + 2**e u, complex, for the modes of a word; ``latency`` cycles after the word is read, from its last phase on.

    The sum of the products of a part is shifted to the scale of all modes, where their scales differ; what is added to it, the
    drive and in delta form the state, comes together while the multipliers work.

    Args:
        layers: the bound scans, a layer each.
        folding: its folding.
        kind: kind of multiplier.
    """

    def __init__(self, layers: Layers, folding: ScanFolding, kind: str) -> None:
        assert isinstance(layers.node.op, Operation)
        self.layers, self.op, self.folding, self.kind = layers, layers.node.op, folding, kind
        self._scale, self._shift = (Shifts(scales(layers, folding.modes, name)) for name in ("scale", "shift"))
        self._code = layers.table(lambda node, lift: node.arrays["code"].reshape(folding.words, -1))
        self._multiplied = _READ + multiplier.latency(kind, shape_of(layers.node.output))
        self._aligned = self._multiplied + 1 + folding.align
        self._added = self._aligned + 1
        self.latency = self._added + REQUANTIZE_LATENCY

    @property
    def tables(self) -> dict[str, Table]:
        """Its tables that may be in SPRAM, by the name of their storage."""
        shifts = {"scale": self._scale, "shift": self._shift}
        return {"code": self._code} | {name: shift.table for name, shift in shifts.items() if shift.storage(name)}

    @property
    def storage(self) -> list[Storage]:
        """Its tables."""
        return [self._code.storage("code"), *self._scale.storage("scale"), *self._shift.storage("shift")]

    def next(self, m: Module, issue: Issue, u: data.View, h: list[Value]) -> list[Value]:
        """The next states.

        Args:
            m: the module it goes to.
            issue: what is read.
            u: payload of the input, in the cycle of ``issue``.
            h: the states of the word a cycle later, real and imaginary parts in turn.
        """
        f, modes = self.folding, range(self.folding.modes)
        codes = self._code.read(m, "code", issue.word, issue.go)
        amounts = self._scale.read(m, "scale", issue.word, issue.go)
        shifts = self._shift.read(m, "shift", issue.word, issue.go)
        numbers = [delay(m, number, 1) for number in u.data]
        dither = self._dither(m, issue, u) if self.op.dither and self.layers.drop else None
        phase = delay(m, issue.phase, 1)
        parts = []
        for mode in modes:
            state, pair = h[2 * mode : 2 * mode + 2], codes[2 * mode : 2 * mode + 2]
            stored = []
            for part, product in self._products(m, phase, pair, state):
                aligned = self._align(m, mode, product, amounts[mode])
                drive = self._drive(m, mode, part, numbers, shifts[mode])
                total = Signal(Shape(self.layers.width, True), reset_less=True)
                m.d.sync += total.eq(aligned + self._addend(m, part, state, drive))
                offset = dither.offset(mode, _later(m, part, self._added - 2), self.layers.drop) if dither else None
                stored.append(self.layers.requantize(m, total, offset))
            parts += stored if f.phases == 1 else [delay(m, stored[0], f.phases // 2), stored[0]]
        return parts

    def _drive(self, m: Module, mode: int, part: Part, u: list[Value], amount: Value) -> Value:
        """2**e u of a part of a mode at the scale of the sums, as soon as it is there, the cycles of the shift after u."""
        element = u[mode // self.folding.shape[1] * self.folding.parts :][: self.folding.parts]
        number = _pick(part, *element, *[Const(0)] * (PARTS - len(element)))
        return self._shift.apply(m, mode, number, amount, self.layers.width)  # which holds it, by the bound

    def _dither(self, m: Module, issue: Issue, u: data.View) -> Dither:
        """The dither, a cycle ahead of the sums."""
        cycles = self._added - 1
        done = delay(m, issue.final, cycles, reset_less=False)
        wraps, last, layer = (delay(m, value, cycles) for value in (issue.wraps, u.last, layer_of(u)))
        return Dither(m, self.folding, done, wraps, last, layer, self.layers.count)

    def _products(self, m: Module, phase: Value, code: list[Value], h: list[Value]) -> list[tuple[Part, Value]]:
        """The parts of code h with their sums of products: both at once, or one for both in turn."""
        if self.folding.phases == 1:
            code, h = [delay(m, part, 1) for part in code], [delay(m, part, 1) for part in h]
            real = self._product(m, code[_RE], h[_RE]) - self._product(m, code[_IM], h[_IM])
            imaginary = self._product(m, code[_RE], h[_IM]) + self._product(m, code[_IM], h[_RE])
            return [(_RE, real), (_IM, imaginary)]
        part = phase[-1]  # 0 while real parts are made, then 1
        if self.folding.phases == 2:
            first = self._product(m, delay(m, code[_RE], 1), delay(m, Mux(part, h[_IM], h[_RE]), 1))
            second = self._product(m, delay(m, code[_IM], 1), delay(m, Mux(part, h[_RE], h[_IM]), 1))
        else:
            a = Mux(phase[0], code[_IM], code[_RE])
            b = Mux(phase[0] ^ phase[1], h[_IM], h[_RE])
            second = self._product(m, delay(m, a, 1), delay(m, b, 1))
            first = delay(m, second, 1)
        return [(part, Mux(_later(m, part, self._multiplied - 1), first + second, first - second))]

    def _product(self, m: Module, code: Value, h: Value) -> Value:
        return multiplier.multiply(m, self.kind, code, h)

    def _align(self, m: Module, mode: int, product: Value, amount: Value) -> Value:
        """The products of a mode at the scale of all."""
        amount = delay(m, amount, self._multiplied) if self.folding.align else amount
        return self._scale.apply(m, mode, delay(m, product, 1), amount, self.layers.width)

    def _addend(self, m: Module, part: Part, h: list[Value], drive: Value) -> Value:
        """What is added to the aligned products: the drive and, in delta form, the state."""
        age = 1 + self._shift.latency  # of the drive
        if not self.op.delta:
            return delay(m, drive, self._aligned - age)
        kept = delay(m, _pick(part, h[_RE], h[_IM]), age - 1)
        addend = Signal(Shape(self.layers.width, True), reset_less=True)
        m.d.sync += addend.eq(kept.shift_left(self.layers.drop) + drive)
        return delay(m, addend, self._aligned - age - 1)


def _later(m: Module, part: Part, cycles: int) -> Part:
    return delay(m, part, cycles) if isinstance(part, Value) else part


def _pick(part: Part, real: Value, imaginary: Value) -> Value:
    """Whichever is the part's."""
    return Mux(part, imaginary, real) if isinstance(part, Value) else (real, imaginary)[part]


__all__ = ["Issue", "Recurrence"]
