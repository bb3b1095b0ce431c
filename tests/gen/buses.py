"""The models of cocotbext-axi on wrappers around an echo, under random pauses; `test_wrappers` runs it in a process."""

import os
import random
import sys
from pathlib import Path

import cocotb
from amaranth.hdl import ClockDomain, Module
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamFrame, AxiStreamSink, AxiStreamSource
from test_wrappers import SIZE, STEPS, Echo, edge, numbers

from ssm_hdl.gen.verilog import convert
from ssm_hdl.gen.wrappers import WRAPPERS
from ssm_hdl.sim.compiler import LINT, VERILATOR_FLAGS


def build(bus, folder):
    """The Verilog of a wrapper around an echo."""
    wrapper, m, domain = WRAPPERS[bus](Echo(), edge(SIZE), edge(SIZE), 0xBEEF), Module(), ClockDomain("sync")
    m.domains.sync, m.submodules.wrapper = domain, wrapper
    (folder / "top.v").write_text(convert(m, "top", [domain.clk, domain.rst, *wrapper.ports.values()]))


async def start(dut):
    """Clock and reset."""
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    for name in ("s_axis_tvalid", "m_axis_tready", "s_axi_awvalid", "s_axi_wvalid", "s_axi_arvalid"):
        if hasattr(dut, name):
            getattr(dut, name).value = 0
    dut.rst.value = 1
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0


def pauses(seed):
    source = random.Random(seed)
    while True:
        yield source.random() < 0.4


@cocotb.test(skip=os.environ.get("BUS") != "axi-stream")
async def stream(dut):
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)
    await start(dut)
    source.set_pause_generator(pauses(1))
    sink.set_pause_generator(pauses(2))
    codes, _ = numbers(SIZE, 7)
    sent = [b"".join(code.to_bytes(2, "little", signed=True) for code in codes[k : k + STEPS * SIZE]) for k in (0, STEPS * SIZE)]
    for frame in sent:
        await source.send(AxiStreamFrame(frame))
    assert [bytes((await sink.recv()).tdata) for _ in sent] == sent


@cocotb.test(skip=os.environ.get("BUS") != "lite")
async def lite(dut):
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
    await start(dut)
    for seed, channel in enumerate((master.write_if.aw_channel, master.write_if.w_channel, master.write_if.b_channel)):
        channel.set_pause_generator(pauses(seed))
    for seed, channel in enumerate((master.read_if.ar_channel, master.read_if.r_channel)):
        channel.set_pause_generator(pauses(9 + seed))
    assert await master.read_dword(0x14) == 0xBEEF
    assert int((await master.read(0x10, 4)).resp) == 2, "a result that is not there is an error"
    codes, last = numbers(SIZE, 8)
    for code, final in zip(codes, last, strict=True):
        assert int((await master.write(0x0C if final else 0x08, code.to_bytes(4, "little", signed=True))).resp) == 0
        assert await master.read_dword(0x00) == 0b011 | final << 2
        assert await master.read_dword(0x10) == code & 0xFFFFFFFF


def main() -> int:
    """Build and run."""
    bus, folder = os.environ["BUS"], Path(sys.argv[1])
    build(bus, folder)
    runner = get_runner("verilator")
    (folder / "lint.vlt").write_text(LINT)
    runner.build(
        sources=[folder / "lint.vlt", folder / "top.v"],
        hdl_toplevel="top",
        build_args=[*VERILATOR_FLAGS, "-Wno-UNOPTFLAT"],  # the echo passes its stream on within a cycle
        build_dir=folder / "build",
        timescale=("1ns", "1ps"),
    )
    results = runner.test("buses", "top", test_dir=folder, results_xml=str(folder / "results.xml"))
    tests, failed = get_results(results)
    return int(failed > 0 or tests == 0)


if __name__ == "__main__":
    sys.exit(main())
