"""Streams between stages: beats of one or more numbers, a packet of beats for every time step."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.operations import Edge


def shape_of(edge: Edge) -> Shape:
    """Amaranth shape of one real number of an edge."""
    return Shape(edge.format.width, edge.format.signed)


def reals(edge: Edge) -> int:
    """Real numbers in a packet: a complex element is two, real then imaginary."""
    return edge.size * (2 if edge.is_complex else 1)


def signature(shape: Shape, lanes: int = 1, layers: int = 1) -> stream.Signature:
    """A stream of beats of ``lanes`` real numbers.

    The payload has two members: ``data``, an array of the numbers, and ``last``, true in every beat of the last time step of
    a sequence. Where stages serve several layers there is a third, ``layer``: the one that the packet is at.
    """
    tag = {"last": 1, "layer": range(layers)} if layers > 1 else {"last": 1}
    return stream.Signature(data.StructLayout({"data": data.ArrayLayout(shape, lanes), **tag}))


def lanes(port: stream.Interface) -> int:
    """Numbers in a beat of a stream."""
    return len(port.p.data)


def tag_of(payload: data.View) -> Value:
    """What a beat carries beside its numbers, the same in every beat of a packet; stages hand it on as it is."""
    return Value.cast(payload)[len(Value.cast(payload.data)) :]


def layer_of(payload: data.View) -> Value:
    """The layer that a packet is at; no bits where there is but one."""
    return tag_of(payload)[1:]


class Fork(wiring.Component):
    """Copies of one stream for several readers; each takes a beat when it can, none twice.

    A beat a cycle, or every other if it is slow. Latency 0.

    Args:
        shape: shape of a number.
        lanes: numbers in a beat.
        ways: number of readers.
        layers: layers that its packets may be at.
        slow: that it is ready does not depend on its readers in the same cycle, which keeps the paths of ready signals short.

    Members:
        i: beats in.
        o: an array of streams out.
    """

    def __init__(self, shape: Shape, lanes: int, ways: int, layers: int = 1, slow: bool = False) -> None:
        self.ways, self.slow = ways, slow
        super().__init__({"i": In(signature(shape, lanes, layers)), "o": Out(signature(shape, lanes, layers)).array(ways)})

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        taken = Signal(self.ways)
        done = Cat(taken[way] | self.o[way].ready for way in range(self.ways))
        m.d.comb += self.i.ready.eq((taken if self.slow else done).all())
        for way in range(self.ways):
            m.d.comb += [self.o[way].payload.eq(self.i.payload), self.o[way].valid.eq(self.i.valid & ~taken[way])]
        with m.If(self.i.valid):
            m.d.sync += taken.eq(Mux(self.i.ready, 0, done))
        return m


class Repack(wiring.Component):
    """Beats of one width to beats of another; the wider is a multiple of the narrower.

    Cycles per packet of n numbers: ``n / min(i_lanes, o_lanes)``, and one more for each of the wider beats if it is slow. Latency
    1 cycle after the beat that completes an output, 2 if it works ahead.

    Args:
        shape: shape of a number.
        i_lanes: numbers in a beat that comes in.
        o_lanes: numbers in a beat that goes out.
        layers: layers that its packets may be at.
        held: cycles in which its reader works with each beat; the next is gathered meanwhile if there are several.
        slow: that it is ready does not depend on its reader in the same cycle, which keeps the paths of ready signals short. It
            does not either where a reader holds beats for long enough.

    Members:
        i: beats in.
        o: beats out.
    """

    def __init__(self, shape: Shape, i_lanes: int, o_lanes: int, layers: int = 1, held: int = 1, slow: bool = False) -> None:
        if max(i_lanes, o_lanes) % min(i_lanes, o_lanes):
            raise SsmHdlError(f"Repack goes between multiples, not from {i_lanes} to {o_lanes} numbers a beat")
        self.i_lanes, self.o_lanes, self.ahead = i_lanes, o_lanes, held > 1 and o_lanes > i_lanes
        self.slow = slow or (self.ahead and held > o_lanes // i_lanes)
        self.latency = 2 if self.ahead else 1
        super().__init__({"i": In(signature(shape, i_lanes, layers)), "o": Out(signature(shape, o_lanes, layers))})

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        if self.o_lanes > self.i_lanes:
            self._widen(m)
        else:
            self._narrow(m)
        return m

    def _widen(self, m: Module) -> None:
        """A register that fills beat by beat, newest on top; one more behind it, to work ahead."""
        ratio, step = self.o_lanes // self.i_lanes, Shape.cast(self.i.p.data.shape()).width
        beats, tag, numbers = self._registers(ratio)
        full, moves = beats == ratio, Signal()
        m.d.comb += self.i.ready.eq(~full | (0 if self.slow else moves))
        if self.ahead:
            free = ~self.o.valid | self.o.ready
            m.d.comb += moves.eq(full & free)
            with m.If(free):
                m.d.sync += [self.o.valid.eq(full), self.o.p.data.eq(numbers), tag_of(self.o.p).eq(tag)]
        else:
            m.d.comb += [moves.eq(full & self.o.ready), self.o.valid.eq(full)]
            m.d.comb += [self.o.p.data.eq(numbers), tag_of(self.o.p).eq(tag)]
        with m.If(moves):
            m.d.sync += beats.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [
                numbers.eq(Cat(numbers[step:], Value.cast(self.i.p.data))),
                tag.eq(tag_of(self.i.p)),
                beats.eq(Mux(full, 1, beats + 1)),
            ]

    def _narrow(self, m: Module) -> None:
        """A register that empties beat by beat, oldest at the bottom."""
        ratio, step = self.i_lanes // self.o_lanes, Shape.cast(self.o.p.data.shape()).width
        beats, tag, numbers = self._registers(ratio)
        m.d.comb += [self.o.p.data.eq(numbers), tag_of(self.o.p).eq(tag)]
        leaves = 0 if self.slow else (beats == 1) & self.o.ready
        m.d.comb += [self.o.valid.eq(beats != 0), self.i.ready.eq((beats == 0) | leaves)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [numbers.eq(numbers >> step), beats.eq(beats - 1)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [numbers.eq(self.i.p.data), tag.eq(tag_of(self.i.p)), beats.eq(ratio)]

    def _registers(self, ratio: int) -> tuple[Signal, Signal, Signal]:
        """How many narrow beats are held, the tag that they share, and their numbers."""
        width = max(Shape.cast(port.p.data.shape()).width for port in (self.i, self.o))
        return Signal(range(ratio + 1), name="beats"), Signal.like(tag_of(self.i.p), name="tag"), Signal(width, name="numbers")
