# amaranth: UnusedElaboratable=no
"""SPI target for a microcontroller: mode 0, most significant bit first, its clock at most an eighth of ours."""

from typing import Any, ClassVar

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib.cdc import FFSynchronizer

from ssm_hdl.gen.wrappers.base import Wrapper, whole_bytes
from ssm_hdl.operations import Edge

SAMPLES, FINAL_SAMPLES, RESULTS = 1, 2, 3
"""Commands: the first byte of a transfer. While it comes, the status goes out.

- Status: bit 0, a sample can be taken; bit 1, a result is there; bit 2, it is of the last time step; bit 3, a sample was lost.
- SAMPLES, FINAL_SAMPLES: samples follow, in whole bytes, the most significant first; FINAL_SAMPLES samples of the last time step.
- RESULTS: for each result that is read a byte of status and the result in whole bytes; without bit 1 it is none.
"""


class Spi(Wrapper):
    """SPI target. A sample that cannot be taken is lost, and the status says so until the next transfer."""

    name = "spi"
    meaning: ClassVar[dict[str, str]] = {
        "spi": "SPI target, mode 0; the first byte is a command: 1 samples, 2 samples of the last time step, 3 results",
    }

    def __init__(self, pipeline: Any, i_edge: Edge, o_edge: Edge, fingerprint: int) -> None:
        super().__init__(pipeline, i_edge, o_edge, fingerprint)
        for name in ("cs_n", "sck", "copi", "cipo"):
            self.port(f"spi_{name}")

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        m.submodules.pipeline = pipeline = self.pipeline
        i, o = pipeline.i, pipeline.o
        cs_n, sck, copi = Signal(init=1, name="cs_n"), Signal(name="sck"), Signal(name="copi")
        for name, signal in (("cs_n", cs_n), ("sck", sck), ("copi", copi)):
            m.submodules[f"sync_{name}"] = FFSynchronizer(self.ports[f"spi_{name}"], signal, init=signal.init)
        before, rises, falls = Signal(name="before"), Signal(name="rises"), Signal(name="falls")
        m.d.sync += before.eq(sck)
        m.d.comb += [rises.eq(~cs_n & sck & ~before), falls.eq(~cs_n & ~sck & before)]

        # A byte: the bits that came, how many, and those that still go out.
        came, out, bits, whole = Signal(8, name="came"), Signal(8, name="out"), Signal(3, name="bits"), Signal(name="whole")
        byte = Cat(copi, came[:-1])
        m.d.comb += [whole.eq(rises & (bits == 7)), self.ports["spi_cipo"].eq(out[-1])]
        command, lost, wants = Signal(2, name="command"), Signal(name="lost"), Signal(name="wants")
        status = Cat(i.ready, o.valid, o.p.last & o.valid, lost)
        with m.If(rises):
            m.d.sync += [came.eq(byte), bits.eq(bits + 1)]
        with m.If(falls & (bits != 0)):
            m.d.sync += out.eq(out << 1)

        # Samples: `number` gathers the bytes of one; it goes in when the last has come.
        n_i, n_o = whole_bytes(self.i_edge), whole_bytes(self.o_edge)
        number, offered = Signal(8 * n_i, name="number"), Signal(name="offered")
        data = Signal(8 * n_o, name="data")
        filling, sending = Signal(name="filling"), Signal(name="sending")
        m.d.comb += filling.eq(whole & ((command == SAMPLES) | (command == FINAL_SAMPLES)))
        place = Signal(range(max(n_i, n_o + 1)), name="place")  # of the next byte in its number
        m.d.sync += offered.eq(filling & (place == n_i - 1))
        with m.If(filling):
            m.d.sync += [number.eq(Cat(byte, number)), place.eq(Mux(place == n_i - 1, 0, place + 1))]
        m.d.comb += [i.valid.eq(offered), Value.cast(i.p.data).eq(self.offer(number)), i.p.last.eq(command == FINAL_SAMPLES)]
        with m.If(offered & ~i.ready):
            m.d.sync += lost.eq(1)

        # Results: a status, then the bytes of the result that was there when the status went out.
        m.d.comb += sending.eq(whole & Mux(command == 0, byte[:2] == RESULTS, command == RESULTS))
        with m.If(whole):
            m.d.sync += out.eq(0)
        with m.If(sending):
            m.d.sync += place.eq(Mux(place == n_o, 0, place + 1))
            with m.If(place == 0):
                m.d.sync += [out.eq(status), data.eq(self.result), wants.eq(o.valid)]
            with m.Else():
                m.d.sync += [out.eq(data[-8:]), data.eq(data << 8)]
        m.d.comb += o.ready.eq(wants)
        with m.If(wants):
            m.d.sync += wants.eq(0)
        with m.If(whole & (command == 0)):
            m.d.sync += command.eq(byte)
        with m.If(cs_n):
            m.d.sync += [bits.eq(0), command.eq(0), place.eq(0), out.eq(status)]
        with m.If(rises & (bits == 0) & (command == 0)):
            m.d.sync += lost.eq(0)
        return m
