"""Where beats wait, and the count of the places there."""

from itertools import count

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib.wiring import In, Out

from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.memories import BLOCK_RAM_FROM, DEFAULT, Memories, Ram, Storage
from ssm_hdl.gateware.stream import Component, signature
from ssm_hdl.gateware.timing import Beats, Cycle, Cycles, Process, known

ROW = 6
"""Beats that a queue of registers has at most: they all move at once,
and what moves them stands in the longest paths."""


BURST = 2
"""Results come in bursts: this factor times the interval's cycles for a result let the results
of one packet leave."""


class Queue(Component):
    """A first-in, first-out buffer.

    One beat per cycle; latency 1 cycle in registers, 3 in block RAM, 2 in a fast one.

    Args:
        shape: shape of a number.
        lanes: numbers in a beat.
        depth: beats that it holds.
        layers: layers that its packets may be at.
        marked: somebody looks at ``last``; it is not kept otherwise.
        memories: how the pipeline makes its memories.

    Members:
        i: beats in.
        o: beats out.
    """

    def __init__(
        self,
        shape: Shape,
        lanes: int,
        depth: int,
        layers: int = 1,
        marked: bool = True,
        memories: Memories = DEFAULT,
    ) -> None:
        self.depth, self.memories, self.fast = depth, memories, memories.fast
        beat = signature(shape, lanes, layers)
        super().__init__({"i": In(beat), "o": Out(beat)})
        self.width = beat.members["payload"].shape.size if marked else shape.width * lanes
        self.block_ram = depth > 2 and (depth * self.width >= BLOCK_RAM_FROM or depth > ROW)
        self.latency = 3 - self.fast if self.block_ram else 1

    @property
    def capacity(self) -> int:
        """Beats that it holds for certain, those in its registers at the output too;
        one more if two come one after the other."""
        return self.depth + self.latency - 1

    @property
    def storage(self) -> Storage:
        """Its memory."""
        return self.memories.ram("queue", self.depth + self.block_ram, self.width, self.block_ram)

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        if self.block_ram:
            self._memory(m)
        else:
            self._registers(m)
        return m

    def _memory(self, m: Module) -> None:
        """A memory, the beat that it has read, and, if it is slow,
        a register with the beat before that.

        Readiness is a register that looks one cycle back, so that it takes one place more:
        a comparison with the level would stand in the longest path of the pipeline.
        """
        places = self.depth + 1
        beats = Ram(m, "memory", self.storage)
        write, read = beats.write, beats.read
        level, push, fetch, move, free = (
            Signal(range(places + 1), name="level"),
            Signal(name="push"),
            Signal(name="fetch"),
            Signal(name="move"),
            Signal(name="free"),
        )
        m.d.comb += [
            push.eq(self.i.valid & self.i.ready),
            free.eq(~self.o.valid | self.o.ready),
            fetch.eq((level != 0) & move),
            write.addr.eq(Counter(m, places, push).value),
            write.data.eq(self.i.payload),
            write.en.eq(push),
            read.addr.eq(Counter(m, places, fetch).value),
            read.en.eq(fetch),
        ]
        m.d.sync += self.i.ready.eq(level < self.depth)
        with m.If(push ^ fetch):
            m.d.sync += level.eq(level + Mux(push, 1, -1))
        payload = Value.cast(self.o.payload)[: self.width]
        if self.fast:
            m.d.comb += [move.eq(free), payload.eq(read.data)]
            with m.If(free):
                m.d.sync += self.o.valid.eq(fetch)
            return
        fetched = Signal()  # a beat that is read and not yet in the register
        out = Signal(self.width, reset_less=True)  # a block RAM's own register, on an ECP5
        m.d.comb += [move.eq(~fetched | free), payload.eq(out)]
        with m.If(move):
            m.d.sync += fetched.eq(fetch)
        with m.If(free):
            m.d.sync += [self.o.valid.eq(fetched), out.eq(read.data)]

    def _registers(self, m: Module) -> None:
        """A row of registers that moves up when the first leaves: its output is a register,
        with no multiplexer after it."""
        full = Signal(self.depth)
        beats = [
            Signal(self.width, reset_less=True, name=f"beat_{place}") for place in range(self.depth)
        ]
        push, pop = self.i.valid & self.i.ready, self.o.valid & self.o.ready
        m.d.comb += [
            self.i.ready.eq(~full[-1]),
            self.o.valid.eq(full[0]),
            Value.cast(self.o.payload)[: self.width].eq(beats[0]),
        ]
        with m.If(push & ~pop):
            m.d.sync += full.eq(Cat(1, full[:-1]))
        with m.Elif(pop & ~push):
            m.d.sync += full.eq(full[1:])
        for place, beat in enumerate(beats):
            with m.If(pop | ~full[place]):
                m.d.sync += beat.eq(Value.cast(self.i.payload))
                if place + 1 < self.depth:
                    with m.If(full[place + 1]):
                        m.d.sync += beat.eq(beats[place + 1])

    def timing(self, i: Beats, o: Beats) -> list[Process]:
        """When its beats move: they come in, and go out, each at a pace of its own."""
        inside = Beats(ends=i.ends)
        return [Process(self._fill, i, inside, o), *self.drain(inside, o)]

    def drain(self, i: Beats, o: Beats) -> list[Process]:
        """When beats leave that are offered at its input only when there is room."""
        return [Process(self._read if self.block_ram else self._shift_out, i, o)]

    def place(self, o: Beats, result: int, cycle: int) -> Cycle:
        """A cycle, or the first after it in which `Places` has a place for a result."""
        if result < self.depth:
            return cycle
        return max(cycle, (yield from known(o.taken, result - self.depth)) + Places.latency)

    def _fill(self, i: Beats, inside: Beats, o: Beats) -> Cycles:
        """``taken`` of the beats inside is when they are read from the memory,
        which makes room for others."""
        departures, late = (inside.taken, 2) if self.block_ram else (o.taken, 1)
        before, depth = -late, self.depth
        for beat in count():
            cycle = max((yield from known(i.offered, beat)), before + 1)
            # that there is room is seen a cycle later, and so is the beat that takes the last of it
            if late == 2:
                cycle = max(cycle, 1)
                seen = beat - depth - (cycle == before + 1)
                if seen >= 0:
                    if (yield from known(departures, seen)) > cycle - 2 and seen < beat - depth:
                        seen, cycle = seen + 1, cycle + 1
                    cycle = max(cycle, (yield from known(departures, seen)) + 2)
            elif beat >= depth:
                cycle = max(cycle, (yield from known(departures, beat - depth)) + 1)
            i.taken.append(cycle)
            inside.offered.append(cycle)
            before = cycle

    def _shift_out(self, i: Beats, o: Beats) -> Cycles:
        departure = -1
        for beat in count():
            o.offered.append(max((yield from known(i.offered, beat)), departure) + 1)
            departure = yield from known(o.taken, beat)

    def _read(self, i: Beats, o: Beats) -> Cycles:
        """Read from memory, and moved to the register at the output if there is one;
        each when the beat before makes room."""
        departure = moved = -1
        for beat in count():
            read = max((yield from known(i.offered, beat)) + 1, moved)
            if not self.fast:
                i.taken.append(read)
            if beat:
                departure = yield from known(o.taken, beat - 1)
            if self.fast:
                moved = max(read, departure)
                i.taken.append(moved)
            else:
                moved = max(read + 1, departure)
            o.offered.append(moved + 1)


