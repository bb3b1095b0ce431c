# amaranth: UnusedElaboratable=no
"""A buffer that holds the samples of a request until the request is checked."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ssm_hdl import Manifest
from ssm_hdl.boards.protocol import element_bytes, frame_steps
from ssm_hdl.gateware.memories import DEFAULT, Ram
from ssm_hdl.gateware.stream import shape_of, signature


class SampleBuffer(wiring.Component):
    """Stores the bytes of a sequence, or of a part of one,
    then sends them as samples when it is told to.

    It stores a byte every second cycle at most,
    and sends an element every ``2 * bytes + 1`` cycles.

    Args:
        manifest: the integer program whose sequences come.

    Members:
        clear: forget the stored bytes.
        store: store ``byte``.
        byte: the next byte of the sequence.
        whole: the stored bytes are a whole number of time steps, at least one,
            and no byte came after the last step.
        in_range: every element is a code of the input format.
        results: bytes of results that the pipeline gives for this sequence.
        send: start to send the samples.
        more: the sequence goes on after them.
        o: samples.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.edge, self.output, self.steps = manifest.input, manifest.output, frame_steps(manifest)
        self.bytes = element_bytes(self.edge)
        inputs = {"clear": In(1), "store": In(1), "byte": In(8), "send": In(1), "more": In(1)}
        outputs = {"whole": Out(1), "in_range": Out(1), "results": Out(16)}
        super().__init__({**inputs, **outputs, "o": Out(signature(shape_of(self.edge)))})

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        depth = self.steps * self.edge.size * self.bytes
        bytes_ = Ram(m, "memory", DEFAULT.ram("memory", depth, 8))
        write, read = bytes_.write, bytes_.read
        # The address of a byte stays for two cycles at least. So `element_ends` and `step_ends` may
        # be registered, for short paths, and still hold when the byte is stored or sent.
        address, index, element = (
            Signal(range(depth), name="address"),
            Signal(range(self.bytes), name="index"),
            Signal(range(self.edge.size), name="element"),
        )
        element_ends, step_ends = Signal(name="element_ends"), Signal(name="step_ends")
        steps, step = (
            Signal(range(self.steps + 1), name="steps"),
            Signal(range(self.steps + 1), name="step"),
        )  # steps stored; step being sent, from 1
        full, final = Signal(name="full"), Signal(name="final")
        surplus, bad = Signal(name="surplus"), Signal(name="bad")
        advance = Signal()
        result_bytes = self.output.size * element_bytes(self.output)
        m.d.comb += [
            write.addr.eq(address),
            write.data.eq(self.byte),
            write.en.eq(self.store & ~full),
            read.addr.eq(address),
        ]
        m.d.sync += [
            element_ends.eq(index == self.bytes - 1),
            step_ends.eq((index == self.bytes - 1) & (element == self.edge.size - 1)),
            full.eq(steps == self.steps),
            final.eq(step == steps),
            self.whole.eq((steps != 0) & (index == 0) & (element == 0) & ~surplus),
            self.in_range.eq(~bad),
        ]
        with m.If(write.en | advance):
            m.d.sync += [
                address.eq(address + 1),
                index.eq(Mux(element_ends, 0, index + 1)),
                element.eq(Mux(step_ends, 0, element + element_ends)),
            ]
        with m.If(self.store):
            m.d.sync += [surplus.eq(surplus | full), bad.eq(bad | (element_ends & self._wrong()))]
            with m.If(step_ends & ~full):
                m.d.sync += steps.eq(steps + 1)
                m.d.sync += self.results.eq(
                    result_bytes + (0 if self.output.per_sequence else self.results)
                )
        with m.If(advance & step_ends):
            m.d.sync += step.eq(step + 1)
        with m.If(self.clear):
            m.d.sync += [
                signal.eq(0)
                for signal in (address, index, element, steps, surplus, bad, self.results)
            ]
        word, last = Signal(8 * self.bytes, name="word", reset_less=True), Signal(name="last")
        m.d.comb += [Value.cast(self.o.p.data).eq(word), self.o.p.last.eq(last & ~self.more)]
        with m.FSM():
            with m.State("STORE"):
                m.d.sync += step.eq(1)
                with m.If(self.send):
                    m.d.sync += address.eq(0)
                    m.next = "READ"
            with m.State("READ"):  # the memory gives a byte one cycle after its address
                m.next = "LOAD"
            with m.State("LOAD"):
                m.d.comb += advance.eq(1)
                m.d.sync += [word.eq(Cat(word, read.data)[8:]), last.eq(final)]
                m.next = "READ"
                with m.If(element_ends):
                    m.next = "OFFER"
            with m.State("OFFER"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "READ"
                    with m.If(last & (element == 0)):
                        m.next = "STORE"
        return m

    def _wrong(self) -> Value:
        """Whether the last byte of an element is wrong: its unused bits do not extend the sign,
        or are not 0."""
        unused = 8 * self.bytes - self.edge.format.width
        top = self.byte[8 - unused :]
        if not unused:
            return Const(0)
        return top != (self.byte[7 - unused].replicate(unused) if self.edge.format.signed else 0)
