# amaranth: UnusedElaboratable=no
"""Gateware for the frames of `ssm_hdl.boards.protocol`: requests become samples,
results become answers."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ssm_hdl import Manifest
from ssm_hdl.boards.buffer import SampleBuffer
from ssm_hdl.boards.protocol import (
    ANSWER,
    CRC,
    FED,
    PART,
    REQUEST,
    Status,
    check_size,
    element_bytes,
)
from ssm_hdl.fingerprint import fingerprint
from ssm_hdl.gateware.stream import shape_of, signature

HEADER = data.StructLayout({"tag": 8, "model": 16, "length": 16})
"""The fields of a request between its first byte and its samples."""

REPLY = data.StructLayout({"tag": 8, "status": 8, "length": 16})
"""The fields of an answer besides its results."""

_CRC_BYTES = 2


class Requests(wiring.Component):
    """Turns bytes from the line into samples, one whole frame at a time.

    A frame is stored and checked before its samples are sent, so a damaged one leaves no trace in
    the pipeline. Every request has one reply, which stays until its answer has left;
    the samples flow meanwhile. The reply to a faulty request waits until the line has been idle.

    Args:
        manifest: the integer program whose sequences come.
        timeout: clock cycles without a byte after which the line counts as idle;
            rounded up to a power of 2.

    Members:
        i: bytes from the line.
        o: samples.
        reply: status of the request, and the number of bytes of results that follow.
        busy: a request is coming or has not been answered.
        fed: its samples are to be replaced by results.
        loaded: the pipeline accepts samples.
    """

    def __init__(self, manifest: Manifest, timeout: int) -> None:
        check_size(manifest)
        self.manifest, self.model = manifest, fingerprint(manifest)
        self.timeout = 1 << (timeout - 1).bit_length()
        bytes_, samples = In(stream.Signature(8)), Out(signature(shape_of(manifest.input)))
        reply = Out(stream.Signature(REPLY))
        super().__init__(
            {
                "i": bytes_,
                "o": samples,
                "reply": reply,
                "busy": Out(1),
                "fed": Out(1),
                "loaded": In(1, init=1),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        m.submodules.buffer = buffer = SampleBuffer(self.manifest)
        m.submodules.crc = crc = CRC().create()
        connect(m, buffer.o, flipped(self.o))
        # A byte is handled in the cycle after its transfer, when `ready` is low and no other byte
        # comes. Its commands to the CRC and the buffer are registered once more.
        # So every path is short.
        taken, fresh, byte = Signal(name="taken"), Signal(name="fresh"), Signal(8, name="byte")
        is_first, is_zero, was_zero, is_part, is_fed = (
            Signal(name="is_first"),
            Signal(name="is_zero"),
            Signal(name="was_zero"),
            Signal(name="is_part"),
            Signal(name="is_fed"),
        )
        header, check, status = (
            Signal(HEADER, name="header"),
            Signal(8 * _CRC_BYTES, name="check"),
            Signal(8, name="status"),
        )
        # Bytes of the header or of the check that are to come; those of samples are counted in the
        # header. This one is the last.
        left, ends = Signal(range(HEADER.size // 8 + 1), name="left"), Signal(name="ends")
        noise = Signal()  # bytes outside of a frame came
        damaged, other = Signal(name="damaged"), Signal(name="other")
        silent = self._silence(m, taken)
        fed_comes = (self.i.payload == FED) & self.manifest.feeds_back
        part_comes = fed_comes | (
            (self.i.payload == PART) & (not self.manifest.output.per_sequence)
        )
        m.d.comb += [
            self.i.ready.eq(~fresh),
            taken.eq(self.i.valid & self.i.ready),
            crc.data.eq(byte),
            buffer.byte.eq(byte),
            self.reply.p.tag.eq(header.tag),
            self.reply.p.status.eq(status),
            self.reply.p.length.eq(Mux(status == Status.OK, buffer.results, 0)),
        ]
        m.d.sync += [
            fresh.eq(taken),
            damaged.eq(check != crc.crc),
            other.eq(header.model != self.model),
            *(
                pulse.eq(0)
                for pulse in (crc.start, crc.valid, buffer.clear, buffer.store, buffer.send)
            ),
        ]
        with m.If(taken):
            m.d.sync += [
                byte.eq(self.i.payload),
                is_first.eq((self.i.payload == REQUEST) | part_comes),
                is_part.eq(part_comes),
                is_fed.eq(fed_comes),
                is_zero.eq(self.i.payload == 0),
                was_zero.eq(is_zero),
            ]

        def part(then: str, counter: Signal) -> None:
            """Receive one part of the frame, whose bytes are counted down;
            the line may fall silent in it."""
            m.d.sync += status.eq(Status.BROKEN_OFF)  # the reply if the line falls silent here
            m.d.sync += ends.eq(counter == 1)
            with m.If(fresh):
                m.d.sync += counter.eq(counter - 1)
                with m.If(ends):
                    m.next = then
            with m.Elif(silent):
                m.next = "REPLY"

        # The state alone sets `status`, before a reply is certain:
        # the conditions of a reply end the longest paths.
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(noise | ~fsm.ongoing("HUNT"))
            with m.State("HUNT"):
                m.d.sync += [crc.start.eq(1), crc.valid.eq(fresh), buffer.clear.eq(1)]
                m.d.sync += [
                    left.eq(HEADER.size // 8),
                    Value.cast(header).eq(0),
                    buffer.more.eq(is_part),
                    self.fed.eq(is_fed),
                ]
                m.d.sync += status.eq(Status.BROKEN_OFF)
                with m.If(fresh):
                    m.d.sync += noise.eq(~is_first)
                    with m.If(is_first):
                        m.next = "HEADER"
                with m.Elif(noise & silent):
                    m.d.sync += noise.eq(0)
                    m.next = "REPLY"
            with m.State("HEADER"):
                m.d.sync += crc.valid.eq(fresh)
                part("SAMPLES", left)
                with m.If(fresh):
                    m.d.sync += Value.cast(header).eq(Cat(header, byte)[8:])
                    with m.If(ends & is_zero & was_zero):  # a length of 0
                        m.d.sync += left.eq(_CRC_BYTES)
                        m.next = "CHECK"
            with m.State("SAMPLES"):
                m.d.sync += [buffer.store.eq(fresh), crc.valid.eq(fresh)]
                part("CHECK", header.length)
                m.d.sync += left.eq(_CRC_BYTES)
            with m.State("CHECK"):
                part("SETTLE", left)
                with m.If(fresh):
                    m.d.sync += check.eq(Cat(check, byte)[8:])
            # `check` is complete; its registered comparison takes this cycle
            with m.State("SETTLE"):
                m.next = "JUDGE"
            with m.State("JUDGE"):
                m.d.sync += noise.eq(fresh)
                m.next = "IDLE"
                with m.If(damaged):
                    m.d.sync += status.eq(Status.DAMAGED)
                with m.Elif(other):
                    m.d.sync += status.eq(Status.OTHER_MODEL)
                with m.Elif(~buffer.whole):
                    m.d.sync += status.eq(Status.BAD_LENGTH)
                with m.Elif(~buffer.in_range):
                    m.d.sync += status.eq(Status.OUT_OF_RANGE)
                with m.Elif(~self.loaded):
                    m.d.sync += status.eq(Status.NOT_LOADED)
                with m.Else():
                    m.d.sync += [buffer.send.eq(1), status.eq(Status.OK)]
                    m.next = "REPLY"
            with m.State("IDLE"):
                m.d.sync += noise.eq(0)
                with m.If(silent):
                    m.next = "REPLY"
            with m.State("REPLY"):
                m.d.sync += [self.reply.valid.eq(1), noise.eq(noise | fresh)]
                with m.If(self.reply.valid & self.reply.ready):
                    m.d.sync += self.reply.valid.eq(0)
                    m.next = "AFTER"
            # bytes that came before the answer had left get a reply of their own
            with m.State("AFTER"):
                m.d.sync += [noise.eq(0), status.eq(Status.OVERRUN)]
                m.next = "HUNT"
                with m.If(noise | fresh):
                    m.next = "IDLE"
        return m

    def _silence(self, m: Module, taken: Value) -> Value:
        """True from `timeout` cycles after a byte until the next."""
        # stops at its top bit, which needs no comparison
        idle = Signal((self.timeout - 1).bit_length() + 1)
        with m.If(taken):
            m.d.sync += idle.eq(0)
        with m.Elif(~idle[-1]):
            m.d.sync += idle.eq(idle + 1)
        return idle[-1]


class Answers(wiring.Component):
    """Turns results into bytes for the line.

    Args:
        manifest: the integer program whose results come.

    Members:
        reply: starts an answer; accepted when the answer has left.
        i: results.
        o: bytes for the line.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.edge = manifest.output
        results, bytes_ = In(signature(shape_of(self.edge))), Out(stream.Signature(8))
        super().__init__({"reply": In(stream.Signature(REPLY)), "i": results, "o": bytes_})

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        m.submodules.crc = crc = CRC().create()
        size = element_bytes(self.edge)
        begin = Cat(Const(ANSWER, 8), self.reply.payload)
        word = Signal(max(len(begin), 8 * size))  # the next bytes
        there = Signal(len(word) // 8)  # a 1 for each byte of `word` that has not been sent
        # bytes of results moved to `word`; all of them
        given, done = Signal(16, name="given"), Signal(name="done")
        sent = self.o.valid & self.o.ready
        m.d.comb += [self.o.payload.eq(word[:8]), self.o.valid.eq(there[0]), crc.data.eq(word[:8])]
        m.d.sync += done.eq(given == self.reply.p.length)
        with m.If(sent):
            m.d.sync += [word.eq(word >> 8), there.eq(there >> 1)]

        def load(value: ValueLike, count: int) -> None:
            m.d.sync += [word.eq(value), there.eq((1 << count) - 1)]

        with m.FSM():
            with m.State("WAIT"):
                m.d.comb += crc.start.eq(1)
                m.d.sync += given.eq(0)
                with m.If(self.reply.valid):
                    load(begin, len(begin) // 8)
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += crc.valid.eq(sent)
                with m.If(~there[0]):
                    m.next = "RESULT"
                    with m.If(done):
                        load(crc.crc, _CRC_BYTES)
                        m.next = "CHECK"
            with m.State("RESULT"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    load(self.i.p.data[0], size)
                    m.d.sync += given.eq(given + size)
                    m.next = "SEND"
            with m.State("CHECK"):
                m.d.sync += self.reply.ready.eq(~there[0])
                with m.If(~there[0]):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.sync += self.reply.ready.eq(0)
                m.next = "WAIT"
        return m
