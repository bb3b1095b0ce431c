# amaranth: UnusedElaboratable=no
"""The gateware behind `ssm_hdl.boards.protocol`: requests to samples, results to answers."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ssm_hdl import Manifest
from ssm_hdl.boards.buffer import SampleBuffer
from ssm_hdl.boards.protocol import ANSWER, CRC, REQUEST, Status, check_size, element_bytes, fingerprint
from ssm_hdl.gateware.stream import shape_of, signature

HEADER = data.StructLayout({"tag": 8, "model": 16, "length": 16})
"""A request between its first byte and its samples."""

REPLY = data.StructLayout({"tag": 8, "status": 8, "length": 16})
"""What an answer says beside its results."""

_CRC_BYTES = 2


class Requests(wiring.Component):
    """Bytes from the line to samples, whole frames at a time.

    A frame is stored, checked, and only then are its samples let go, so that a damaged one leaves no trace in the
    pipeline. Every request has one reply, which stays until its answer has left; the samples flow meanwhile. What is
    no good is replied to when the line has been idle.

    Args:
        manifest: the integer program whose sequences come.
        timeout: clock cycles without a byte after which the line counts as idle; rounded up to a power of 2.

    Members:
        i: bytes from the line.
        o: samples.
        reply: what became of the request, and the bytes of results that follow.
        busy: a request is coming or has not been answered.
        loaded: the pipeline takes samples.
    """

    def __init__(self, manifest: Manifest, timeout: int) -> None:
        check_size(manifest)
        self.manifest, self.model = manifest, fingerprint(manifest)
        self.timeout = 1 << (timeout - 1).bit_length()
        bytes_, samples = In(stream.Signature(8)), Out(signature(shape_of(manifest.input)))
        reply = Out(stream.Signature(REPLY))
        super().__init__({"i": bytes_, "o": samples, "reply": reply, "busy": Out(1), "loaded": In(1, init=1)})

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        m.submodules.buffer = buffer = SampleBuffer(self.manifest)
        m.submodules.crc = crc = CRC().create()
        connect(m, buffer.o, flipped(self.o))
        # A byte is dealt with in the cycle after it came, in which no other comes; what others have to do with it is told
        # them one cycle later. So no path is long, and every bit of state has its own short conditions.
        taken, fresh, byte = Signal(), Signal(), Signal(8)
        is_first, is_zero, was_zero = Signal(), Signal(), Signal()
        header, check, status = Signal(HEADER), Signal(8 * _CRC_BYTES), Signal(8)
        count, length, ends = Signal(16, init=1), Signal(16), Signal()  # bytes of a part of the frame, from 1
        noise = Signal()  # bytes came that belong to no frame
        damaged, other = Signal(), Signal()
        silent = self._silence(m, taken)
        m.d.comb += [
            self.i.ready.eq(~fresh),
            taken.eq(self.i.valid & self.i.ready),
            crc.data.eq(byte),
            buffer.byte.eq(byte),
            length.eq(header.length),
            self.reply.p.tag.eq(header.tag),
            self.reply.p.status.eq(status),
            self.reply.p.length.eq(Mux(status == Status.OK, buffer.results, 0)),
        ]
        m.d.sync += [
            fresh.eq(taken),
            ends.eq(count == length),
            damaged.eq(check != crc.crc),
            other.eq(header.model != self.model),
            *(pulse.eq(0) for pulse in (crc.start, crc.valid, buffer.clear, buffer.store, buffer.send)),
        ]
        with m.If(taken):
            m.d.sync += [
                byte.eq(self.i.payload),
                is_first.eq(self.i.payload == REQUEST),
                is_zero.eq(self.i.payload == 0),
                was_zero.eq(is_zero),
            ]

        def part(then: str) -> None:
            """A part of the frame, byte by byte; the line may fall silent in it."""
            m.d.sync += status.eq(Status.BROKEN_OFF)  # if there is no more, a reply goes out with it
            with m.If(fresh):
                m.d.sync += count.eq(Mux(ends, 1, count + 1))
                with m.If(ends):
                    m.next = then
            with m.Elif(silent):
                m.next = "REPLY"

        # The status waits for nothing but the state: what would reply with it stands at the end of the longest paths.
        with m.FSM() as fsm:
            m.d.comb += self.busy.eq(noise | ~fsm.ongoing("HUNT"))
            with m.State("HUNT"):
                m.d.sync += [crc.start.eq(1), crc.valid.eq(fresh), buffer.clear.eq(1)]
                m.d.sync += [count.eq(1), Value.cast(header).eq(0)]
                m.d.sync += status.eq(Status.BROKEN_OFF)
                with m.If(fresh):
                    m.d.sync += noise.eq(~is_first)
                    with m.If(is_first):
                        m.next = "HEADER"
                with m.Elif(noise & silent):
                    m.d.sync += noise.eq(0)
                    m.next = "REPLY"
            with m.State("HEADER"):
                m.d.comb += length.eq(HEADER.size // 8)
                m.d.sync += crc.valid.eq(fresh)
                part("SAMPLES")
                with m.If(fresh):
                    m.d.sync += Value.cast(header).eq(Cat(header, byte)[8:])
                    with m.If(ends & is_zero & was_zero):  # a length of 0
                        m.next = "CHECK"
            with m.State("SAMPLES"):
                m.d.sync += [buffer.store.eq(fresh), crc.valid.eq(fresh)]
                part("CHECK")
            with m.State("CHECK"):
                m.d.comb += length.eq(_CRC_BYTES)
                part("SETTLE")
                with m.If(fresh):
                    m.d.sync += check.eq(Cat(check, byte)[8:])
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
            with m.State("AFTER"):
                m.d.sync += [noise.eq(0), status.eq(Status.OVERRUN)]
                m.next = "HUNT"
                with m.If(noise | fresh):
                    m.next = "IDLE"
        return m

    def _silence(self, m: Module, taken: Value) -> Value:
        """True from `timeout` cycles after a byte until the next."""
        idle = Signal((self.timeout - 1).bit_length() + 1)
        with m.If(taken):
            m.d.sync += idle.eq(0)
        with m.Elif(~idle[-1]):
            m.d.sync += idle.eq(idle + 1)
        return idle[-1]


class Answers(wiring.Component):
    """Results to bytes for the line.

    Args:
        manifest: the integer program whose results come.

    Members:
        reply: begins an answer; taken when the answer has left.
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
        word = Signal(max(len(begin), 8 * size))  # the next bytes, and which of them are there
        there = Signal(len(word) // 8)
        given, done = Signal(16), Signal()  # bytes of results that went to the word
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
