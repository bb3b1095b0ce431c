# amaranth: UnusedElaboratable=no
"""A serial line: 8 data bits, no parity, 1 stop bit."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from ssm_hdl.errors import SsmHdlError, UsageError

MIN_DIVISOR = 4
"""Fewest clock cycles per bit with which the receiver can sample in the middle of a bit."""

TOLERANCE = 0.02
"""Largest error of the bit rate. Two ends with opposite errors drift apart by 0.4 bits over a byte,
less than half a bit."""

FRAME_BITS = 10
"""Bits of a byte on the line: start, 8 data, stop."""


def divisor(clock_hz: float, baud: int) -> int:
    """Clock cycles per bit.

    Raises:
        UsageError: the clock is too slow, or not near enough to a multiple of the bit rate.
    """
    cycles = round(clock_hz / baud)
    if cycles < MIN_DIVISOR:
        raise UsageError(
            f"a clock of {clock_hz / 1e6:g} MHz is too slow for {baud:,} baud; "
            f"it has to be at least {MIN_DIVISOR} times as fast"
        )
    if abs(clock_hz / cycles / baud - 1) > TOLERANCE:
        raise UsageError(
            f"a clock of {clock_hz / 1e6:g} MHz gives {clock_hz / cycles:,.0f} baud instead of "
            f"{baud:,}, which is more than {TOLERANCE:.0%} off; choose that bit rate, "
            f"or a clock near a multiple of {baud / 1e6:g} MHz"
        )
    return cycles


def _check(divisor: int) -> None:
    if divisor < MIN_DIVISOR:
        raise SsmHdlError(
            f"{divisor} clock cycles per bit are too few; the serial line needs {MIN_DIVISOR}"
        )


class Receiver(wiring.Component):
    """Receives bytes from a serial line.

    A byte is valid from the middle of its stop bit on. A byte without a stop bit is dropped.
    So is a byte that arrives before the last one was taken.

    Args:
        divisor: clock cycles per bit.

    Members:
        rx: the line.
        o: bytes.
    """

    def __init__(self, divisor: int) -> None:
        _check(divisor)
        self.divisor = divisor
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)
        # cycles until the next sample; sample now
        time, due = Signal(range(self.divisor), name="time"), Signal(name="due")
        bits = Signal(range(FRAME_BITS + 1))  # bits of the byte still to come
        shift = Signal(8)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        m.d.sync += [time.eq(time - 1), due.eq(time == 1)]
        with m.If(bits == 0):
            m.d.sync += [
                bits.eq(Mux(line, 0, FRAME_BITS)),
                time.eq(self.divisor // 2 - 1),
                due.eq(0),
            ]
        with m.Elif(due):
            m.d.sync += [bits.eq(bits - 1), time.eq(self.divisor - 1)]
            with m.If(bits == FRAME_BITS):
                # high is a glitch, not a start bit
                m.d.sync += bits.eq(Mux(line, 0, FRAME_BITS - 1))
            with m.Elif(bits != 1):
                m.d.sync += shift.eq(Cat(shift[1:], line))
            with m.Elif(line & (~self.o.valid | self.o.ready)):
                m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(shift)]
        return m


class Transmitter(wiring.Component):
    """Sends bytes to a serial line, one every ``10 * divisor`` cycles;
    the start bit leaves one cycle after the byte is taken.

    Args:
        divisor: clock cycles per bit.

    Members:
        i: bytes.
        tx: the line.
    """

    def __init__(self, divisor: int) -> None:
        _check(divisor)
        self.divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        # cycles since this bit began; its last cycle
        time, ends = Signal(range(self.divisor), name="time"), Signal(name="ends")
        left = Signal(FRAME_BITS)  # a 1 for every bit that has not ended
        shift = Signal(FRAME_BITS - 1, init=-1)  # the next bits on the line
        take = self.i.valid & self.i.ready
        # `ready` is registered: it is set ahead, in the last bit,
        # so that the next start bit follows without a gap.
        soon = time == self.divisor - 2
        m.d.sync += [
            ends.eq(soon & ~take),
            time.eq(Mux(ends | take, 0, time + 1)),
            self.i.ready.eq(~take & ~left[1] & (self.i.ready | soon | ~left[0])),
        ]
        with m.If(take):
            m.d.sync += [
                left.eq(-1),
                Cat(self.tx, shift).eq(Cat(Const(0, 1), self.i.payload, Const(1, 1))),
            ]
        with m.Elif(ends):
            m.d.sync += [left.eq(left >> 1), Cat(self.tx, shift).eq(Cat(shift, Const(1, 1)))]
        return m
