# amaranth: UnusedElaboratable=no
"""Faults that change nothing are proved to, also where that takes the readers of a stage;
others are not."""

import re

import numpy as np
import pytest

from mutants.equal import Case, proved_equal
from mutants.faults import with_faults
from mutants.narrowed import most_of_norm
from mutants.unfilled import always_free
from ssm_hdl import SQ, Manifest
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
    assert (
        proved_equal(manifest, plan_for(manifest).plan, verilog, fault, tmp_path, seconds=5)
        == harmless
    )


def selective():
    """The modes' parts of one dense come together again in a scan, which waits for all of them."""
    channels, modes = 16, 3
    weights = {name: {"tensor": name, "format": "SQ(2, 2)"} for name in ("select", "rate", "alpha")}
    parts = {"rank": (0, 1), "b": (1, modes), "c": (1 + modes, modes)}
    fields = dict(schema_version=1, name="selects", steps=4, output="y", operations=[
        dict(name="select", op="dense", input="x", weight=weights["select"], format="SQ(4, 4)"),
        *(dict(name=name, op="slice", input="select", start=start, size=size)
          for name, (start, size) in parts.items()),
        dict(name="rate", op="dense", input="rank", weight=weights["rate"], format="SQ(4, 4)"),
        dict(name="y", op="selective", inputs=["rate", "x", "b", "c"], alpha=weights["alpha"],
             exponent="e", state="SQ(4, 8)", format="SQ(4, 4)"),
    ], input=dict(name="x", size=channels, format="SQ(4, 4)"))  # fmt: skip
    random = np.random.default_rng(0)
    codes = {"select": random.integers(-8, 8, (1 + 2 * modes, channels))}
    codes |= {"rate": random.integers(-8, 8, (channels, 1)), "e": np.full(channels, -2)}
    codes["alpha"] = random.integers(-8, 8, (channels, modes))
    return Manifest(Graph.model_validate(fields), Tensors(codes, dict.fromkeys(weights, SQ(2, 2))))


def test_a_queue_that_never_fills(tmp_path):
    """The stage `select` may go on as if it had a free place: the scan takes no second packet of x
    before all parts of the first one, and the queue has room for these."""
    manifest = selective()
    plan = plan_for(manifest).plan
    verilog = generate(manifest, plan)
    faults = "\n".join(with_faults(verilog, "selects", 9000, 0, tmp_path).faults)
    for stage, harmless in (("select", True), ("rate", False)):
        assert always_free(manifest, plan, stage) == harmless
        here = rf"-cell (\S+) -port Q .*-wire pipeline\.{stage}\.free "
        cell = re.search(here, faults)[1]
        for mode, changes_nothing in (("const1", True), ("const0", False)):
            fault = f"mutate -mode {mode} -module selects -cell {cell} -port D -portbit 0"
            case = Case.of(manifest, verilog, fault, tmp_path)
            assert case.never_fills(manifest, plan) == harmless
            assert case.proved_with_places(seconds=20) == changes_nothing


@pytest.mark.parametrize("center", [False, True])
def test_the_greatest_result_of_a_norm(center):
    """One element of all that differs from the others has it."""
    node = dict(name="y", op="norm", input="x", center=center, epsilon=0, format="SQ(3, 5)")
    manifest = manifest_of([node], 8)
    packets = np.random.default_rng(0).integers(-128, 128, (500, 4, 8))
    packets[:127, 0] = np.arange(1, 128)[:, np.newaxis] * np.eye(8, dtype=int)[0]
    reached = int(np.abs(run(manifest, packets).outputs).max())
    assert reached <= most_of_norm(manifest.nodes["y"]) <= reached + 1
