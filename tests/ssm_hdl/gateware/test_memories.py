# amaranth: UnusedElaboratable=no
"""What the gateware says of its memories: nobody looks at a word that is read
while it is written."""

from types import SimpleNamespace

import numpy as np
import pytest
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import Out
from amaranth.sim import Simulator

from ssm_hdl.families import GENERIC_DEVICE
from ssm_hdl.gateware.memories import Memories, Ram
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate
from ssm_hdl.sim.compiler import Design
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.verilated import VerilatedModel


def poison(ram: Ram, m, name, storage):
    """A memory that gives the complement of a word that is read while it is written."""
    m.submodules[name] = words = memory.Memory(shape=storage.width, depth=storage.depth, init=[])
    ram.write, port = words.write_port(), words.read_port()
    at_once, data = Signal(), Signal(storage.width)
    with m.If(port.en):
        m.d.sync += at_once.eq(ram.write.en & (ram.write.addr == port.addr))
    m.d.comb += data.eq(Mux(at_once, ~port.data, port.data))
    ram.read = SimpleNamespace(addr=port.addr, en=port.en, data=data)


class Collision(wiring.Component):
    """Reads the word that it writes."""

    data: Out(4)

    def elaborate(self, platform):
        m = Module()
        ram = Ram(m, "ram", Memories().ram("ram", 2, 4))
        m.d.comb += [ram.write.en.eq(1), ram.write.data.eq(5), self.data.eq(ram.read.data)]
        return m


@pytest.mark.parametrize("poisoned", (False, True))
def test_the_poison_bites(monkeypatch, poisoned):
    if poisoned:
        monkeypatch.setattr(Ram, "__init__", poison)
    top, seen = Collision(), []

    async def bench(ctx):
        for _ in range(3):
            await ctx.tick()
            seen.append(ctx.get(top.data))

    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == ([15, 10, 10] if poisoned else [0, 5, 5])


@pytest.mark.parametrize(
    "sizes,dsp,share",
    [
        ({"channels": 8, "modes": 9}, 12, False),
        ({"channels": 2, "modes": 3}, 60, False),
        ({"channels": 24, "modes": 2}, 2000, False),
        ({"channels": 8, "modes": 6, "layers": 2, "alike": True}, 12, True),
    ],
)
@pytest.mark.parametrize("fast", (False, True))
def test_a_word_that_is_being_written_is_never_of_use(
    monkeypatch, random_manifest, random_samples, sizes, dsp, share, fast
):
    if fast:
        monkeypatch.setattr(type(GENERIC_DEVICE.family), "fast_rams", True)
    manifest = random_manifest(steps=8, **sizes)
    plan = plan_for(manifest, dsp=dsp, share_layers=share).plan
    assert "(* no_rw_check = 32'd1 *)" in generate(manifest, plan)
    monkeypatch.setattr(Ram, "__init__", poison)
    verilog = generate(manifest, plan)
    assert "no_rw_check" not in verilog
    model = VerilatedModel(manifest, design=Design(verilog, manifest.name, optimise=0))
    samples = random_samples(manifest, batch=10)
    for stalls in (0.0, 0.5):
        assert np.array_equal(
            model.run(samples, stalls=stalls).outputs, run(manifest, samples).outputs
        )
