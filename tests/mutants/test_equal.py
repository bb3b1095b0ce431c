"""Faults that change nothing are proved to, also where that takes the readers of a stage;
others are not."""

import re

import numpy as np
import pytest

from mutants.equal import proved_equal
from mutants.faults import with_faults
from mutants.narrowed import most_of_norm
from ssm_hdl import Manifest
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Tensors
from ssm_hdl.sim.golden import run

FINE = dict(name="fine", op="lookup", input="x", function="gelu", format="SQ(4, 4)")
ROUGH = dict(name="rough", op="lookup", input="x", function="gelu", format="SQ(7, 1)")
TOTAL = dict(name="total", op="add", inputs=["fine", "rough"], format="SQ(7, 1)")
POOL = dict(name="pool", op="mean", input="total", format="SQ(4, 8)")


def manifest_of(operations, size):
    fields = dict(schema_version=1, name="hides", steps=4, output=operations[-1]["name"])
    fields |= dict(operations=operations, input=dict(name="x", size=size, format="SQ(4, 4)"))
    return Manifest(Graph.model_validate(fields), Tensors({}, {}))


@pytest.fixture(scope="module")
def design(tmp_path_factory):
    manifest = manifest_of([FINE, ROUGH, TOTAL, POOL], 2)
    verilog = generate(manifest, plan_for(manifest).plan)
    return manifest, verilog, with_faults(verilog, "hides", 3000, 0, tmp_path_factory.mktemp("all"))


@pytest.mark.parametrize(
    "register, mode, bit, harmless",
    [
        ("pool.sums.free", "const0", 0, False),
        # the sum is rounded to steps of 8 codes: three quarters of one decide nothing
        ("fine.stage", "inv", 0, True),
        ("fine.stage", "inv", 2, False),
    ],
)
def test_harmless_faults_are_told_from_others(design, tmp_path, register, mode, bit, harmless):
    manifest, verilog, faulty = design
    here = rf"-cell (\S+) -port Q .*-wire pipeline\.{re.escape(register)} "
    cell = next(found[1] for each in faulty.faults if (found := re.search(here, each)))
    fault = f"mutate -mode {mode} -module hides -cell {cell} -port Q -portbit {bit}"
    assert proved_equal(manifest, verilog, fault, tmp_path, seconds=20) == harmless


@pytest.mark.parametrize("center", [False, True])
def test_the_greatest_result_of_a_norm(center):
    """One element of all that differs from the others has it."""
    node = dict(name="y", op="norm", input="x", center=center, epsilon=0, format="SQ(3, 5)")
    manifest = manifest_of([node], 8)
    packets = np.random.default_rng(0).integers(-128, 128, (500, 4, 8))
    packets[:127, 0] = np.arange(1, 128)[:, np.newaxis] * np.eye(8, dtype=int)[0]
    reached = int(np.abs(run(manifest, packets).outputs).max())
    assert reached <= most_of_norm(manifest.nodes["y"]) <= reached + 1
