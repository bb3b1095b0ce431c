# amaranth: UnusedElaboratable=no
"""Wrappers under random pauses: what goes through a bus is what went in,
with ``last`` where it belongs."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from amaranth.hdl import ClockDomain, Module, Shape, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from ssm_hdl import Format
from ssm_hdl.boards.flow import synthesised
from ssm_hdl.errors import UsageError
from ssm_hdl.families.ecp5 import ECP5
from ssm_hdl.gateware.queue import Queue
from ssm_hdl.gateware.stream import signature
from ssm_hdl.gen.verilog import convert
from ssm_hdl.gen.wrappers import WRAPPERS
from ssm_hdl.operations import Edge
from ssm_hdl.sim.testbench import QUICK
from ssm_hdl.sim.tools import verilator_environment

STEPS, SIZE = 6, 3
WIDTH = 11


class Echo(wiring.Component):
    """A pipeline that gives every sample back."""

    def __init__(self):
        shape = Shape(WIDTH, True)
        self.queue = Queue(shape, 1, 4)
        super().__init__({"i": In(signature(shape)), "o": Out(signature(shape))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = self.queue
        for target, source in ((queue.i, self.i), (self.o, queue.o)):
            m.d.comb += [
                target.valid.eq(source.valid),
                Value.cast(target.payload).eq(Value.cast(source.payload)),
            ]
            m.d.comb += source.ready.eq(target.ready)
        return m


def edge(size):
    return Edge("x", size, Format.parse(f"SQ(3, {WIDTH - 3})"))


def simulate(name, size, *processes, cycles=20000):
    """Run processes on a wrapper around an echo; the test is over when the first of them is."""
    wrapper = WRAPPERS[name](Echo(), edge(size), edge(size), 0xBEEF)
    simulator = Simulator(wrapper)
    simulator.add_clock(1e-6)
    over = []

    async def first(ctx):
        await processes[0](ctx, wrapper.ports)
        over.append(True)

    simulator.add_testbench(first)
    for process in processes[1:]:

        async def other(ctx, process=process):
            await process(ctx, wrapper.ports)

        simulator.add_testbench(other, background=True)
    simulator.run_until(cycles * 1e-6)
    assert over, "it did not end"


def numbers(size, seed):
    """Codes of two sequences, and whether each is of the last time step of its sequence."""
    source = random.Random(seed)
    codes = [source.randrange(-(1 << WIDTH - 1), 1 << WIDTH - 1) for _ in range(2 * STEPS * size)]
    return codes, [index // size % STEPS == STEPS - 1 for index in range(len(codes))]


@pytest.mark.parametrize("size", [1, SIZE])
def test_axi_stream(size):
    codes, last = numbers(size, size)
    ends = [each and (index + 1) % size == 0 for index, each in enumerate(last)]
    pause = random.Random(1)

    async def send(ctx, ports):
        for code, end in zip(codes, ends, strict=True):
            while pause.random() < 0.4:
                await ctx.tick()
            ctx.set(ports["s_axis_tdata"], code & 0xFFFF)
            ctx.set(ports["s_axis_tlast"], end)
            ctx.set(ports["s_axis_tvalid"], 1)
            await ctx.tick().until(ports["s_axis_tready"])
            ctx.set(ports["s_axis_tvalid"], 0)

    async def take(ctx, ports):
        for code, end in zip(codes, ends, strict=True):
            while pause.random() < 0.4:
                await ctx.tick()
            ctx.set(ports["m_axis_tready"], 1)
            *_, data, is_last = (
                await ctx.tick()
                .sample(ports["m_axis_tdata"], ports["m_axis_tlast"])
                .until(ports["m_axis_tvalid"])
            )
            assert (data, is_last) == (code & 0xFFFF, end)
            ctx.set(ports["m_axis_tready"], 0)

    simulate("axi-stream", size, take, send)


def test_axi_stream_takes_a_sample_each_cycle():
    codes, last = numbers(SIZE, 5)

    async def both(ctx, ports):
        ctx.set(ports["m_axis_tready"], 1)
        ctx.set(ports["s_axis_tvalid"], 1)
        taken = 0
        for _ in range(200):
            *_, ready = await ctx.tick().sample(ports["s_axis_tready"])
            taken += ready
        assert taken >= 190

    simulate("axi-stream", SIZE, both)
    assert len(codes) == len(last)


async def wishbone(ctx, ports, address, data=None):
    """One access; the value read, or None for an error."""
    for name, value in (
        ("cyc", 1),
        ("stb", 1),
        ("we", data is not None),
        ("adr", address),
        ("dat_w", data or 0),
    ):
        ctx.set(ports[f"wb_{name}"], value)
    *_, value, error = (
        await ctx.tick()
        .sample(ports["wb_dat_r"], ports["wb_err"])
        .until(ports["wb_ack"] | ports["wb_err"])
    )
    ctx.set(ports["wb_cyc"], 0)
    ctx.set(ports["wb_stb"], 0)
    await ctx.tick()
    return None if error else value


async def lite(ctx, ports, address, data=None):
    """The same on AXI4-Lite."""
    address_channel, channel = ("ar", "r") if data is None else ("aw", "b")
    sent = {f"{address_channel}addr": 4 * address, f"{address_channel}valid": 1}
    if data is not None:
        sent |= {"wdata": data, "wstrb": 15, "wvalid": 1}
    for name, value in sent.items():
        ctx.set(ports[f"s_axi_{name}"], value)
    await ctx.tick().until(ports[f"s_axi_{address_channel}ready"])
    for name in sent:
        if name.endswith("valid"):
            ctx.set(ports[f"s_axi_{name}"], 0)
    ctx.set(ports[f"s_axi_{channel}ready"], 1)
    seen = (ports[f"s_axi_{channel}resp"], ports["s_axi_rdata"])
    *_, response, value = await ctx.tick().sample(*seen).until(ports[f"s_axi_{channel}valid"])
    ctx.set(ports[f"s_axi_{channel}ready"], 0)
    return None if response else value


@pytest.mark.parametrize("name,access", [("wishbone", wishbone), ("lite", lite)])
def test_registers(name, access):
    codes, last = numbers(SIZE, 2)

    async def host(ctx, ports):
        assert await access(ctx, ports, 5) == 0xBEEF and await access(ctx, ports, 0) & 7 == 1
        assert await access(ctx, ports, 4) is None and await access(ctx, ports, 0, 1) is None
        await access(ctx, ports, 1, 2)
        sent, found, pause = 0, [], random.Random(3)
        while len(found) < len(codes):
            if sent < len(codes) and pause.random() < 0.7:
                sent += (
                    await access(ctx, ports, 3 if last[sent] else 2, codes[sent] & 0xFFFFFFFF)
                    is not None
                )
            status = await access(ctx, ports, 0)
            assert ctx.get(ports["irq"]) == status >> 1 & 1
            if status & 2 and pause.random() < 0.7:
                found.append((await access(ctx, ports, 4), bool(status & 4)))
        assert found == [(code & 0xFFFFFFFF, end) for code, end in zip(codes, last, strict=True)]
        await access(ctx, ports, 2, 1)
        while not await access(ctx, ports, 0) & 2:
            pass
        await access(ctx, ports, 1, 1)
        assert await access(ctx, ports, 0) & 7 == 1 and ctx.get(ports["irq"]) == 0

    simulate(name, SIZE, host)


def test_spi():
    codes, last = numbers(1, 4)

    async def transfer(ctx, ports, *sent):
        """The bytes that come back for those that go."""
        ctx.set(ports["spi_cs_n"], 0)
        await ctx.tick().repeat(4)
        found = []
        for byte in sent:
            came = 0
            for bit in range(7, -1, -1):
                ctx.set(ports["spi_copi"], byte >> bit & 1)
                await ctx.tick().repeat(4)
                came = came << 1 | ctx.get(ports["spi_cipo"])
                ctx.set(ports["spi_sck"], 1)
                await ctx.tick().repeat(4)
                ctx.set(ports["spi_sck"], 0)
            found.append(came)
        await ctx.tick().repeat(4)
        ctx.set(ports["spi_cs_n"], 1)
        await ctx.tick().repeat(4)
        return found

    async def host(ctx, ports):
        ctx.set(ports["spi_cs_n"], 1)
        await ctx.tick().repeat(4)
        assert await transfer(ctx, ports, 5, 0, 0, 0) == [1, 1, 0xBE, 0xEF]
        found, sent, pause = [], 0, random.Random(6)
        while len(found) < len(codes):
            count = min(pause.randrange(3), len(codes) - sent)
            if count:
                count -= last[sent] != last[sent + count - 1]  # a transfer is of one kind
                code = [
                    byte
                    for each in codes[sent : sent + count]
                    for byte in ((each & 0xFFFF) >> 8, each & 0xFF)
                ]
                (status, *_) = await transfer(ctx, ports, 2 if last[sent] else 1, *code)
                assert status & 0b1001 == 1
                sent += count
            answer = await transfer(ctx, ports, 3, *[0] * 3 * pause.randrange(1, 4))
            for status, high, low in zip(answer[1::3], answer[2::3], answer[3::3], strict=True):
                if status & 2:
                    found.append((high << 8 | low, bool(status & 4)))
        assert found == [(code & 0xFFFF, end) for code, end in zip(codes, last, strict=True)]
        await transfer(ctx, ports, 1, *range(20))
        assert (await transfer(ctx, ports, 0))[0] & 0b1010 == 0b1010  # a sample was lost
        assert (await transfer(ctx, ports, 0))[0] & 0b1000 == 0
        await transfer(ctx, ports, 3, 0)  # a result that is not read to its end stays
        await transfer(ctx, ports, 0x0C, 0)  # no command
        assert (await transfer(ctx, ports, 0))[0] == 0b010
        await transfer(ctx, ports, 4)
        assert (await transfer(ctx, ports, 0))[0] == 0b001

    simulate("spi", 1, host, cycles=200000)


@pytest.mark.parametrize("name", ["wishbone", "lite"])
def test_a_number_wider_than_a_register_is_refused(name):
    with pytest.raises(UsageError, match="32 bits"):
        WRAPPERS[name](Echo(), edge(1), Edge("y", 1, Format.parse("SQ(1, 32)")), 0xBEEF)


@pytest.mark.parametrize(
    "name,most", [("axi-stream", 150), ("spi", 150), ("wishbone", 300), ("lite", 300)]
)
def test_luts(name, most):
    """Of a wrapper and a queue of four samples, on an ECP5."""
    wrapper = WRAPPERS[name](Echo(), edge(SIZE), edge(SIZE), 0xBEEF)
    m, domain = Module(), ClockDomain("sync")
    m.domains.sync, m.submodules.wrapper = domain, wrapper
    text = convert(m, "top", [domain.clk, domain.rst, *wrapper.ports.values()])
    assert synthesised(text, "top", ECP5)["LUTs"] <= most


def test_public_bus_models(tmp_path):
    here = Path(__file__).parent
    environment = verilator_environment()
    environment["PYTHONPATH"] = os.pathsep.join((str(here), environment.get("PYTHONPATH", "")))
    environment["MAKEFLAGS"] = environment.get("MAKEFLAGS", " --") + QUICK
    environment.pop("PYTEST_CURRENT_TEST", None)
    command = [sys.executable, "-P", str(here / "buses.py"), str(tmp_path)]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