class Places:
    """Free places in a queue after a pipeline, taken when a result is begun and given back
    when it has left.

    So nothing after the beginning of a result ever stalls, and a pipeline needs no enables.

    Args:
        m: the module it counts in.
        queue: the queue.
        take: a result is begun in this cycle.

    Attributes:
        free: there is one.
    """

    latency = 3
    """Cycles from the departure of a result to its place being free."""

    @classmethod
    def needed(cls, latency: int, pace: int, burst: int = 1, least: int = 2) -> int:
        """Places for results that take ``latency`` cycles to the queue and leave it
        every ``pace`` cycles.

        They come as they leave, or ``burst`` of them in ``burst`` cycles, and each that has not
        left takes a place. With less than 2 places as the ``least``, a result may have to leave
        before the next is begun.
        """
        return max(least, -(-((burst - 1) * (pace - 1) + latency + cls.latency + 3) // pace))

    @classmethod
    def span(cls, queue: Queue, latency: int, count: int) -> int:
        """Cycles from the first of a number of results to the last,
        if nothing but places keeps them waiting."""
        back = latency + queue.latency + cls.latency
        return count - 1 + (count - 1) // queue.depth * max(0, back - queue.depth)

    def __init__(self, m: Module, queue: Queue, take: Value) -> None:
        places = Signal(range(queue.depth + 1), init=queue.depth)
        left = Signal()
        self.free = Signal(init=1)
        m.d.sync += [
            left.eq(queue.o.valid & queue.o.ready),
            places.eq(places - take + left),
            self.free.eq(
                Mux(take, places > 1 if queue.depth > 1 else 0, places > 0)
            ),  # take comes late: both are compared before
        ]
