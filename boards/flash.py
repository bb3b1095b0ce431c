# amaranth: UnusedElaboratable=no
"""A reader of the SPI flash that configures the board and that also holds the
contents of its SPRAM."""

import math

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

WAKE, READ = 0xAB, 0x03
"""SPI commands: release from deep power-down, and read from a 24-bit address on.

The first is needed because an iCE40 may leave its flash powered down after configuration.
"""

HALF_SECONDS = 40e-9
"""Shortest half of a bit, for 12.5 MHz: every flash supports its plain read there,
and its bits settle well before the sample."""

PAUSE_SECONDS = 50e-6
"""From the wake-up to the next command; flashes ask for 3 to 35 microseconds."""


class FlashReader(wiring.Component):
    """Streams the flash from an address on, starting after every reset.
    SCK stops until a byte is taken.

    A byte takes ``16 * half`` cycles, in SPI mode 0: bits change on the falling edge and are
    sampled on the rising one.

    Args:
        address: of the first byte.
        clock_hz: the clock.

    Members:
        cs, sck, copi, cipo: the pins; ``cs`` is high while the flash is selected.
        o: the bytes.
    """

    def __init__(self, address: int, clock_hz: float) -> None:
        self.address = address
        self.half, self.pause = (
            max(2, math.ceil(HALF_SECONDS * clock_hz)),
            math.ceil(PAUSE_SECONDS * clock_hz),
        )
        pins = {"cs": Out(1), "sck": Out(1), "copi": Out(1), "cipo": In(1)}
        super().__init__(pins | {"o": Out(stream.Signature(8))})

    def cycles(self, count: int) -> int:
        """Cycles from a reset within which some bytes have come, if each is taken at once."""
        # with some cycles between bytes, and the commands
        return self.pause + (16 * self.half + 4) * (count + 64)

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        out, left = (
            Signal(32, init=WAKE << 24, name="out"),
            Signal(range(33), init=8, name="left"),
        )  # bits to send; bits until the next pause
        time, wait = (
            Signal(range(self.half), init=self.half - 1, name="time"),
            Signal(range(self.pause), init=self.pause - 1, name="wait"),
        )
        byte = Signal(8)
        m.d.comb += [self.copi.eq(out[-1]), self.o.payload.eq(byte)]
        with m.If(self.cs & (left != 0)):
            m.d.sync += time.eq(time - 1)
            with m.If(time == 0):
                m.d.sync += [time.eq(self.half - 1), self.sck.eq(~self.sck)]
                with m.If(self.sck):
                    m.d.sync += [out.eq(out << 1), left.eq(left - 1)]
                with m.Else():
                    m.d.sync += byte.eq(Cat(self.cipo, byte))
        with m.FSM():
            with m.State("WAKE"):
                m.d.sync += self.cs.eq(left != 0)
                with m.If(left == 0):
                    m.next = "PAUSE"
            with m.State("PAUSE"):
                m.d.sync += wait.eq(wait - 1)
                with m.If(wait == 0):
                    m.d.sync += [
                        out.eq(Cat(Const(self.address, 24), Const(READ, 8))),
                        left.eq(32),
                        self.cs.eq(1),
                    ]
                    m.next = "COMMAND"
            with m.State("COMMAND"), m.If(left == 0):
                m.d.sync += left.eq(8)
                m.next = "BYTES"
            with m.State("BYTES"):
                m.d.comb += self.o.valid.eq(left == 0)
                with m.If(self.o.valid & self.o.ready):
                    m.d.sync += left.eq(8)
        return m
