"""`stress` finds what samples one after the other do not."""

import pytest

from ssm_hdl import SsmHdlError
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate
from ssm_hdl.sim.compare import compare
from ssm_hdl.sim.compiler import Design
from ssm_hdl.sim.links import Links
from ssm_hdl.sim.stress import stress
from ssm_hdl.sim.verilated import VerilatedModel


def test_a_reset_that_clears_nothing_is_found(random_manifest, random_samples):
    manifest = random_manifest(channels=2, modes=2, steps=6)
    text = generate(manifest, plan_for(manifest, dsp=8).plan)
    assert "if (rst)" in text
    samples = random_samples(manifest, 4)
    right, wrong = (
        VerilatedModel(manifest, design=Design(each, manifest.name, optimise=0))
        for each in (text, text.replace("if (rst)", "if (1'b0)"))
    )
    assert stress(manifest, right, samples).differences == 0
    assert compare(manifest, wrong, samples).differences == 0
    with pytest.raises(SsmHdlError, match="has no ports for stalls inside"):
        right.run(samples, links=Links(mask=1))
    with pytest.raises(SsmHdlError, match=r"more results came than there should be|is stuck"):
        stress(manifest, wrong, samples)


def test_a_reader_that_pauses_gets_the_same_later(random_manifest, random_samples):
    manifest = random_manifest(channels=2, modes=2, steps=2)
    model, samples = (
        VerilatedModel(manifest, plan_for(manifest, dsp=8).plan),
        random_samples(manifest, 12),
    )
    eager, pausing = (model.run(samples, pause=pause) for pause in (0, 200))
    assert (pausing.outputs == eager.outputs).all() and pausing.cycles > eager.cycles + 200


def test_a_comparison_that_is_given_up_ends_at_once(random_manifest, random_samples, monkeypatch):
    """As by a signal, while threads simulate."""
    monkeypatch.setattr("ssm_hdl.sim.verilated._AT_ONCE", 1 << 10)
    manifest = random_manifest(channels=2, modes=2, steps=6)
    model = VerilatedModel(manifest, plan_for(manifest, dsp=8).plan, optimise=0)
    samples, done = random_samples(manifest, 4000), []

    def progress(count):
        done.append(count)
        if len(done) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(manifest, model, samples, progress, jobs=2)
    assert sum(done) < 1000
