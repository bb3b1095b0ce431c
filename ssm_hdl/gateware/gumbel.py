# amaranth: UnusedElaboratable=no
"""Gateware of gumbel."""

from amaranth.hdl import Module, Mux, Signal, Value

from ssm_hdl.gateware.arithmetic import REQUANTIZE_LATENCY, delay
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.elementwise import Elementwise
from ssm_hdl.gateware.layers import Nodes
from ssm_hdl.gateware.memories import Storage
from ssm_hdl.operations import Node
from ssm_hdl.operations.gumbel import ADDRESS_BITS, successor
from ssm_hdl.operations.gumbel import Gumbel as GumbelOperation


class Gumbel(Elementwise):
    """y = x + noise, from a table that a generator of 32 bits addresses.

    Cycles per step: ``n``. Latency: ``5 + queue`` cycles, in the compact form ``3 + queue``.

    See `Elementwise` for arguments and members.
    """

    shareable = False
    reads_last = True

    def __init__(self, nodes: Nodes, lanes: int = 1, pace: int = 1, compact: bool = False) -> None:
        self._rounding = REQUANTIZE_LATENCY * (not compact)
        self.depth = 3 + self._rounding
        super().__init__(nodes, lanes, pace, compact)
        self._table = self.layers.table(lambda node, lift: node.arrays["table"].reshape(-1, 1))

    @classmethod
    def most_lanes(cls, node: Node) -> int:
        """The generator makes a number per cycle."""
        return 1

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        return [*super().storage, self._table.storage("table")]

    def compute(self, m: Module, lane: int, operands: list[Value], layer: Value) -> Value:
        """The sum, requantised."""
        assert isinstance(self.node.op, GumbelOperation)
        take, seed = self.i.valid & self.i.ready, self.node.op.seed
        place, state = Counter(m, self.node.output.size, take), Signal(32, init=seed, name="state")
        with m.If(take):
            m.d.sync += state.eq(Mux(place.last & self.i.p.last, seed, successor(state)))
        (noise,) = self._table.read_late(m, "table", state[:ADDRESS_BITS])
        (x,) = operands
        total = delay(m, delay(m, x, 2) + noise, 1)
        return (self.layers.requantize if self._rounding else self.layers.rounded)(m, total)
