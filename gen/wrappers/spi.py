# amaranth: UnusedElaboratable=no
"""SPI target for a microcontroller: mode 0, most significant bit first,
its clock at most an eighth of ours."""

from enum import IntEnum
from typing import Any, ClassVar

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib.cdc import FFSynchronizer

from ssm_hdl.gen.wrappers.base import Wrapper, whole_bytes
from ssm_hdl.operations import Edge


class Command(IntEnum):
    """The first byte of a transfer. While it comes, the status goes out.
    Other values do nothing."""

    STATUS = 0  # nothing more
    SAMPLES = 1  # samples follow, in whole bytes, the most significant first
    FINAL_SAMPLES = 2  # likewise, of the last time step of a sequence
    # for each result that is read: a byte of status, then the result;
    # without Status.RESULT it is none
    RESULTS = 3
    RESET = 4  # soft reset
    IDENTITY = 5  # a byte of status, then the fingerprint of the manifest in two bytes


class Spi(Wrapper):
    """SPI target. A sample that cannot be taken is lost,
    and the status says so until the next transfer."""

    name = "spi"
    meaning: ClassVar[dict[str, str]] = {
        "spi": "SPI target, mode 0; the first byte is a command: "
        + ", ".join(f"{command} {command.name.lower().replace('_', ' ')}" for command in Command),
    }

    def __init__(self, pipeline: Any, i_edge: Edge, o_edge: Edge, fingerprint: int) -> None:
        super().__init__(pipeline, i_edge, o_edge, fingerprint)
        for name in ("cs_n", "sck", "copi", "cipo"):
            self.port(f"spi_{name}")

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        resets = Signal(name="resets")
        m.submodules.pipeline = ResetInserter(resets)(self.pipeline)
        i, o = self.pipeline.i, self.pipeline.o
        cs_n, sck, copi = Signal(init=1, name="cs_n"), Signal(name="sck"), Signal(name="copi")
        for name, signal in (("cs_n", cs_n), ("sck", sck), ("copi", copi)):
            m.submodules[f"sync_{name}"] = FFSynchronizer(
                self.ports[f"spi_{name}"], signal, init=signal.init
            )
        before, rises, falls = Signal(name="before"), Signal(name="rises"), Signal(name="falls")
        m.d.sync += before.eq(sck)
        m.d.comb += [rises.eq(~cs_n & sck & ~before), falls.eq(~cs_n & ~sck & before)]

        # A byte: the bits that came, how many, and those that still go out.
        came, out, bits, whole = (
            Signal(8, name="came"),
            Signal(8, name="out"),
            Signal(3, name="bits"),
            Signal(name="whole"),
        )
        byte = Cat(copi, came[:-1])
        m.d.comb += [whole.eq(rises & (bits == 7)), self.ports["spi_cipo"].eq(out[-1])]
        command, lost, wants = Signal(3, name="command"), Signal(name="lost"), Signal(name="wants")
        status = Cat(self.status, lost)
        with m.If(rises):
            m.d.sync += [came.eq(byte), bits.eq(bits + 1)]
        with m.If(falls & (bits != 0)):
            m.d.sync += out.eq(out << 1)

        # Samples: `number` gathers the bytes of one; it goes in when the last has come.
        n_i, n_o = whole_bytes(self.i_edge), whole_bytes(self.o_edge)
        number, offered = Signal(8 * n_i, name="number"), Signal(name="offered")
        data = Signal(8 * max(n_o, 2), name="data")
        filling, sending = Signal(name="filling"), Signal(name="sending")
        m.d.comb += filling.eq(
            whole & ((command == Command.SAMPLES) | (command == Command.FINAL_SAMPLES))
        )
        place = Signal(range(max(n_i, n_o + 1, 3)), name="place")  # of the next byte in its number
        m.d.sync += offered.eq(filling & (place == n_i - 1))
        with m.If(filling):
            m.d.sync += [
                number.eq(Cat(byte, number)),
                place.eq(Mux(place == n_i - 1, 0, place + 1)),
            ]
        m.d.comb += [
            i.valid.eq(offered),
            Value.cast(i.p.data).eq(self.offer(number)),
            i.p.last.eq(command == Command.FINAL_SAMPLES),
        ]
        with m.If(offered & ~i.ready):
            m.d.sync += lost.eq(1)

        # Results: a status, then the bytes of the result that was there when the status went out;
        # likewise the fingerprint. It is taken once its last byte has gone out. The status of the
        # next one is loaded two cycles later, when that shows.
        late, there, identity = (
            Signal(2, name="late"),
            Signal(name="there"),
            Signal(name="identity"),
        )
        m.d.comb += identity.eq(command == Command.IDENTITY)
        m.d.comb += sending.eq(late[1] & (identity | (command == Command.RESULTS)))
        with m.If(whole):
            m.d.sync += out.eq(0)
        with m.If(sending):
            m.d.sync += place.eq(Mux(place == Mux(identity, 2, n_o), 0, place + 1))
            with m.If(place == 0):
                m.d.sync += [out.eq(status), there.eq(o.valid)]
                m.d.sync += data.eq(
                    Mux(
                        identity,
                        self.fingerprint << len(data) - 16,
                        self.result << len(data) - 8 * n_o,
                    )
                )
            with m.Else():
                m.d.sync += [out.eq(data[-8:]), data.eq(data << 8)]
        m.d.comb += o.ready.eq(wants)
        m.d.sync += [
            late.eq(Cat(whole, late)), resets.eq(late[0] & (command == Command.RESET)),
            wants.eq(whole & there & (command == Command.RESULTS) & (place == 0)),
        ]  # fmt: skip
        with m.If(whole & (command == Command.STATUS)):
            m.d.sync += command.eq(Mux(byte < 8, byte, 7))
        with m.If(cs_n):
            m.d.sync += [bits.eq(0), command.eq(0), place.eq(0), out.eq(status)]
        with m.If(rises & (bits == 0) & (command == 0)):
            m.d.sync += lost.eq(0)
        return m
