"""Streams between stages: beats of one or more numbers, a packet of beats for every time step."""

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value
from amaranth.lib import data, fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.gateware.arithmetic import Storage
from ssm_hdl.operations import Edge

BLOCK_RAM_FROM = 256
"""Bits from which a queue goes to block RAM; smaller ones are registers."""


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


class Queue(wiring.Component):
    """A first-in, first-out buffer.

    One beat a cycle; latency 1 cycle in registers, 3 in block RAM.

    Args:
        shape: shape of a number.
        lanes: numbers in a beat.
        depth: beats that it holds.
        layers: layers that its packets may be at.

    Members:
        i: beats in.
        o: beats out.
    """

    def __init__(self, shape: Shape, lanes: int, depth: int, layers: int = 1) -> None:
        self.depth = depth
        super().__init__({"i": In(signature(shape, lanes, layers)), "o": Out(signature(shape, lanes, layers))})
        self.width = Shape.cast(self.i.p.shape()).width
        self.block_ram = depth * self.width >= BLOCK_RAM_FROM and depth > 2
        self.latency = 3 if self.block_ram else 1

    @property
    def storage(self) -> Storage:
        """Its memory."""
        return Storage("queue", self.depth + self.block_ram, self.width, self.block_ram)

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        if not self.block_ram:
            self._registers(m, self.depth, Value.cast(self.i.payload), self.i.valid, self.i.ready)
            return m
        # Readiness is a register that looks one cycle back, so that it takes one place more: a comparison with the level would
        # stand in the longest path of the pipeline.
        m.submodules.fifo = queue = fifo.SyncFIFOBuffered(width=self.width, depth=self.depth + 1)
        m.d.sync += self.i.ready.eq(queue.level < self.depth)
        m.d.comb += [
            queue.w_data.eq(Value.cast(self.i.payload)),
            queue.w_en.eq(self.i.valid & self.i.ready),
        ]
        self._registers(m, 2, queue.r_data, queue.r_rdy, queue.r_en)
        return m

    def _registers(self, m: Module, depth: int, payload: Value, valid: Value, ready: Signal) -> None:
        """A row of registers that moves up when the first leaves: its output is a register, with nothing to choose behind it."""
        full = Signal(depth)
        beats = [Signal(self.width, reset_less=True, name=f"beat_{place}") for place in range(depth)]
        push, pop = valid & ready, self.o.valid & self.o.ready
        m.d.comb += [
            ready.eq(~full[-1]),
            self.o.valid.eq(full[0]),
            Value.cast(self.o.payload).eq(beats[0]),
        ]
        with m.If(push & ~pop):
            m.d.sync += full.eq(Cat(1, full[:-1]))
        with m.Elif(pop & ~push):
            m.d.sync += full.eq(full[1:])
        for place, beat in enumerate(beats):
            with m.If(pop | ~full[place]):
                m.d.sync += beat.eq(payload)
                if place + 1 < depth:
                    with m.If(full[place + 1]):
                        m.d.sync += beat.eq(beats[place + 1])


class Fork(wiring.Component):
    """Copies of one stream for several readers; each takes a beat when it can, none twice.

    Latency 0.

    Args:
        shape: shape of a number.
        lanes: numbers in a beat.
        ways: number of readers.
        layers: layers that its packets may be at.

    Members:
        i: beats in.
        o: an array of streams out.
    """

    def __init__(self, shape: Shape, lanes: int, ways: int, layers: int = 1) -> None:
        self.ways = ways
        super().__init__({"i": In(signature(shape, lanes, layers)), "o": Out(signature(shape, lanes, layers)).array(ways)})

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        taken = Signal(self.ways)
        done = Cat(taken[way] | self.o[way].ready for way in range(self.ways))
        m.d.comb += self.i.ready.eq(done.all())
        for way in range(self.ways):
            m.d.comb += [self.o[way].payload.eq(self.i.payload), self.o[way].valid.eq(self.i.valid & ~taken[way])]
        with m.If(self.i.valid):
            m.d.sync += taken.eq(Mux(self.i.ready, 0, done))
        return m


