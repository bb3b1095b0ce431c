# amaranth: UnusedElaboratable=no
"""A register file, on Wishbone and on AXI4-Lite: samples, results, status, soft reset, interrupt."""

from typing import Any, ClassVar

from amaranth.hdl import Module, Mux, ResetInserter, Signal, Value

from ssm_hdl.gen.wrappers.base import Wrapper
from ssm_hdl.operations import Edge

STATUS, CONTROL, SAMPLE, FINAL_SAMPLE, RESULT, IDENTITY = range(6)
"""Words of 32 bits.

- STATUS, read: bit 0, a sample can be taken; bit 1, a result is there; bit 2, it belongs to the last time step.
- CONTROL: bit 0, soft reset, goes back to 0 by itself; bit 1, interrupt while a result is there.
- SAMPLE, write: a sample. FINAL_SAMPLE, write: a sample of the last time step of a sequence.
- RESULT, read: the next result, with its sign.
- IDENTITY, read: the fingerprint of the manifest.

A sample that cannot be taken and a result that is not there are errors on the bus, and change nothing.
"""


class _File(Wrapper):
    """The registers; a bus drives ``write``, ``read`` and their addresses."""

    def __init__(self, pipeline: Any, i_edge: Edge, o_edge: Edge, fingerprint: int) -> None:
        super().__init__(pipeline, i_edge, o_edge, fingerprint)
        self.write, self.write_to, self.written = Signal(name="write"), Signal(3, name="write_to"), Signal(32, name="written")
        self.read, self.read_from, self.found = Signal(name="read"), Signal(3, name="read_from"), Signal(32, name="found")
        self.no_write, self.no_read = Signal(name="no_write"), Signal(name="no_read")

    def registers(self) -> Module:
        """The module with the pipeline and the registers."""
        m = Module()
        resets, interrupts = Signal(), Signal()
        m.submodules.pipeline = ResetInserter(resets)(self.pipeline)
        i, o = self.pipeline.i, self.pipeline.o
        sample, result = Signal(), Signal()
        m.d.comb += [
            sample.eq((self.write_to == SAMPLE) | (self.write_to == FINAL_SAMPLE)), result.eq(self.read_from == RESULT),
            self.no_write.eq(Mux(sample, ~i.ready, self.write_to != CONTROL)),
            self.no_read.eq(result & ~o.valid),
            Value.cast(i.p.data).eq(self.offer(self.written)), i.p.last.eq(self.write_to == FINAL_SAMPLE),
            i.valid.eq(self.write & sample), o.ready.eq(self.read & result),
            self.ports["irq"].eq(interrupts & o.valid),
        ]  # fmt: skip
        m.d.sync += resets.eq(0)
        with m.If(self.write & (self.write_to == CONTROL)):
            m.d.sync += [resets.eq(self.written[0]), interrupts.eq(self.written[1])]
        with m.Switch(self.read_from):
            with m.Case(STATUS):
                m.d.comb += [self.found[0].eq(i.ready), self.found[1].eq(o.valid), self.found[2].eq(o.p.last & o.valid)]
            with m.Case(CONTROL):
                m.d.comb += self.found[1].eq(interrupts)
            with m.Case(RESULT):
                m.d.comb += self.found.eq(Mux(o.valid, self.result, 0))  # not what the queue holds from before
            with m.Case(IDENTITY):
                m.d.comb += self.found.eq(self.fingerprint)
            with m.Default():
                m.d.comb += self.found.eq(0)
        return m


class Wishbone(_File):
    """Wishbone B4, classic cycles, an access in two cycles; addresses count words."""

    name = "wishbone"
    meaning: ClassVar[dict[str, str]] = {
        "wb": "Wishbone B4, classic; words 0 status, 1 control, 2 sample, 3 sample of the last time step, 4 result, 5 identity",
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
        "s_axi": "AXI4-Lite; bytes 0x00 status, 0x04 control, 0x08 sample, 0x0c sample of the last time step, 0x10 result, "
        "0x14 identity",
        "irq": "a result is there, if control enables it",
    }

    def __init__(self, pipeline: Any, i_edge: Edge, o_edge: Edge, fingerprint: int) -> None:
        super().__init__(pipeline, i_edge, o_edge, fingerprint)
        address = {"addr": 5, "prot": 3, "valid": 1, "ready": 1}
        channels = {
            "aw": address, "w": {"data": 32, "strb": 4, "valid": 1, "ready": 1}, "b": {"resp": 2, "valid": 1, "ready": 1},
            "ar": address, "r": {"data": 32, "resp": 2, "valid": 1, "ready": 1},
        }  # fmt: skip
        for channel, pins in channels.items():
            for name, width in pins.items():
                self.port(f"s_axi_{channel}{name}", width)
        self.port("irq")

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m, bus = self.registers(), {name.removeprefix("s_axi_"): signal for name, signal in self.ports.items()}
        m.d.comb += [
            self.write.eq(bus["awvalid"] & bus["wvalid"] & ~bus["bvalid"]), self.read.eq(bus["arvalid"] & ~bus["rvalid"]),
            bus["awready"].eq(self.write), bus["wready"].eq(self.write), bus["arready"].eq(self.read),
            self.write_to.eq(bus["awaddr"][2:]), self.read_from.eq(bus["araddr"][2:]), self.written.eq(bus["wdata"]),
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
