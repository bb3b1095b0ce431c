# amaranth: UnusedElaboratable=no
"""Feedback: a model whose results are its next samples, such as a language model,
goes on by itself."""

from amaranth.hdl import Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ssm_hdl import Manifest
from ssm_hdl.gateware.stream import shape_of, signature


class Feedback(wiring.Component):
    """Passes samples on; while ``fed`` each one is replaced by the result of the step before,
    which it waits for.

    A sample a cycle. Latency 0. The results of all steps before have left when ``fed`` rises.

    Args:
        manifest: the integer program; one that feeds back.

    Members:
        fed: replace samples by results.
        given: a result leaves the pipeline.
        result: that result.
        i: samples from the host.
        o: samples for the pipeline.
    """

    def __init__(self, manifest: Manifest) -> None:
        shape = shape_of(manifest.input)
        samples = signature(shape)
        super().__init__(
            {"fed": In(1), "given": In(1), "result": In(shape), "i": In(samples), "o": Out(samples)}
        )

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        kept, waits = Signal.like(self.result, name="kept"), Signal(name="waits")
        m.d.comb += [
            self.o.payload.eq(self.i.payload),
            self.o.valid.eq(self.i.valid & ~waits),
            self.i.ready.eq(self.o.ready & ~waits),
        ]
        with m.If(self.fed):
            m.d.comb += Value.cast(self.o.p.data).eq(kept)
        with m.If(self.given):
            m.d.sync += [kept.eq(self.result), waits.eq(0)]
        with m.Elif(self.fed & self.o.valid & self.o.ready):
            m.d.sync += waits.eq(1)
        return m
