"""Gateware of lookup."""

from amaranth.hdl import Module, Value

from ssm_hdl.fixed import Codes
from ssm_hdl.gateware.arithmetic import Rom, Storage, delay
from ssm_hdl.gateware.elementwise import Elementwise


class Lookup(Elementwise):
    """y = table[x], a table for every lane.

    Cycles per step: ``n / lanes``. Latency: ``2 + queue`` cycles: the read and its register.

    See `Elementwise` for arguments and members.
    """

    depth = 2

    @property
    def storage(self) -> list[Storage]:
        """Its memories."""
        return [*super().storage, *[Storage.rom("table", self.table())] * self.lanes]

    def table(self) -> Codes:
        """The table, one entry a word."""
        return self.node.arrays["table"].reshape(-1, 1)

    def compute(self, m: Module, lane: int, operands: list[Value]) -> Value:
        """Read the table at the bit pattern of x."""
        (x,) = operands
        (entry,) = Rom(m, f"table_{lane}", self.table(), x.as_unsigned()).numbers
        return delay(m, entry, 1)
