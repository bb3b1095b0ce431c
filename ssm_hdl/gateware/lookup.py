"""Gateware of lookup."""

from amaranth.hdl import Cat, Module, Value

from ssm_hdl.gateware.arithmetic import delay
from ssm_hdl.gateware.elementwise import Elementwise
from ssm_hdl.gateware.layers import Layers, Nodes
from ssm_hdl.gateware.memories import Storage


class Lookup(Elementwise):
    """y = table[x], a table for every lane.

    Cycles per step: ``n / lanes``. Latency: ``2 + queue`` cycles: the read and its register,
    which a fast memory does without.

    See `Elementwise` for arguments and members.
    """

    def __init__(self, nodes: Nodes, lanes: int = 1, pace: int = 1, compact: bool = False) -> None:
        self.depth = 2 - Layers.of(nodes).memories.fast
        super().__init__(nodes, lanes, pace, compact)
        self._table = self.layers.table(lambda node, lift: node.arrays["table"].reshape(-1, 1))

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        return [*super().storage, *[self._table.storage("table")] * self.lanes]

    def compute(self, m: Module, lane: int, operands: list[Value], layer: Value) -> Value:
        """Read the table at the bit pattern of x."""
        (x,) = operands
        (entry,) = self._table.read(m, f"table_{lane}", Cat(x, layer))
        return delay(m, entry, self.depth - 1)
