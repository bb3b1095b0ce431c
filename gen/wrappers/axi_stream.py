# amaranth: UnusedElaboratable=no
"""AXI4-Stream: a number per beat in whole bytes, without TKEEP; TLAST ends a sequence."""

from typing import Any, ClassVar

from amaranth.hdl import Module, Signal, Value
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered

from ssm_hdl.gateware.counter import Counter
from ssm_hdl.gen.wrappers.base import Wrapper, whole_bytes
from ssm_hdl.operations import Edge


class AxiStream(Wrapper):
    """AXI4-Stream at both ends. A time step of several samples waits until it is whole:
    its last beat has the TLAST of all."""

    name = "axi-stream"
    clocks = ("aclk", "aresetn")
    reset_low, driven = True, False
    meaning: ClassVar[dict[str, str]] = {
        "s_axis": "samples; tlast in the last sample of a sequence",
        "m_axis": "results; tlast in the last result of a sequence",
    }

    def __init__(self, pipeline: Any, i_edge: Edge, o_edge: Edge, fingerprint: int) -> None:
        super().__init__(pipeline, i_edge, o_edge, fingerprint)
        for prefix, edge in (("s_axis", i_edge), ("m_axis", o_edge)):
            for name, width in (
                ("tvalid", 1),
                ("tready", 1),
                ("tdata", 8 * whole_bytes(edge)),
                ("tlast", 1),
            ):
                self.port(f"{prefix}_{name}", width)

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        m.submodules.pipeline = pipeline = self.pipeline
        ports = self.ports
        valid, ready, data, last = (
            ports[f"s_axis_{name}"] for name in ("tvalid", "tready", "tdata", "tlast")
        )
        code = self.offer(data)
        if self.i_reals == 1:
            m.d.comb += [pipeline.i.valid.eq(valid), ready.eq(pipeline.i.ready)]
            m.d.comb += [Value.cast(pipeline.i.p.data).eq(code), pipeline.i.p.last.eq(last)]
        else:
            self._whole_steps(m, valid, ready, code, last)
        o = pipeline.o
        moves = Signal()
        m.d.comb += [
            ports["m_axis_tvalid"].eq(o.valid),
            o.ready.eq(ports["m_axis_tready"]),
            moves.eq(o.valid & o.ready),
        ]
        ends = Counter(m, self.o_reals, moves).last if self.o_reals > 1 else 1
        m.d.comb += [
            ports["m_axis_tdata"].eq(self.result),
            ports["m_axis_tlast"].eq(o.p.last & ends),
        ]
        return m

    def _whole_steps(
        self, m: Module, valid: Signal, ready: Signal, code: Value, last: Signal
    ) -> None:
        """Samples go on once their time step is whole, each with the ``last`` of its end;
        two time steps fit."""
        count, i = self.i_reals, self.pipeline.i
        m.submodules.samples = samples = SyncFIFOBuffered(width=len(code), depth=2 * count)
        m.submodules.steps = steps = SyncFIFO(width=1, depth=2)
        takes, gives = Signal(), Signal()
        came, went = Counter(m, count, takes), Counter(m, count, gives)
        m.d.comb += [
            ready.eq(samples.w_rdy & steps.w_rdy), takes.eq(valid & ready),
            samples.w_data.eq(code), samples.w_en.eq(takes),
            steps.w_data.eq(last), steps.w_en.eq(takes & came.last),
            i.valid.eq(samples.r_rdy & steps.r_rdy), gives.eq(i.valid & i.ready),
            Value.cast(i.p.data).eq(samples.r_data), i.p.last.eq(steps.r_data),
            samples.r_en.eq(gives), steps.r_en.eq(gives & went.last),
        ]  # fmt: skip
