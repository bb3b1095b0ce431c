# amaranth: UnusedElaboratable=no
"""Verilog of a pipeline: one file, one top module with plain ports, any tool."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Module, Signal, Value

from ssm_hdl import Manifest
from ssm_hdl.gateware.stream import shape_of
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.yosys import to_verilog


def generate(manifest: Manifest, plan: Plan) -> str:
    """The Verilog text of the pipeline.

    The module has the manifest's name and these ports:

    - ``clk``, ``rst`` (synchronous, active high),
    - ``i_valid``, ``i_ready``, ``i_data`` (one code of the input format), ``i_last`` (this time step ends its sequence),
    - the same with ``o_`` for the results,
    - with tables in SPRAM also ``w_valid``, ``w_ready`` and ``w_data``, for the bytes of `weights`.

    A transfer happens in a cycle in which ``valid`` and ``ready`` are both high.
    """
    m = Module()
    m.domains.sync = domain = ClockDomain()
    m.submodules.pipeline = pipeline = Pipeline(manifest, plan)
    ports = [domain.clk, domain.rst]
    for prefix, port, edge in (("i", pipeline.i, manifest.input), ("o", pipeline.o, manifest.output)):
        into = prefix == "i"
        for name, signal, shape in (
            ("valid", port.valid, 1),
            ("ready", port.ready, 1),
            ("data", Value.cast(port.p.data), shape_of(edge)),
            ("last", port.p.last, 1),
        ):
            wire = Signal(shape, name=f"{prefix}_{name}")
            ports.append(wire)
            m.d.comb += signal.eq(wire) if into != (name == "ready") else wire.eq(signal)
    if pipeline.sprams:
        for name, signal in (("valid", pipeline.w.valid), ("ready", pipeline.w.ready), ("data", pipeline.w.payload)):
            wire = Signal(signal.shape(), name=f"w_{name}")
            ports.append(wire)
            m.d.comb += wire.eq(signal) if name == "ready" else signal.eq(wire)
    with _uncollected():
        text: str = rtlil.convert(m, name=manifest.name, ports=ports, emit_src=False)
    return to_verilog(text)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector, which would walk millions of objects again and again that live until all is converted."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def weights(manifest: Manifest, plan: Plan) -> bytes:
    """What the port ``w`` of the Verilog takes after every reset; empty if there is none."""
    return Pipeline(manifest, plan).image
