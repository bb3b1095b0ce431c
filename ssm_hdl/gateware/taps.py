# amaranth: UnusedElaboratable=no
"""Gateware of taps."""

from amaranth.hdl import Cat, Const, Module, Signal, Value

from ssm_hdl.gateware.arithmetic import delay
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.elementwise import Elementwise
from ssm_hdl.gateware.layers import Layers, Nodes, Registers
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.gateware.sums import Sums
from ssm_hdl.operations import Node


class Taps(Elementwise):
    """y[c K + k] = x_(t - K + 1 + k)[c].

    A word of memory holds the last K - 1 values of the elements of a beat, for each layer.
    Nothing is cleared: the first step of a sequence takes 0 instead of what it reads.

    Cycles per step: ``n / lanes`` for packets of n elements. Latency: ``1 + queue`` cycles,
    one more with the words in memory.

    See `Elementwise` for arguments and members; a beat out has K numbers for each in a beat in.
    """

    reads_last = True
    takes_evenly = True  # as the convolution after it

    @classmethod
    def most_lanes(cls, node: Node) -> int:
        """Any divisor of the elements."""
        return node.inputs[0].size

    @classmethod
    def o_lanes(cls, node: Node, lanes: int) -> int:
        """K for each element."""
        return lanes * node.output.size // node.inputs[0].size

    def __init__(self, nodes: Nodes, lanes: int = 1, pace: int = 1, compact: bool = False) -> None:
        layers = Layers.of(nodes)
        (x,), self._bits = layers.node.inputs, layers.format.width
        kept = (self.o_lanes(layers.node, lanes) - lanes) * self._bits
        self.line = Sums(x.size // lanes, kept, memories=layers.memories, layers=layers.count)
        self.depth = max(1, self.line.latency)
        super().__init__(layers, lanes, pace, compact)

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        return [self.line.storage, *super().storage]

    def results(self, m: Module, operands: list[list[Value]], layer: Value) -> list[Value]:
        """The values of the elements at hand, the oldest of each first."""
        read = self.line.latency
        go, x = (
            self.i.valid & self.i.ready,
            [Value.cast(delay(m, number, read)) for (number,) in operands],
        )
        place, fresh = (
            Counter(m, self.work, go),
            Registers(m, "fresh", 1, 1, self.layers.count, layer),
        )
        with m.If(place.wraps):
            fresh.set(self.i.p.last)
        begins, taken = (
            delay(m, fresh.value, read - self.line.ahead),
            delay(m, go, read, reset_less=False),
        )
        new = Signal(self.line.width)
        kept = self.line.keep(m, place.value, begins, Const(0, self.line.width), taken, new, layer)
        width = self.line.width // self.lanes
        values = [Cat(kept.value.word_select(lane, width), number) for lane, number in enumerate(x)]
        m.d.comb += new.eq(Cat(each[self._bits :] for each in values))
        values = delay(m, Cat(values), self.depth - read)
        return [values.word_select(index, self._bits) for index in range(len(values) // self._bits)]
