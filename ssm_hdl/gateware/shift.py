"""Left shifts that differ from one word of a table to the next."""

import numpy as np
from amaranth.hdl import Cat, Const, Module, Shape, Signal, Value

from ssm_hdl.gateware.arithmetic import delay
from ssm_hdl.gateware.layers import Table
from ssm_hdl.gateware.memories import Storage

_STEPS = 3  # registers of the longest shift


def shift_latency(most: int) -> int:
    """Cycles of `shift_left` by up to ``most``: 1 for each bit of the amount, 3 at most."""
    bits = most.bit_length()
    return -(-bits // _bits_a_step(most)) if bits else 0


def shift_left(
    m: Module, value: Value, amount: Value, most: int, width: int, zeros: int = 0
) -> Value:
    """``value << (amount << zeros)`` modulo 2**width, signed, after `shift_latency` cycles.

    Args:
        m: the module it goes to.
        value: the number to shift.
        amount: by how much, 0 to ``most``.
        most: the largest amount.
        width: bits of the result that count.
        zeros: low bits of the shift that are always 0, and left out of ``amount``.
    """
    bits, step = most.bit_length(), _bits_a_step(most)
    grown = len(value) + (not value.shape().signed)
    for low in range(0, bits, step):
        shifted = value << Cat(Const(0, low + zeros), amount[low : low + step])
        grown += ((1 << min(step, bits - low)) - 1) << (low + zeros)
        value = Signal(Shape(min(grown, width), True), reset_less=True)
        m.d.sync += value.eq(shifted)
        amount = delay(m, amount, 1)
    return value


def _bits_a_step(most: int) -> int:
    return max(1, -(-most.bit_length() // _STEPS))


class Shifts:
    """A table of left shifts, one for each lane of each word.
    What a lane shifts in every word costs wires, the rest a shifter.

    Args:
        amounts: (words, lanes) of every layer, 0 at least.

    Attributes:
        least: what each lane shifts in every word of every layer, (lanes,).
        spread: what it shifts beyond that, of every layer, (words, lanes).
        most: the most of that.
        table: the same without the bits at the bottom that are 0 everywhere.
        latency: cycles of a shift; 0 if no lane has more than one amount.
    """

    def __init__(self, amounts: Table) -> None:
        self.least = np.concatenate(amounts.tables).min(axis=0)
        self.spread = [table - self.least for table in amounts.tables]
        self.most = max(int(table.max(initial=0)) for table in self.spread)
        some = int(np.bitwise_or.reduce(np.concatenate(self.spread), axis=None))
        self._zeros = (some & -some).bit_length() - 1 if some else 0
        self.table = Table([table >> self._zeros for table in self.spread], amounts.memories)
        self.latency = shift_latency(self.most >> self._zeros)

    def storage(self, name: str) -> list[Storage]:
        """The memory of the table, if there has to be one."""
        return [self.table.storage(name)] if self.most else []

    def read(self, m: Module, name: str, place: Value) -> list[Value]:
        """The table's word, an amount for each lane, 2 cycles after its place,
        the word at the bottom and the layer on top."""
        return self.table.read_late(m, name, place) if self.most else [Const(0)] * len(self.least)

    def apply(self, m: Module, lane: int, value: Value, amount: Value, width: int) -> Value:
        """``value`` shifted as a lane is to be, modulo 2**width,
        ``latency`` cycles after value and amount."""
        least = int(self.least[lane])
        most = self.most >> self._zeros
        return shift_left(m, value, amount, most, max(1, width - least), self._zeros).shift_left(
            least
        )
