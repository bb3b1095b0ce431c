"""The arithmetic of a norm that is done once a packet: the sum, and one over the root of V."""

from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value

from ssm_hdl.gateware import multiplier
from ssm_hdl.gateware.arithmetic import Rom, Storage, delay, tree, tree_latency
from ssm_hdl.gateware.stream import Counter, shape_of
from ssm_hdl.operations import Node, Norm
from ssm_hdl.operations.norm import Root


def times_latency(constant: int) -> int:
    """Cycles of `times`."""
    return tree_latency(constant.bit_count())


def times(m: Module, value: Value, constant: int) -> Value:
    """``value * constant``, by adders."""
    return tree(m, [value << bit for bit in range(constant.bit_length()) if constant >> bit & 1])


class Packet(NamedTuple):
    """What the elements of a packet have in common.

    Attributes:
        busy: the last of them has come in.
        total: S, their sum; 0 if it is not subtracted.
        shift: by how many bits d is to be shifted.
        inverse: one over the root of the shifted V.
        done: all of these are there.
    """

    busy: Value
    total: Value
    shift: Value
    inverse: Value
    done: Value


class Deviation:
    """S, and one over the root of V = n sum x**2 - S**2 + epsilon.

    V is summed as x_i (n x_i - S_i-1 - S_i), S_i being the sum up to x_i: one product an element. Then it is shifted by two bits
    a cycle, and the multiplier, one of adders, makes the product of slope and place.

    Args:
        node: the bound norm.

    Attributes:
        most: the longest shift.
        latency: cycles from the last element to ``done``.
    """

    def __init__(self, node: Node) -> None:
        assert isinstance(node.op, Norm)
        self.op, self.size, self.root, self.x = node.op, node.output.size, Root.at(node), shape_of(node.inputs[0])
        self._tables = {name: node.arrays[name].reshape(-1, 1) for name in ("level", "slope")}
        slope = int(node.arrays["slope"].max()).bit_length()
        self._factor = Shape(max(self.x.width, slope + self.x.signed), self.x.signed)
        self._product = multiplier.latency("lut", self._factor)
        self._added = 1 + max(1, times_latency(self.size)) + self._product
        self.most = self.root.width // 2 - 1
        self.latency = self._added + 1 + self.most + 1 + self._product

    @property
    def storage(self) -> list[Storage]:
        """Its tables."""
        return [Storage.rom(name, table) for name, table in self._tables.items()]

    def of(self, m: Module, x: Value, place: Counter, take: Value, leave: Value) -> Packet:
        """What the elements of the packet have in common.

        Args:
            m: the module it goes to.
            x: an element.
            place: which one.
            take: it comes in; none does from the last one on until ``leave``.
            leave: the packet leaves.
        """
        busy, drained, done = self._steps(m, place, leave)
        total, term = self._term(m, x, place, take)
        v, shift = Signal(self.root.width, reset_less=True), Signal(range(self.most + 1), reset_less=True)
        level, slope, inside = self._line(m, v)
        product = multiplier.multiply(m, "lut", Mux(drained, inside, term), self._second(m, x, slope, drained))
        added, first = delay(m, take, self._added, reset_less=False), delay(m, place.first, self._added)
        with m.If(added):
            m.d.sync += [v.eq(Mux(first, self.op.epsilon, v) + product), shift.eq(0)]
        with m.If(drained & (v[-2:] == 0)):
            m.d.sync += [v.eq(v << 2), shift.eq(shift + 1)]
        inverse = ((level << self.root.inside - 2) - product >> self.root.inside)[: self.root.cells + self.root.inside]
        return Packet(busy, total, shift, inverse, done)

    def _steps(self, m: Module, place: Counter, leave: Value) -> tuple[Value, Value, Value]:
        """A packet is in; its V is summed; its inverse root is there."""
        busy, drained, done = Signal(), Signal(), Signal()
        step = Signal(range(self.latency))
        m.d.sync += [
            busy.eq((busy | place.wraps) & ~leave),
            step.eq(Mux(busy, step + ~done, 0)),
            drained.eq(busy & (drained | (step == self._added - 1)) & ~leave),
            done.eq(busy & (done | (step == self.latency - 2)) & ~leave),
        ]
        return busy, drained, done

    def _term(self, m: Module, x: Value, place: Counter, take: Value) -> tuple[Value, Value]:
        """S, and n x_i - S_i-1 - S_i."""
        late = max(1, times_latency(self.size))
        multiple = delay(m, times(m, x, self.size), late - times_latency(self.size))
        if not self.op.center:
            return Const(0), delay(m, multiple, 1)
        total = Signal(Shape(self.x.width + (self.size - 1).bit_length(), self.x.signed), reset_less=True)
        before = Mux(place.first, 0, total)
        with m.If(take):
            m.d.sync += total.eq(before + x)
        return total, delay(m, multiple - delay(m, (before << 1) + x, late), 1)

    def _second(self, m: Module, x: Value, slope: Value, drained: Value) -> Value:
        second = Signal(self._factor)
        m.d.comb += second.eq(Mux(drained, slope, delay(m, x, self._added - self._product)))
        return second

    def _line(self, m: Module, v: Value) -> tuple[Value, Value, Value]:
        """The line of V's cell, a cycle after V, and the place in the cell."""
        bits = self.root.cells + self.root.inside
        half, top = v[-1], self.root.width - 1
        fraction = Mux(half, v[top - bits : top], Cat(Const(0, 1), v)[top - bits : top])
        cell = Cat(fraction[self.root.inside :], half)
        ((level,), (slope,)) = (Rom(m, name, table, cell).numbers for name, table in self._tables.items())
        return level, slope, fraction[: self.root.inside]


__all__ = ["Deviation", "times", "times_latency"]
