"""Beats of one width to beats of another: the widths on their way, and the component for each."""

import math
from itertools import count

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, ValueLike
from amaranth.lib.wiring import In, Out

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.stream import Component, beats, signature, tag_of
from ssm_hdl.gateware.timing import Beats, Cycles, Process, known


def widths(i_lanes: int, o_lanes: int, packet: int) -> list[int]:
    """The widths that beats have on their way from one to another:
    through a common divisor if neither is a multiple.

    Beats of several packets are cut where packets end.

    Args:
        i_lanes: numbers in a beat that comes.
        o_lanes: numbers in a beat that goes.
        packet: numbers after which beats are filled up, or a divisor of the lanes of beats
            that hold several.
    """
    if i_lanes == o_lanes:
        return []
    common = math.gcd(i_lanes, o_lanes, *([packet] if max(i_lanes, o_lanes) > packet else []))
    return [width for width, before in ((common, i_lanes), (o_lanes, common)) if width != before]


def passing(i_lanes: int, o_lanes: int, packet: int) -> float:
    """Cycles of a packet on that way; less than 1 where several share a beat."""
    cycles, came = packet / i_lanes, i_lanes
    for width in widths(i_lanes, o_lanes, packet):
        few, many = sorted((came, width))
        whole = many // few * beats(packet, many) if width > came else beats(packet, few)
        cycles, came = max(cycles, whole if many <= packet else packet / few), width
    return cycles


