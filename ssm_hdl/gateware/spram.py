# amaranth: UnusedElaboratable=no
"""Tables in the SPRAM of an iCE40 UP5K, which no bitstream initialises:
they are loaded before the first sample."""

import binascii
from collections.abc import Sequence

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.crc import catalog
from amaranth.lib.wiring import In, Out

from ssm_hdl.errors import SsmHdlError

WIDTH, DEPTH = 16, 1 << 14
"""Bits of a word of an SB_SPRAM256KA, and its words."""

_CRC = catalog.CRC16_IBM_3740


class Spram(wiring.Component):
    """A table in SB_SPRAM256KAs side by side, enough for the width of a word; a read takes 1 cycle,
    as from a `Rom`.

    While a word is written nothing is read. A reset leaves the contents.

    Args:
        words: the words, which `image` puts into the image.
        width: bits of a word.

    Members:
        address, enable: read this word when true, hold the output otherwise.
        data: the word read.
        load: a bit for each SPRAM: write ``load_data`` to its word ``load_address``.
    """

    def __init__(self, words: Sequence[int], width: int) -> None:
        if len(words) > DEPTH:
            raise SsmHdlError(
                f"a table of {len(words):,} words does not fit an SPRAM, which has {DEPTH:,}"
            )
        self.words, self.width, self.cells = words, width, -(-width // WIDTH)
        address = range(DEPTH)
        members = {"address": In(address), "enable": In(1), "data": Out(width)}
        super().__init__(
            members | {"load": In(self.cells), "load_address": In(address), "load_data": In(WIDTH)}
        )

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        data = [Signal(WIDTH, name=f"data_{k}") for k in range(self.cells)]
        address = Mux(self.load.any(), self.load_address, self.address)
        for k, part in enumerate(data):
            m.submodules[f"cell_{k}"] = Instance(
                "SB_SPRAM256KA",
                i_ADDRESS=address,
                i_DATAIN=self.load_data,
                i_MASKWREN=Const(15, 4),
                i_WREN=self.load[k],
                i_CHIPSELECT=self.enable | self.load[k],
                i_CLOCK=ClockSignal(),
                i_STANDBY=Const(0, 1),
                i_SLEEP=Const(0, 1),
                i_POWEROFF=Const(1, 1),  # active low
                o_DATAOUT=part,
            )
        m.d.comb += self.data.eq(Cat(data))
        return m

    def contents(self) -> bytes:
        """What it is loaded with: SPRAM after SPRAM, the lowest bits of the words first;
        two bytes per word, little endian."""
        mask = (1 << WIDTH) - 1
        parts = [word >> (WIDTH * k) & mask for k in range(self.cells) for word in self.words]
        return b"".join(part.to_bytes(WIDTH // 8, "little") for part in parts)


def image(sprams: Sequence[Spram]) -> bytes:
    """What a `Loader` of these takes."""
    return b"".join(spram.contents() for spram in sprams)


class Loader(wiring.Component):
    """Fills tables, one after the other, after every reset; a byte per cycle.
    It knows the length and the CRC-16 of their image.

    Args:
        sprams: the tables.

    Members:
        i: the bytes of their image; it takes no more than these.
        loaded: the image was taken whole, and it is the right one; a wrong one is never.
    """

    def __init__(self, sprams: Sequence[Spram]) -> None:
        self.sprams = sprams
        super().__init__({"i": In(stream.Signature(8)), "loaded": Out(1)})

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        m.submodules.crc = crc = _CRC().create()
        depths = [len(spram.words) for spram in self.sprams for _ in range(spram.cells)]
        taken, odd, done, ends = (
            Signal(name="taken"),
            Signal(name="odd"),
            Signal(name="done"),
            Signal(name="ends"),
        )
        low, word, place, address = (
            Signal(8, name="low"),
            Signal(WIDTH, name="word"),
            Signal(range(DEPTH), name="place"),
            Signal(range(DEPTH), name="address"),
        )
        # one bit each
        cell, load = Signal(len(depths), init=1, name="cell"), Signal(len(depths), name="load")
        last: Value = Const(depths[-1] - 1)
        for k, depth in enumerate(depths[:-1]):
            last = Mux(cell[k], depth - 1, last)
        m.d.comb += [
            self.i.ready.eq(~done),
            taken.eq(self.i.valid & self.i.ready),
            ends.eq(place == last),
            crc.valid.eq(taken),
            crc.data.eq(self.i.payload),
        ]
        m.d.sync += [
            load.eq(0),
            self.loaded.eq(
                done & (crc.crc == binascii.crc_hqx(image(self.sprams), _CRC.initial_crc))
            ),
        ]
        with m.If(taken):
            m.d.sync += [odd.eq(~odd), low.eq(self.i.payload)]
            with m.If(odd):
                m.d.sync += [load.eq(cell), word.eq(Cat(low, self.i.payload)), address.eq(place)]
                m.d.sync += place.eq(Mux(ends, 0, place + 1))
                with m.If(ends):
                    m.d.sync += [cell.eq(cell << 1), done.eq(cell[-1])]
        at = 0
        for spram in self.sprams:
            m.d.comb += [
                spram.load.eq(load[at : at + spram.cells]),
                spram.load_address.eq(address),
                spram.load_data.eq(word),
            ]
            at += spram.cells
        return m
