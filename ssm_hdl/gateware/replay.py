"""Beats sent more than once."""

from amaranth.hdl import Module, Mux, Shape, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gateware.memories import Ram, Storage
from ssm_hdl.gateware.stream import signature


class Replay(wiring.Component):
    """Every group of beats several times over; the next group loads while one is replayed.

    Cycles per group: ``beats * passes``. Latency 2 cycles after the last beat of a group.

    Args:
        shape: shape of a number.
        lanes: numbers in a beat.
        beats: beats in a group.
        passes: times that a group is sent.
        layers: layers that its packets may be at.
        marked: somebody looks at ``last``; it is not kept otherwise.

    Members:
        i: beats in.
        o: beats out.
    """

    latency = 2

    def __init__(self, shape: Shape, lanes: int, beats: int, passes: int, layers: int = 1, marked: bool = True) -> None:
        self.beats, self.passes = beats, passes
        super().__init__({"i": In(signature(shape, lanes, layers)), "o": Out(signature(shape, lanes, layers))})
        self.width = Shape.cast(self.i.p.shape()).width if marked else shape.width * lanes

    @property
    def storage(self) -> Storage:
        """Its memory."""
        return Storage("replay", 2 * self.beats, self.width, True)

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        banks = Ram(m, "memory", self.width, 2 * self.beats)
        write, read = banks.write, banks.read
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
            Value.cast(self.o.payload)[: self.width].eq(read.data),
        ]
        m.d.sync += [
            loaded.eq(loaded + load.wraps - turn.wraps),
            load_bank.eq(load_bank ^ load.wraps),
            send_bank.eq(send_bank ^ turn.wraps),
        ]
        with m.If(step):
            m.d.sync += self.o.valid.eq(ready)
        return m
