# amaranth: UnusedElaboratable=no
"""A register file, on Wishbone and on AXI4-Lite: samples, results, status,
soft reset, interrupt."""

from enum import IntEnum, IntFlag
from typing import Any, ClassVar

from amaranth.hdl import Module, Mux, ResetInserter, Signal, Value

from ssm_hdl.errors import UsageError
from ssm_hdl.gen.wrappers.base import Wrapper
from ssm_hdl.operations import Edge


class Register(IntEnum):
    """Words of 32 bits. A sample that cannot be taken and a result that is not there are bus
    errors, and change nothing."""

    STATUS = 0  # read: bits of Status
    CONTROL = 1  # read, write: bits of Control
    SAMPLE = 2  # write: a sample
    FINAL_SAMPLE = 3  # write: a sample of the last time step of a sequence
    RESULT = 4  # read: the next result, with its sign
    IDENTITY = 5  # read: the fingerprint of the manifest


class Control(IntFlag):
    """Bits of the control register."""

    RESET = 1  # soft reset, goes back to 0 by itself
    INTERRUPT = 2  # interrupt while a result is there


BYTES = 4
"""Of a register."""


def _listed(base: str, unit: int) -> str:
    """Addresses and names of the registers."""
    return ", ".join(
        f"{unit * register:{base}} {register.name.lower().replace('_', ' ')}"
        for register in Register
    )


class _File(Wrapper):
    """The registers; a bus drives ``write``, ``read`` and their addresses."""

    def __init__(self, pipeline: Any, i_edge: Edge, o_edge: Edge, fingerprint: int) -> None:
        super().__init__(pipeline, i_edge, o_edge, fingerprint)
        for edge in (i_edge, o_edge):
            if edge.format.width > 8 * BYTES:
                raise UsageError(
                    f"{edge} does not go into a register of {8 * BYTES} bits; narrow the format, "
                    "or take another bus"
                )
        self.write, self.write_to, self.written = (
            Signal(name="write"),
            Signal(3, name="write_to"),
            Signal(32, name="written"),
        )
        self.read, self.read_from, self.found = (
            Signal(name="read"),
            Signal(3, name="read_from"),
            Signal(32, name="found"),
        )
        self.no_write, self.no_read = Signal(name="no_write"), Signal(name="no_read")

    def registers(self) -> Module:
        """The module with the pipeline and the registers."""
        m = Module()
        resets, interrupts = Signal(), Signal()
        m.submodules.pipeline = ResetInserter(resets)(self.pipeline)
        i, o = self.pipeline.i, self.pipeline.o
        sample, result = Signal(), Signal()
        m.d.comb += [
            sample.eq(
                (self.write_to == Register.SAMPLE) | (self.write_to == Register.FINAL_SAMPLE)
            ),
            result.eq(self.read_from == Register.RESULT),
            self.no_write.eq(Mux(sample, ~i.ready, self.write_to != Register.CONTROL)),
            self.no_read.eq(result & ~o.valid),
            Value.cast(i.p.data).eq(self.offer(self.written)),
            i.p.last.eq(self.write_to == Register.FINAL_SAMPLE),
            i.valid.eq(self.write & sample), o.ready.eq(self.read & result),
            self.ports["irq"].eq(interrupts & o.valid),
        ]  # fmt: skip
        m.d.sync += resets.eq(0)
        with m.If(self.write & (self.write_to == Register.CONTROL)):
            m.d.sync += [resets.eq(self.written[0]), interrupts.eq(self.written[1])]
        with m.Switch(self.read_from):
            with m.Case(Register.STATUS):
                m.d.comb += self.found.eq(self.status)
            with m.Case(Register.CONTROL):
                m.d.comb += self.found[1].eq(interrupts)
            with m.Case(Register.RESULT):
                # not what the queue holds from before
                m.d.comb += self.found.eq(Mux(o.valid, self.result, 0))
            with m.Case(Register.IDENTITY):
                m.d.comb += self.found.eq(self.fingerprint)
            with m.Default():
                m.d.comb += self.found.eq(0)
        return m


