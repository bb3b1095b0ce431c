# amaranth: UnusedElaboratable=no
"""The accelerator with a serial line, and this shell on the pins of a board."""

from functools import cache, partial
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Module, ResetSignal, Signal
from amaranth.lib import io, wiring
from amaranth.lib.cdc import ResetSynchronizer
from amaranth.lib.wiring import In, Out, connect

from ssm_hdl import Manifest
from ssm_hdl.boards.board import Board
from ssm_hdl.boards.feedback import Feedback
from ssm_hdl.boards.flash import FlashReader
from ssm_hdl.boards.frame import Answers, Requests
from ssm_hdl.boards.pll import Pll
from ssm_hdl.boards.protocol import Status
from ssm_hdl.boards.uart import Receiver, Transmitter, divisor
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.yosys import to_verilog

IDLE_SECONDS = 0.02
"""Time without a byte after which a frame counts as broken off."""

_RESET_SECONDS = 20e-6  # iCE40 block RAMs read 0 for some microseconds after configuration


class Shell(wiring.Component):
    """The pipeline of a manifest with a serial line for samples and results.

    Args:
        manifest: the integer program.
        plan: its hardware.
        divisor: clock cycles per bit.
        timeout: clock cycles without a byte after which a frame counts as broken off.
        flash_offset: where the contents of SPRAM begin in the flash.
        clock_hz: the clock, which sets the divider of the flash's clock.

    Members:
        rx: the line from the host.
        tx: the line to the host.
        busy: a request is coming, running or being answered.
        refused: the last request was not run, or the SPRAM tables are not loaded.
        loaded: the SPRAM tables are loaded, or there are none.
        flash_cs, flash_sck, flash_copi, flash_cipo: pins of the flash with the SPRAM tables,
            if there are any.
    """

    def __init__(
        self,
        manifest: Manifest,
        plan: Plan,
        divisor: int,
        timeout: int,
        flash_offset: int = 0,
        clock_hz: float = 12e6,
    ) -> None:
        self.receiver, self.transmitter = Receiver(divisor), Transmitter(divisor)
        self.requests, self.answers = Requests(manifest, timeout), Answers(manifest)
        self.pipeline = Pipeline(manifest, plan)
        self.flash = FlashReader(flash_offset, clock_hz) if self.pipeline.sprams else None
        pins = (
            {"flash_cs": Out(1), "flash_sck": Out(1), "flash_copi": Out(1), "flash_cipo": In(1)}
            if self.flash
            else {}
        )
        line = {"rx": In(1, init=1), "tx": Out(1, init=1)}
        super().__init__({**line, "busy": Out(1), "refused": Out(1), "loaded": Out(1), **pins})

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        m.submodules.receiver, m.submodules.transmitter = self.receiver, self.transmitter
        m.submodules.requests, m.submodules.answers = self.requests, self.answers
        m.submodules.pipeline = self.pipeline
        connect(m, self.receiver.o, self.requests.i)
        samples, result = self.requests.o, self.pipeline.o
        if self.pipeline.manifest.feeds_back:
            m.submodules.feedback = feedback = Feedback(self.pipeline.manifest)
            connect(m, samples, feedback.i)
            samples = feedback.o
            given = result.valid & result.ready
            m.d.comb += [
                feedback.fed.eq(self.requests.fed),
                feedback.given.eq(given),
                feedback.result.eq(result.p.data[0]),
            ]
        connect(m, samples, self.pipeline.i)
        connect(m, self.requests.reply, self.answers.reply)
        connect(m, self.pipeline.o, self.answers.i)
        connect(m, self.answers.o, self.transmitter.i)
        m.d.comb += [
            self.receiver.rx.eq(self.rx),
            self.tx.eq(self.transmitter.tx),
            self.busy.eq(self.requests.busy),
        ]
        reply, refused = self.requests.reply, Signal(name="refused")
        with m.If(reply.valid & reply.ready):
            m.d.sync += refused.eq(reply.p.status != Status.OK)
        loaded = self.pipeline.loaded
        m.d.comb += [
            self.requests.loaded.eq(loaded),
            self.loaded.eq(loaded),
            self.refused.eq(refused | ~loaded),
        ]
        if self.flash is not None:
            m.submodules.flash = flash = self.flash
            connect(m, flash.o, self.pipeline.w)
            m.d.comb += [
                self.flash_cs.eq(flash.cs),
                self.flash_sck.eq(flash.sck),
                self.flash_copi.eq(flash.copi),
            ]
            m.d.comb += flash.cipo.eq(self.flash_cipo)
        return m


