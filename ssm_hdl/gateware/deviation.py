"""The arithmetic of a norm that is done once a packet: the sum, and one over the root of V."""

from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Signal, Value

from ssm_hdl.fixed import Format
from ssm_hdl.gateware.arithmetic import delay, times, times_latency
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.layers import Layers, choose
from ssm_hdl.gateware.memories import Rom, Storage
from ssm_hdl.gateware.stream import shape_of
from ssm_hdl.operations import Norm
from ssm_hdl.operations.norm import Root


class Packet(NamedTuple):
    """What the elements of a packet have in common.

    Attributes:
        total: S, their sum; 0 if it is not subtracted.
        shift: by how many bits d is to be shifted.
        inverse: one over the root of the shifted V.
    """

    total: Value
    shift: Value
    inverse: Value


class Deviation:
    """S, and one over the root of V = n sum x**2 - S**2 + epsilon.

    V is summed as x_i (n x_i - S_i-1 - S_i), S_i being the sum up to x_i: one product per element.
    Then it is shifted by two bits per cycle. The multiplier, one of adders, also makes the product
    of slope and place, and an element waits a cycle for it.

    Args:
        layers: the bound norms, a layer each. They are computed as one with the greatest V and the
            fewest fraction bits; a layer with more fraction bits shifts d by the difference.

    Attributes:
        root: how the roots are computed.
        format: format of the results, with the fraction bits of the layer that has fewest.
        most: the longest shift.
        shifted: shape of d once it is shifted.
        latency: cycles from the last element to ``done``.
        open: the next element may come in: any but its last while a packet is at work.
        done: the packet is.
    """

    def __init__(self, layers: Layers) -> None:
        self._multiplier = layers.family.lut
        node, f_bits = layers.node, [node.output.format.f_bits for node in layers.nodes]
        ops = [node.op for node in layers.nodes if isinstance(node.op, Norm)]
        self.center, self.size, self.x = ops[0].center, node.output.size, shape_of(node.inputs[0])
        self._epsilons, self._shifts = (
            [op.epsilon for op in ops],
            [bits - min(f_bits) for bits in f_bits],
        )
        self.format = Format(
            node.output.format.signed, node.output.format.width - min(f_bits), min(f_bits)
        )
        self.root = Root.of(max(node.accumulator.max for node in layers.nodes), self.format)
        self._tables = {name: node.arrays[name].reshape(-1, 1) for name in ("level", "slope")}
        slope = int(node.arrays["slope"].max()).bit_length()
        self._factor = Shape(max(self.x.width, slope + self.x.signed), self.x.signed)
        self._other = self._others()
        self._product = self._multiplier.latency(self._other, self._factor)
        self._term = 1 + max(1, times_latency(self.size))  # cycles to the multiplier
        self.most = self.root.width // 2 - 1 + max(self._shifts)
        # and for the place in a cell
        self._line = self._term + self._product + 3 + self.root.width // 2 - 1
        self.latency = self._line + self._product + 1
        self.open, self.done = Signal(init=1, name="open"), Signal(name="done")
        # d as it is multiplied: shifted by the bits that V gives, or by the shift of another layer,
        # less the bits it drops.
        bits = self.root.deviation(self.size, self.center).bit_length() + 1 + max(self._shifts)
        self.shifted = Shape(bits - self.root.drop, True)

    @property
    def storage(self) -> list[Storage]:
        """Its tables."""
        return [Storage.rom(name, table) for name, table in self._tables.items()]

    def of(
        self, m: Module, x: Value, layer: Value, place: Counter, take: Value, leave: Value
    ) -> Packet:
        """What the elements of the packet have in common, from ``done`` on.

        Args:
            m: the module it goes to.
            x: an element.
            layer: the layer that it is at.
            place: which one.
            take: it comes in.
            leave: the packet that is done leaves.
        """
        root = self.root
        turn = self._steps(m, place, leave)
        v = Signal(root.width, reset_less=True)
        summed = Signal(root.width, reset_less=True)
        shift = Signal(self.most.bit_length(), reset_less=True)
        inverse = Signal(root.cells + root.inside, reset_less=True)
        total, term = self._sum(m, x, place, take)
        level, slope, inside = self._cell(m, v)
        # from a block RAM it comes late in a cycle, and it is needed only when the product is there
        level = delay(m, level, 1)
        first, second = Signal(self._other, name="first"), Signal(self._factor, name="second")
        m.d.comb += [
            first.eq(Mux(turn, inside, term)),
            second.eq(Mux(turn, slope, delay(m, x, self._term))),
        ]
        product = self._multiplier.multiply(m, first, second)
        sums = self._term + self._product
        added, begins = delay(m, take, sums, reset_less=False), delay(m, place.first, sums)
        epsilon = choose(m, layer, self._epsilons, cycles=sums)
        ahead = choose(m, layer, self._shifts, cycles=sums + 1)
        with m.If(added):
            m.d.sync += summed.eq(Mux(begins, epsilon, summed) + product)
        whole, ready = delay(m, place.wraps, sums + 1), delay(m, turn, self._product)
        with m.If(whole):
            m.d.sync += [v.eq(summed), shift.eq(ahead)]
        with m.Elif(v[-2:] == 0):
            m.d.sync += [v.eq(v << 2), shift.eq(shift + 1)]
        with m.If(ready):
            m.d.sync += inverse.eq((level << root.inside - 2) - product >> root.inside)
        return Packet(total, shift, inverse)

    @property
    def takes_turn(self) -> int:
        """Cycles from the last element of a packet to the one in which the multiplier
        is not for elements."""
        return self._line - self._term

    def _others(self) -> Shape:
        """The shape of what x and the slope are multiplied by: n x_i - S_i-1 - S_i,
        and the place in a cell."""
        top = (1 << self.x.width - self.x.signed) - 1
        low, size = -1 - top if self.x.signed else 0, self.size
        least, most = (
            ((size - 1) * (low - 2 * top), (size - 1) * (top - 2 * low))
            if self.center
            else (size * low, size * top)
        )
        return Shape.cast(range(min(least, 0), max(most + 1, 1 << self.root.inside)))

    def _steps(self, m: Module, place: Counter, leave: Value) -> Value:
        """The multiplier has the place in a cell; sets ``open`` and ``done``."""
        busy, turn, wait = Signal(name="busy"), Signal(name="turn"), Signal(name="wait")
        step = Signal(range(self.latency))  # 0 a cycle after the last element
        m.d.comb += self.open.eq(~wait & ~(busy & place.last))
        m.d.sync += [
            busy.eq((busy | place.wraps) & ~leave),
            step.eq(Mux(busy & ~leave, step + ~self.done, 0)),
            wait.eq(busy & (step == self._line - self._term - 2)),
            turn.eq(busy & (step == self._line - 2)),
            self.done.eq(busy & (self.done | (step == self.latency - 2)) & ~leave),
        ]
        return turn

    def _sum(self, m: Module, x: Value, place: Counter, take: Value) -> tuple[Value, Value]:
        """S of the last packet, and n x_i - S_i-1 - S_i."""
        late = self._term - 1
        multiple = delay(m, times(m, x, self.size), late - times_latency(self.size))
        if not self.center:
            return Const(0), delay(m, multiple, 1)
        total = Signal(
            Shape(self.x.width + (self.size - 1).bit_length(), self.x.signed), reset_less=True
        )
        kept, whole = Signal.like(total, name="kept"), delay(m, place.wraps, 1)
        before = Mux(place.first, 0, total)
        with m.If(take):
            m.d.sync += total.eq(before + x)
        with m.If(whole):
            m.d.sync += kept.eq(total)
        return kept, delay(m, multiple - delay(m, (before << 1) + x, late), 1)

    def _cell(self, m: Module, v: Value) -> tuple[Value, Value, Value]:
        """The line of V's cell, a cycle after V, and the place in the cell."""
        bits = self.root.cells + self.root.inside
        half, top = v[-1], self.root.width - 1
        fraction = Mux(half, v[top - bits : top], Cat(Const(0, 1), v)[top - bits : top])
        cell = Cat(fraction[self.root.inside :], half)
        ((level,), (slope,)) = (
            Rom(m, name, table, cell).numbers for name, table in self._tables.items()
        )
        return level, slope, fraction[: self.root.inside]