class Repack(Component):
    """Beats of one width to beats of another; the wider is a multiple of the narrower.

    Where the wider beat does not divide a packet, the last one is padded. Narrowed, it becomes only
    the beats that hold numbers of the packet. Gathered, it takes the cycles of a whole beat.

    Cycles per packet of n numbers: ``n / min(i_lanes, o_lanes)``, n being filled up where beats
    become wider, and one more for each of the wider beats if it is slow. Latency 1 cycle after the
    beat that completes an output, 2 if it works ahead.

    Args:
        shape: shape of a number.
        i_lanes: numbers in a beat that comes in.
        o_lanes: numbers in a beat that goes out.
        layers: layers that its packets may be at.
        held: cycles in which its reader works with each beat; the next is gathered meanwhile if
            there are several.
        slow: that it is ready does not depend on its reader in the same cycle, which keeps the
            paths of ready signals short. It does not either where a reader holds
            beats for long enough.
        packet: numbers of a packet; 0 if the wider of the beats divides it.

    Members:
        i: beats in.
        o: beats out.
    """

    def __init__(
        self,
        shape: Shape,
        i_lanes: int,
        o_lanes: int,
        layers: int = 1,
        held: int = 1,
        slow: bool = False,
        packet: int = 0,
    ) -> None:
        if max(i_lanes, o_lanes) % min(i_lanes, o_lanes):
            raise SsmHdlError(
                f"Repack goes between multiples, not from {i_lanes} to {o_lanes} numbers per beat"
            )
        self.shape, self.i_lanes, self.o_lanes, self.ahead = (
            shape,
            i_lanes,
            o_lanes,
            held > 1 and o_lanes > i_lanes,
        )
        self.slow = slow or (self.ahead and held > o_lanes // i_lanes)
        self.latency = 2 if self.ahead else 1
        few, many = sorted((i_lanes, o_lanes))
        self._packet = packet if many <= packet and packet % many else many
        # of the narrower in the last of the wider
        self._rest = beats(self._packet - (beats(self._packet, many) - 1) * many, few)
        super().__init__(
            {
                "i": In(signature(shape, i_lanes, layers)),
                "o": Out(signature(shape, o_lanes, layers)),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        if self.o_lanes > self.i_lanes:
            self._widen(m)
        else:
            self._narrow(m)
        return m

    def _widen(self, m: Module) -> None:
        """A register that fills beat by beat, newest on top,
        and a second one after it to work ahead."""
        ratio, step = self.o_lanes // self.i_lanes, Shape.cast(self.i.p.data.shape()).width
        held, tag, numbers = self._registers(ratio)
        full, moves, fills, takes = (
            held == ratio,
            Signal(name="moves"),
            Signal(name="fills"),
            Signal(name="takes"),
        )
        m.d.comb += [
            self.i.ready.eq((~full | (0 if self.slow else moves)) & ~fills),
            takes.eq(self.i.valid & self.i.ready),
        ]
        if self._rest < ratio:
            ends = Counter(m, beats(self._packet, self.i_lanes), takes).wraps
            m.d.sync += fills.eq(ends | (fills & (held != ratio - 1)))
        with m.If(takes):
            m.d.sync += tag.eq(tag_of(self.i.p))
        if self.ahead:
            free = ~self.o.valid | self.o.ready
            m.d.comb += moves.eq(full & free)
            with m.If(free):
                m.d.sync += [
                    self.o.valid.eq(full),
                    self.o.p.data.eq(numbers),
                    tag_of(self.o.p).eq(tag),
                ]
        else:
            m.d.comb += [moves.eq(full & self.o.ready), self.o.valid.eq(full)]
            m.d.comb += [self.o.p.data.eq(numbers), tag_of(self.o.p).eq(tag)]
        with m.If(moves):
            m.d.sync += held.eq(0)
        with m.If(takes | fills):
            m.d.sync += [
                numbers.eq(Cat(numbers[step:], Value.cast(self.i.p.data))),
                held.eq(Mux(full, 1, held + 1)),
            ]

    def _narrow(self, m: Module) -> None:
        """A register that empties beat by beat, oldest at the bottom."""
        ratio, step = self.i_lanes // self.o_lanes, Shape.cast(self.o.p.data.shape()).width
        held, tag, numbers = self._registers(ratio)
        m.d.comb += [self.o.p.data.eq(numbers), tag_of(self.o.p).eq(tag)]
        leaves, takes = 0 if self.slow else (held == 1) & self.o.ready, Signal(name="takes")
        m.d.comb += [
            self.o.valid.eq(held != 0),
            self.i.ready.eq((held == 0) | leaves),
            takes.eq(self.i.valid & self.i.ready),
        ]
        some: ValueLike = ratio
        if self._rest < ratio:
            some = Mux(Counter(m, beats(self._packet, self.i_lanes), takes).last, self._rest, ratio)
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [numbers.eq(numbers >> step), held.eq(held - 1)]
        with m.If(takes):
            m.d.sync += [numbers.eq(self.i.p.data), tag.eq(tag_of(self.i.p)), held.eq(some)]

    def _registers(self, ratio: int) -> tuple[Signal, Signal, Signal]:
        """How many narrow beats are held, the tag that they share, and their numbers."""
        width = max(Shape.cast(port.p.data.shape()).width for port in (self.i, self.o))
        return (
            Signal(range(ratio + 1), name="held"),
            Signal.like(tag_of(self.i.p), name="tag"),
            Signal(width, name="numbers"),
        )

    def timing(self, i: Beats, o: Beats) -> list[Process]:
        """When its beats move."""
        return [Process(self._gather if self.o_lanes > self.i_lanes else self._scatter, i, o)]

    @property
    def _parts(self) -> list[int]:
        """Narrow beats in each of the wide ones of a packet."""
        many, few = max(self.i_lanes, self.o_lanes), min(self.i_lanes, self.o_lanes)
        return [*[many // few] * (beats(self._packet, many) - 1), self._rest]

    def _gather(self, i: Beats, o: Beats) -> Cycles:
        beat, cycle, departure, parts, ratio = 0, -1, -1, self._parts, self.o_lanes // self.i_lanes
        for wide in count():
            for part in range(parts[wide % len(parts)]):
                came = yield from known(i.offered, beat)
                if part == 0 and wide and not self.ahead:
                    departure = yield from known(o.taken, wide - 1)
                cycle = max(came, cycle + 1, departure + self.slow if part == 0 else 0)
                i.taken.append(cycle)
                beat += 1
            full = cycle + 1 + ratio - parts[wide % len(parts)]
            if self.ahead:  # to another register, once the beat before has left that
                departure = max(full, (yield from known(o.taken, wide - 1)) if wide else 0)
                full = departure + 1
            o.offered.append(full)

    def _scatter(self, i: Beats, o: Beats) -> Cycles:
        beat, departure, parts = 0, -1, self._parts
        for wide in count():
            departure = max(
                (yield from known(i.offered, wide)), departure + self.slow if wide else 0
            )
            i.taken.append(departure)
            departure += 1
            for _ in range(parts[wide % len(parts)]):
                o.offered.append(departure)
                departure = (yield from known(o.taken, beat)) + 1
                beat += 1
            departure -= 1
