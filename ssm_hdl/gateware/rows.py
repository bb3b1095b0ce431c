# amaranth: UnusedElaboratable=no
"""Packets that a stage reads several times each."""

from itertools import count
from typing import NamedTuple

from amaranth.hdl import Cat, Module, Shape, Signal, Value
from amaranth.lib import stream

from ssm_hdl.gateware.arithmetic import delay
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.memories import DEFAULT, Memories, Ram, split
from ssm_hdl.gateware.timing import Beats, Cycles, known

BANKS = 4
"""Packets that are held: one that is read, one that comes, and two whose last words are still in
the pipeline of a short step."""


class Row(NamedTuple):
    """Numbers that are read.

    Attributes:
        there: a packet is complete whose last word is not begun.
        numbers: the word.
    """

    there: Value
    numbers: list[Value]


class Rows:
    """A memory of packets that come number by number and are read in words,
    over and over, in order.

    Args:
        name: what they hold.
        shape: shape of a number.
        size: numbers in a packet.
        lanes: numbers in a word, a divisor of ``size``.
        late: cycles from beginning a word to its numbers, 3 at least.
        memories: how the pipeline makes its memories.

    Attributes:
        storage: the memory.
    """

    def __init__(
        self,
        name: str,
        shape: Shape,
        size: int,
        lanes: int,
        late: int,
        memories: Memories = DEFAULT,
    ) -> None:
        self.name, self.shape, self.size, self.lanes, self.late = name, shape, size, lanes, late
        self.words = size // lanes
        depth = (BANKS - 1 << (self.words - 1).bit_length()) + self.words
        self.storage = memories.ram(name, depth, lanes * shape.width)

    def read(self, m: Module, i: stream.Interface, go: Value, done: Value) -> Row:
        """Take packets and read them.

        Args:
            m: the module it goes to.
            i: the packets.
            go: a word is begun.
            done: and it is the last one that is read of its packet.
        """
        width, read = self.shape.width, self.late - 2
        ram = Ram(m, self.name, self.storage)
        takes, free = Signal(name="takes"), Signal(range(BANKS + 1), init=BANKS, name="free")
        whole = Signal(range(BANKS + 1))
        beat, lane = Counter(m, self.size, takes), Counter(m, self.lanes, takes)
        word = Signal(self.storage.width, reset_less=True)
        full = delay(m, takes & lane.last, 1, reset_less=False)
        with m.If(takes):
            m.d.sync += word.eq(Cat(word[width:], i.p.data[0]))
        place = Counter(m, self.words, full)
        bank = Counter(m, BANKS, place.wraps)
        # The bank is free a cycle before its last word is read:
        # the first word that replaces it is written later.
        left = delay(m, done, read - 1, reset_less=False)
        m.d.comb += [i.ready.eq((free != 0) | ~beat.first), takes.eq(i.valid & i.ready)]
        m.d.sync += [
            free.eq(free + left - (takes & beat.first)),
            whole.eq(whole + beat.wraps - done),
        ]
        group = Counter(m, self.words, delay(m, go, read, reset_less=False))
        turn = Counter(m, BANKS, delay(m, left, 1, reset_less=False))
        m.d.comb += [
            ram.write.addr.eq(Cat(place.value, bank.value)),
            ram.write.data.eq(word),
            ram.write.en.eq(full),
            ram.read.addr.eq(Cat(group.value, turn.value)),
        ]
        return Row(whole != 0, split(delay(m, ram.read.data, 1), self.shape))

    def take(self, i: Beats, rows: Beats) -> Cycles:
        """When packets come: ``rows`` has the first cycle in which one can be begun,
        and the cycle of its last word."""
        cycle = -1
        for packet in count():
            for beat in range(packet * self.size, (packet + 1) * self.size):
                cycle = max(cycle + 1, (yield from known(i.offered, beat)))
                if packet >= BANKS and beat == packet * self.size:
                    cycle = max(
                        cycle, (yield from known(rows.taken, packet - BANKS)) + self.late - 2
                    )
                i.taken.append(cycle)
            rows.offered.append(cycle + 1)
