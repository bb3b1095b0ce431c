"""A pipeline as a peripheral of a LiteX system: its registers as a memory region,
its interrupt as an event with CSRs.

``add_pipeline(soc, "digits_core", "out/digits_bus/digits_core.v")`` is all that a SoC needs.
The C driver finds the registers at ``DIGITS_CORE_BASE`` of LiteX's ``generated/mem.h``.
"""

from pathlib import Path

from litex.gen import LiteXModule
from litex.soc.integration.soc import SoCRegion
from litex.soc.integration.soc_core import SoCCore
from litex.soc.interconnect import wishbone
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceLevel
from migen import ClockSignal, Instance, ResetSignal, Signal

REGISTERS = 8
"""Words of 32 bits, six of them used."""


class Pipeline(LiteXModule):
    """The Verilog of ``ssm-hdl generate --wrap wishbone``."""

    def __init__(self, name: str) -> None:
        self.bus = bus = wishbone.Interface(data_width=32, adr_width=30, addressing="word")
        self.ev = EventManager()
        self.ev.result = EventSourceLevel(
            description="A result is there, and the control register enables the interrupt."
        )
        self.ev.finalize()
        ack, err = Signal(), Signal()
        # LiteX ends a cycle by `ack` alone, which Wishbone does not give with `err`.
        self.comb += [bus.ack.eq(ack | err), bus.err.eq(err)]
        self.specials += Instance(
            name, i_clk=ClockSignal(), i_rst=ResetSignal(), i_wb_cyc=bus.cyc, i_wb_stb=bus.stb,
            i_wb_we=bus.we, i_wb_adr=bus.adr[:3], i_wb_dat_w=bus.dat_w, o_wb_dat_r=bus.dat_r,
            o_wb_ack=ack, o_wb_err=err, o_irq=self.ev.result.trigger,
        )  # fmt: skip


def add_pipeline(
    soc: SoCCore, name: str, verilog: str | Path, origin: int | None = None
) -> Pipeline:
    """Add a pipeline to a system, with an interrupt if it has a processor."""
    pipeline = Pipeline(name)
    soc.add_module(name=name, module=pipeline)
    soc.bus.add_slave(
        name, pipeline.bus, SoCRegion(origin=origin, size=4 * REGISTERS, mode="rw", cached=False)
    )
    if soc.irq.enabled:
        soc.irq.add(name, use_loc_if_exists=True)
    soc.platform.add_source(str(verilog))
    return pipeline