class Repack(wiring.Component):
    """Beats of one width to beats of another; the wider is a multiple of the narrower.

    Cycles per packet of n numbers: ``n / min(i_lanes, o_lanes)``. Latency 1 cycle after the beat that completes an output.

    Args:
        shape: shape of a number.
        i_lanes: numbers in a beat that comes in.
        o_lanes: numbers in a beat that goes out.
        layers: layers that its packets may be at.

    Members:
        i: beats in.
        o: beats out.
    """

    def __init__(self, shape: Shape, i_lanes: int, o_lanes: int, layers: int = 1) -> None:
        if max(i_lanes, o_lanes) % min(i_lanes, o_lanes):
            raise SsmHdlError(f"Repack goes between multiples, not from {i_lanes} to {o_lanes} numbers a beat")
        self.i_lanes, self.o_lanes = i_lanes, o_lanes
        super().__init__({"i": In(signature(shape, i_lanes, layers)), "o": Out(signature(shape, o_lanes, layers))})

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        ratio = max(self.i_lanes, self.o_lanes) // min(self.i_lanes, self.o_lanes)
        beats, tag = Signal(range(ratio + 1)), Signal.like(tag_of(self.i.p))
        numbers = Signal(max(Shape.cast(self.i.p.data.shape()).width, Shape.cast(self.o.p.data.shape()).width))
        m.d.comb += [self.o.p.data.eq(numbers), tag_of(self.o.p).eq(tag)]
        widening = self.o_lanes > self.i_lanes
        if widening:  # the register fills beat by beat, newest on top
            step = Shape.cast(self.i.p.data.shape()).width
            m.d.comb += [self.o.valid.eq(beats == ratio), self.i.ready.eq(~self.o.valid | self.o.ready)]
            with m.If(self.o.valid & self.o.ready):
                m.d.sync += beats.eq(0)
            with m.If(self.i.valid & self.i.ready):
                m.d.sync += [
                    numbers.eq(Cat(numbers[step:], Value.cast(self.i.p.data))),
                    tag.eq(tag_of(self.i.p)),
                    beats.eq(Mux(self.o.valid, 1, beats + 1)),
                ]
        else:  # the register empties beat by beat, oldest at the bottom
            step = Shape.cast(self.o.p.data.shape()).width
            m.d.comb += [self.o.valid.eq(beats != 0), self.i.ready.eq((beats == 0) | ((beats == 1) & self.o.ready))]
            with m.If(self.o.valid & self.o.ready):
                m.d.sync += [numbers.eq(numbers >> step), beats.eq(beats - 1)]
            with m.If(self.i.valid & self.i.ready):
                m.d.sync += [numbers.eq(self.i.p.data), tag.eq(tag_of(self.i.p)), beats.eq(ratio)]
        return m


class Replay(wiring.Component):
    """Every group of beats several times over; the next group loads while one is replayed.

    Cycles per group: ``beats * passes``. Latency 2 cycles after the last beat of a group.

    Args:
        shape: shape of a number.
        lanes: numbers in a beat.
        beats: beats in a group.
        passes: times that a group is sent.
        layers: layers that its packets may be at.

    Members:
        i: beats in.
        o: beats out.
    """

    latency = 2

    def __init__(self, shape: Shape, lanes: int, beats: int, passes: int, layers: int = 1) -> None:
        self.beats, self.passes = beats, passes
        super().__init__({"i": In(signature(shape, lanes, layers)), "o": Out(signature(shape, lanes, layers))})

    @property
    def storage(self) -> Storage:
        """Its memory."""
        width = Shape.cast(self.i.p.shape()).width
        return Storage("replay", 2 * self.beats, width, 2 * self.beats * width >= BLOCK_RAM_FROM)

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        width = Shape.cast(self.i.p.shape()).width
        m.submodules.memory = banks = memory.Memory(shape=width, depth=2 * self.beats, init=[])
        write, read = banks.write_port(), banks.read_port()
        loaded = Signal(2)  # groups in the banks
        step = Signal()  # the registered read moves on
        load_bank, send_bank = Signal(), Signal()
        ready = loaded != 0
        load = Counter(m, self.beats, write.en)
        beat = Counter(m, self.beats, step & ready)
        turn = Counter(m, self.passes, beat.wraps)
        m.d.comb += [
            self.i.ready.eq(~loaded[1]),
            write.addr.eq(Mux(load_bank, self.beats, 0) + load.value),
            write.data.eq(self.i.payload),
            write.en.eq(self.i.valid & self.i.ready),
            read.addr.eq(Mux(send_bank, self.beats, 0) + beat.value),
            step.eq(~self.o.valid | self.o.ready),
            read.en.eq(step),
            Value.cast(self.o.payload).eq(read.data),
        ]
        m.d.sync += [
            loaded.eq(loaded + load.wraps - turn.wraps),
            load_bank.eq(load_bank ^ load.wraps),
            send_bank.eq(send_bank ^ turn.wraps),
        ]
        with m.If(step):
            m.d.sync += self.o.valid.eq(ready)
        return m


class Counter:
    """A counter that wraps; that it is about to is a register of its own, not a comparison in front of everything else.

    Args:
        m: the module it counts in.
        limit: number of values.
        advance: count in this cycle.

    Attributes:
        value: 0 to ``limit - 1``.
        first: the value is 0.
        last: the value is ``limit - 1``.
        wraps: it is, and the counter advances.
    """

    def __init__(self, m: Module, limit: int, advance: Value) -> None:
        self.value = Signal(range(limit))
        self.first = Signal(init=1)
        self.last = Signal(init=limit == 1)
        self.wraps = advance & self.last
        with m.If(advance):
            m.d.sync += [
                self.value.eq(Mux(self.last, 0, self.value + 1)),
                self.first.eq(self.last),
                self.last.eq(1 if limit == 1 else self.value == limit - 2),
            ]


class Places:
    """Free places in a queue behind a pipeline, taken when a result is begun and given back when it has left.

    So nothing behind the beginning of a result ever stalls, and a pipeline needs no enables.

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
    def needed(cls, latency: int, pace: int) -> int:
        """Places for a result every ``pace`` cycles that takes ``latency`` cycles to the queue."""
        return max(2, -(-(latency + cls.latency + 3) // pace))

    def __init__(self, m: Module, queue: Queue, take: Value) -> None:
        places = Signal(range(queue.depth + 1), init=queue.depth)
        left = Signal()
        self.free = Signal(init=1)
        m.d.sync += [
            left.eq(queue.o.valid & queue.o.ready),
            places.eq(places - take + left),
            self.free.eq(places > take),
        ]
