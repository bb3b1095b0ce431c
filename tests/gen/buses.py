"""The models of cocotbext-axi and cocotbext-wishbone on wrappers around an echo,
under random pauses; `test_wrappers` runs it.

There is cocotbext-spi too, but its newest version, 0.5.0, imports `cocotb.clock.BaseClock`, which
cocotb 2 does not have. Its change for cocotb 2 is not on PyPI. So SPI has the model of
`test_wrappers` alone.
"""

import random
import sys
from pathlib import Path

import cocotb
from amaranth.hdl import ClockDomain, Module
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles
from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)
from cocotbext.wishbone.driver import WBOp, WishboneMaster
from test_wrappers import SIZE, STEPS, Echo, edge, numbers

from ssm_hdl.gen.verilog import convert
from ssm_hdl.gen.wrappers import WRAPPERS
from ssm_hdl.gen.wrappers.base import Status
from ssm_hdl.gen.wrappers.registers import Register
from ssm_hdl.sim.compiler import LINT, VERILATOR_FLAGS


def build(folder):
    """The Verilog of the wrappers, each around an echo of its own: one module,
    as compiling takes the time."""
    m, domain = Module(), ClockDomain("sync")
    m.domains.sync, ports = domain, {}
    for bus in ("axi-stream", "lite", "wishbone"):
        m.submodules[bus] = wrapper = WRAPPERS[bus](Echo(), edge(SIZE), edge(SIZE), 0xBEEF)
        ports |= {name: signal for name, signal in wrapper.ports.items() if name != "irq"}
    (folder / "top.v").write_text(convert(m, "top", [domain.clk, domain.rst, *ports.values()]))


async def start(dut):
    """Clock and reset."""
    cocotb.start_soon(Clock(dut.clk, 10, "ns").start())
    for name in (
        "s_axis_tvalid",
        "m_axis_tready",
        "s_axi_awvalid",
        "s_axi_wvalid",
        "s_axi_arvalid",
        "wb_cyc",
        "wb_stb",
    ):
        getattr(dut, name).value = 0
    dut.rst.value = 1
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0


def pauses(seed):
    source = random.Random(seed)
    while True:
        yield source.random() < 0.4


@cocotb.test()
async def stream(dut):
    source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
    sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)
    await start(dut)
    source.set_pause_generator(pauses(1))
    sink.set_pause_generator(pauses(2))
    codes, _ = numbers(SIZE, 7)
    sent = [
        b"".join(code.to_bytes(2, "little", signed=True) for code in codes[k : k + STEPS * SIZE])
        for k in (0, STEPS * SIZE)
    ]
    for frame in sent:
        await source.send(AxiStreamFrame(frame))
    assert [bytes((await sink.recv()).tdata) for _ in sent] == sent


@cocotb.test()
async def lite(dut):
    master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axi"), dut.clk, dut.rst)
    await start(dut)
    for seed, channel in enumerate(
        (master.write_if.aw_channel, master.write_if.w_channel, master.write_if.b_channel)
    ):
        channel.set_pause_generator(pauses(seed))
    for seed, channel in enumerate((master.read_if.ar_channel, master.read_if.r_channel)):
        channel.set_pause_generator(pauses(9 + seed))

    async def read(register):
        answer = await master.read(4 * register, 4)
        return int(answer.resp) == 2, int.from_bytes(answer.data, "little")

    async def write(register, value):
        return int((await master.write(4 * register, value.to_bytes(4, "little"))).resp) == 2

    await registers(read, write)


@cocotb.test()
async def wishbone(dut):
    names = {name: name for name in ("cyc", "stb", "we", "adr", "ack")} | {
        "datwr": "dat_w",
        "datrd": "dat_r",
    }
    master = WishboneMaster(dut, "wb", dut.clk, timeout=10, signals_dict=names)
    await start(dut)
    pause = random.Random(3)

    async def access(register, value=None):
        (answer,) = await master.send_cycle(
            [WBOp(register, value, idle=pause.randrange(3), acktimeout=10)]
        )
        return answer.ack == 2, answer.datrd

    async def read(register):
        refused, value = await access(register)
        return refused, int(value)

    async def write(register, value):
        return (await access(register, value))[0]

    await registers(read, write)


async def registers(read, write):
    """Samples and results through registers; accesses say whether they were refused."""
    assert await read(Register.IDENTITY) == (False, 0xBEEF)
    assert (await read(Register.RESULT))[0], "a result that is not there is an error"
    assert await write(Register.IDENTITY, 1), "so is a write to what is read only"
    codes, last = numbers(SIZE, 8)
    for code, final in zip(codes, last, strict=True):
        assert not await write(
            Register.FINAL_SAMPLE if final else Register.SAMPLE, code & 0xFFFFFFFF
        )
        assert await read(Register.STATUS) == (
            False,
            Status.READY | Status.RESULT | (Status.LAST if final else 0),
        )
        assert await read(Register.RESULT) == (False, code & 0xFFFFFFFF)


def main() -> int:
    """Build and run."""
    folder = Path(sys.argv[1])
    build(folder)
    runner = get_runner("verilator")
    (folder / "lint.vlt").write_text(LINT)
    runner.build(
        sources=[folder / "lint.vlt", folder / "top.v"],
        hdl_toplevel="top",
        # the echo passes its stream on within a cycle
        build_args=[*VERILATOR_FLAGS, "-Wno-UNOPTFLAT"],
        build_dir=folder / "build",
        timescale=("1ns", "1ps"),
    )
    results = runner.test("buses", "top", test_dir=folder, results_xml=str(folder / "results.xml"))
    tests, failed = get_results(results)
    return int(failed > 0 or tests == 0)


if __name__ == "__main__":
    sys.exit(main())
