# amaranth: UnusedElaboratable=no
"""What the gateware says of its memories: nobody looks at a word that is read while it is written."""

from types import SimpleNamespace

import numpy as np
import pytest
from amaranth.hdl import Mux, Signal
from amaranth.lib import memory

from ssm_hdl.gateware.memories import Ram
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.verilog import generate
from ssm_hdl.sim.compiler import Design
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.verilated import VerilatedModel


def poison(ram: Ram, m, name, width, depth):
    """A memory that gives the complement of a word that is read while it is written."""
    m.submodules[name] = words = memory.Memory(shape=width, depth=depth, init=[])
    ram.write, port = words.write_port(), words.read_port()
    at_once, data = Signal(), Signal(width)
    with m.If(port.en):
        m.d.sync += at_once.eq(ram.write.en & (ram.write.addr == port.addr))
    m.d.comb += data.eq(Mux(at_once, ~port.data, port.data))
    ram.read = SimpleNamespace(addr=port.addr, en=port.en, data=data)


@pytest.mark.parametrize(
    "sizes,dsp,share",
    [
        ({"channels": 8, "modes": 9}, 12, False),
        ({"channels": 2, "modes": 3}, 60, False),
        ({"channels": 8, "modes": 6, "layers": 2, "alike": True}, 12, True),
    ],
)
def test_a_word_that_is_being_written_is_never_of_use(monkeypatch, random_manifest, random_samples, sizes, dsp, share):
    manifest = random_manifest(steps=8, **sizes)
    plan = Plan.fit(manifest, dsp, share_layers=share)
    assert "(* no_rw_check = 32'd1 *)" in generate(manifest, plan)
    monkeypatch.setattr(Ram, "__init__", poison)
    verilog = generate(manifest, plan)
    assert "no_rw_check" not in verilog
    model = VerilatedModel(manifest, design=Design(verilog, manifest.name, optimise=0))
    samples = random_samples(manifest, batch=10)
    for stalls in (0.0, 0.5):
        assert np.array_equal(model.run(samples, stalls=stalls).outputs, run(manifest, samples).outputs)