def shell_verilog(
    manifest: Manifest,
    plan: Plan,
    divisor: int,
    timeout: int,
    flash_offset: int = 0,
    clock_hz: float = 12e6,
) -> str:
    """The Verilog text of a `Shell` for simulation: module ``shell``, ports ``clk``,
    ``rst`` and its members."""
    m = Module()
    m.domains.sync = domain = ClockDomain()
    m.submodules.shell = shell = Shell(manifest, plan, divisor, timeout, flash_offset, clock_hz)
    ports = {"rx": shell.rx, "tx": shell.tx, "busy": shell.busy, "refused": shell.refused}
    if shell.flash is not None:
        ports |= {
            name: getattr(shell, name)
            for name in ("flash_cs", "flash_sck", "flash_copi", "flash_cipo")
        }
    wires = {name: Signal(name=name) for name in ports}
    for name, member in ports.items():
        m.d.comb += (
            member.eq(wires[name]) if name in ("rx", "flash_cipo") else wires[name].eq(member)
        )
    pins = [domain.clk, domain.rst, *wires.values()]
    return to_verilog(rtlil.convert(m, name="shell", ports=pins, emit_src=False))


def line_of(board: Board, clock_hz: float) -> tuple[int, int]:
    """Clock cycles per bit of a board's serial line,
    and those after which a frame counts as broken off.

    Raises:
        SsmHdlError: the clock cannot make the bit rate.
    """
    return divisor(clock_hz, board.baud), round(IDLE_SECONDS * clock_hz)


class Top(Elaboratable):
    """The shell on a board: its pins, its clock, and a reset that lasts until the clock is stable.

    Args:
        board: the board.
        pll: its clock.
        manifest: the integer program.
        plan: its hardware.

    Raises:
        SsmHdlError: the clock cannot make the bit rate of the board's serial line.
    """

    def __init__(self, board: Board, pll: Pll, manifest: Manifest, plan: Plan) -> None:
        self.board, self.pll = board, pll
        self.shell = Shell(
            manifest, plan, *line_of(board, pll.clock_hz), board.flash_offset, pll.clock_hz
        )

    def elaborate(self, platform: Any) -> Module:  # noqa: D102
        m = Module()
        m.submodules.shell = self.shell
        ready = self._clock(m, platform)
        uart = platform.request("uart", 0, dir="-")
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.d.comb += self.shell.rx.eq(rx.i)
        outputs = {"tx": (uart.tx, self.shell.tx)}
        request = cache(partial(platform.request, dir="-"))  # two LEDs may be pins of one resource
        leds = zip(
            self.board.leds,
            ("ready", "refused"),
            (ready & self.shell.loaded, self.shell.refused),
            strict=False,
        )
        for (resource, number, *member), name, level in (
            *leds,
            *((pin, f"high_{pin[0]}", 1) for pin in self.board.high),
        ):
            pin = request(resource, number)
            outputs[name] = (getattr(pin, *member) if member else pin, level)
        if self.shell.flash is not None:
            pins = platform.request(self.board.flash, 0, dir="-")
            m.submodules.cipo = cipo = io.Buffer("i", pins.cipo)
            m.d.comb += self.shell.flash_cipo.eq(cipo.i)
            outputs |= {
                f"flash_{name}": (getattr(pins, name), getattr(self.shell, f"flash_{name}"))
                for name in ("cs", "copi")
            }
            outputs |= {
                "flash_clk": (pins.clk, self.shell.flash_sck),
                "flash_wp": (pins.wp, 0),
                "flash_hold": (pins.hold, 0),
            }
        for name, (pin, level) in outputs.items():
            m.submodules[name] = buffer = io.Buffer("o", pin)
            m.d.comb += buffer.o.eq(level)
        return m

    def _clock(self, m: Module, platform: Any) -> Signal:
        """The domain ``sync`` from the PLL, in reset until it has been locked for a while."""
        clock, locked, ready = Signal(name="clock"), Signal(name="locked"), Signal(name="ready")
        # a register of its own: it crosses the whole device, which leaves no time for logic
        reset = Signal(init=1)
        pin = platform.request(self.board.oscillator, 0, dir="-")
        m.submodules += self.pll.cell(pin.io, clock, locked)
        # The counter needs a domain that only the lock resets:
        # `sync` is in reset until it has counted.
        m.domains += [ClockDomain("start"), ClockDomain("sync")]
        m.submodules += ResetSynchronizer(~locked, domain="start")
        cycles = round(_RESET_SECONDS * self.pll.clock_hz)
        # stops at its top bit, which needs no comparison
        waited = Signal((cycles - 1).bit_length() + 1, name="waited")
        with m.If(~waited[-1]):
            m.d.start += waited.eq(waited + 1)
        m.d.start += [ready.eq(waited[-1]), reset.eq(~ready)]
        m.d.comb += [
            ClockSignal("start").eq(clock),
            ClockSignal("sync").eq(clock),
            ResetSignal("sync").eq(reset),
        ]
        return ready
