"""Running sums that are taken up in turn."""

from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value

from ssm_hdl.gateware.arithmetic import delay
from ssm_hdl.gateware.layers import choose
from ssm_hdl.gateware.memories import DEFAULT, Memories, Ram

ONE = Const(0, 0)
"""The layer at hand where there is but one."""

MEMORY_FROM = 128
"""Bits from which sums go to a memory: fewer than other memories,
since a register of theirs takes a LUT of an iCE40."""


class Kept(NamedTuple):
    """Sums at hand.

    Attributes:
        value: what was kept at the place, `Sums.latency` cycles after it, or what it begins with.
        newest: what was kept last, a cycle after it was new.
    """

    value: Value
    newest: Value


class Sums:
    """Words of sums, one of them taken up in a cycle: read, added to, and kept again.

    They live in a memory with one read and one write per cycle. Few of them, or all if it is asked
    for, live in a ring of registers that turns as each is taken up. Nothing is cleared:
    who takes up a word for the first time gives its start.

    Args:
        words: how many there are.
        width: bits of a word.
        registers: keep them in registers.
        memories: how the pipeline makes its memories.
        layers: layers that have this number of words each.
        told: synthesis is told to put a memory into block RAM.

    Attributes:
        storage: the memory.
        latency: cycles to read a word.
        ahead: cycles from knowing whether a word begins, and with what, to taking it up:
            one for a register after the multiplexer of start and word, or none.
    """

    def __init__(
        self,
        words: int,
        width: int,
        registers: bool = False,
        memories: Memories = DEFAULT,
        layers: int = 1,
        told: bool = False,
    ) -> None:
        self.words, self.width, self.layers = words, width, layers
        # In a memory, fewer than four words would be read before they are written.
        self.registers = registers or words < 4 or layers * words * width < MEMORY_FROM
        apart = words if self.registers else 1 << (words - 1).bit_length()
        self.storage = memories.ram(
            "sums", (layers - 1) * apart + words, width, not self.registers, told
        )
        self.latency = 0 if self.registers else 2
        self.ahead = int(memories.fast and not self.registers)

    def keep(
        self,
        m: Module,
        place: Value,
        begins: Value,
        start: Value,
        taken: Value,
        new: Value,
        layer: Value = ONE,
    ) -> Kept:
        """Take up words.

        Args:
            m: the module they are in.
            place: the place of a word, `latency` cycles before it is taken up;
                they follow one another and begin again.
            begins: a word is taken up for the first time, `ahead` cycles before it is.
            start: what it is then, in the same cycle.
            taken: a word is taken up.
            new: what it becomes.
            layer: of the word, with its place.
        """
        if self.registers:
            rings = [
                Signal(self.width * self.words, reset_less=True, name=f"ring_{k}")
                for k in range(self.layers)
            ]
            for k, ring in enumerate(rings):
                with m.If(taken & (layer == k) if self.layers > 1 else taken):
                    m.d.sync += ring.eq(Cat(ring[self.width :], new))
            ring = choose(m, layer, range(self.layers), rings.__getitem__)
            return Kept(Mux(begins, start, ring[: self.width]), ring[-self.width :])
        sums = Ram(m, "sums", self.storage)
        place = Cat(place, layer)
        m.d.comb += [
            sums.read.addr.eq(place),
            sums.write.addr.eq(delay(m, place, self.latency)),
            sums.write.data.eq(new),
            sums.write.en.eq(taken),
        ]
        read = delay(m, sums.read.data, 1 - self.ahead)
        return Kept(delay(m, Mux(begins, start, read), self.ahead), delay(m, new, 1))