class Wishbone(_File):
    """Wishbone B4, classic cycles, an access in two cycles; addresses count words."""

    name = "wishbone"
    meaning: ClassVar[dict[str, str]] = {
        "wb": f"Wishbone B4, classic; words {_listed('', 1)}",
        "irq": "a result is there, if control enables it",
    }

    def __init__(self, pipeline: Any, i_edge: Edge, o_edge: Edge, fingerprint: int) -> None:
        super().__init__(pipeline, i_edge, o_edge, fingerprint)
        pins = {"cyc": 1, "stb": 1, "we": 1, "adr": 3, "dat_w": 32, "dat_r": 32, "ack": 1, "err": 1}
        for name, width in pins.items():
            self.port(f"wb_{name}", width)
        self.port("irq")

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = self.registers()
        cyc, stb, we, adr, dat_w, dat_r, ack, err = list(self.ports.values())[:8]
        asked = Signal()
        m.d.comb += [
            asked.eq(cyc & stb & ~ack & ~err), self.write.eq(asked & we), self.read.eq(asked & ~we),
            self.write_to.eq(adr), self.read_from.eq(adr), self.written.eq(dat_w),
        ]  # fmt: skip
        refused = Mux(we, self.no_write, self.no_read)
        m.d.sync += [ack.eq(asked & ~refused), err.eq(asked & refused), dat_r.eq(self.found)]
        return m


class Lite(_File):
    """AXI4-Lite, an access of each kind every other cycle; byte strobes do not count."""

    name = "lite"
    clocks = ("aclk", "aresetn")
    reset_low = True
    meaning: ClassVar[dict[str, str]] = {
        "s_axi": f"AXI4-Lite; bytes {_listed('#04x', BYTES)}",
        "irq": "a result is there, if control enables it",
    }

    def __init__(self, pipeline: Any, i_edge: Edge, o_edge: Edge, fingerprint: int) -> None:
        super().__init__(pipeline, i_edge, o_edge, fingerprint)
        address = {"addr": 5, "prot": 3, "valid": 1, "ready": 1}
        channels = {
            "aw": address, "w": {"data": 32, "strb": 4, "valid": 1, "ready": 1},
            "b": {"resp": 2, "valid": 1, "ready": 1},
            "ar": address, "r": {"data": 32, "resp": 2, "valid": 1, "ready": 1},
        }  # fmt: skip
        for channel, pins in channels.items():
            for name, width in pins.items():
                self.port(f"s_axi_{channel}{name}", width)
        self.port("irq")

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m, bus = (
            self.registers(),
            {name.removeprefix("s_axi_"): signal for name, signal in self.ports.items()},
        )
        m.d.comb += [
            self.write.eq(bus["awvalid"] & bus["wvalid"] & ~bus["bvalid"]),
            self.read.eq(bus["arvalid"] & ~bus["rvalid"]),
            bus["awready"].eq(self.write), bus["wready"].eq(self.write),
            bus["arready"].eq(self.read), self.write_to.eq(bus["awaddr"][2:]),
            self.read_from.eq(bus["araddr"][2:]), self.written.eq(bus["wdata"]),
        ]  # fmt: skip
        for valid, ready, asked, resp, refused in (
            (bus["bvalid"], bus["bready"], self.write, bus["bresp"], self.no_write),
            (bus["rvalid"], bus["rready"], self.read, bus["rresp"], self.no_read),
        ):
            with m.If(valid & ready):
                m.d.sync += valid.eq(0)
            with m.If(asked):
                m.d.sync += [valid.eq(1), resp.eq(Mux(refused, 0b10, 0b00))]
        with m.If(self.read):
            m.d.sync += bus["rdata"].eq(self.found)
        return m
