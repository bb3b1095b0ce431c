"""The cocotb testbench: it passes a correct design, with stalls, and fails a wrong one."""

from xml.etree import ElementTree

import numpy as np
import pytest

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate
from ssm_hdl.operations import Tensors
from ssm_hdl.sim import testbench


def test_passes(random_manifest, random_samples, tmp_path):
    manifest = random_manifest(channels=3, modes=3, steps=5)
    samples = random_samples(manifest, batch=5)
    result = testbench.simulate(manifest, samples, stalls=0.3, folder=tmp_path, waves=True)
    assert (result.sequences, result.elements, result.differences, result.first) == (5, 15, 0, "")
    assert result.interval > 1
    assert (tmp_path / "dump.vcd").stat().st_size > 10000
    assert not list(ElementTree.parse(tmp_path / "results.xml").getroot().iter("failure"))


def test_a_wrong_weight_fails(random_manifest, random_samples, tmp_path):
    """The Verilog of one manifest, the golden model of another, with results every time step."""
    manifest = random_manifest(channels=3, modes=3, steps=5, pooled=False)
    codes = {name: array.copy() for name, array in manifest.tensors.codes.items()}
    codes["mixing.bias"][0] //= 2
    other = Manifest(manifest.graph, Tensors(codes, manifest.tensors.formats))
    verilog = generate(manifest, plan_for(manifest, share_layers=False).plan)
    result = testbench.simulate(other, random_samples(manifest), verilog=verilog, folder=tmp_path)
    assert 0 < result.differences < result.elements == 30
    assert "element 0: the pipeline says" in result.first
    (failure,) = ElementTree.parse(tmp_path / "results.xml").getroot().iter("failure")
    assert f"{result.differences} differences; {result.first}" in str(failure.attrib)


def test_a_stuck_design_fails_and_its_runtime_is_compiled_once(
    random_manifest, random_samples, tmp_path
):
    text = """
    module random_s4d(input clk, input rst, input i_valid, output i_ready,
                      input [7:0] i_data, input i_last,
                      output o_valid, input o_ready, output [15:0] o_data, output o_last);
        assign i_ready = 1;
        assign {o_valid, o_last, o_data} = 0;
    endmodule
    """
    manifest = random_manifest()
    message = (
        r"the testbench of random_s4d failed: .*stuck: nothing moved for 500 cycles.*; "
        r"12 of 12 elements .* 0 of 6 results"
    )
    for folder in (None, tmp_path):
        samples = random_samples(manifest)
        with pytest.raises(SsmHdlError, match=message):
            testbench.simulate(manifest, samples, verilog=text, patience=500, folder=folder)
    log = (tmp_path / "testbench.log").read_text()
    assert " -c -o verilat" not in log and "Vtop__ALL" in log


def test_bad_requests(random_manifest, random_samples, monkeypatch, tmp_path):
    manifest = random_manifest()
    with pytest.raises(SsmHdlError, match=r"stalls is -0\.1; it is a chance"):
        testbench.simulate(manifest, random_samples(manifest), stalls=-0.1)
    with pytest.raises(SsmHdlError, match="the seed is -1; it is 0 or more"):
        testbench.simulate(manifest, random_samples(manifest), seed=-1)
    with pytest.raises(SsmHdlError, match=r"is outside UQ\(0, 8\)"):
        testbench.simulate(manifest, np.full((1, 2, 1), 256))
    with pytest.raises(SsmHdlError, match=r"the testbench of random_s4d failed: .*syntax error"):
        testbench.simulate(
            manifest,
            random_samples(manifest),
            verilog="module random_s4d(; endmodule",
            folder=tmp_path,
        )


def test_a_machine_without_cocotb(random_manifest, random_samples, monkeypatch):
    monkeypatch.setattr("ssm_hdl.extras.find_spec", lambda name: None)
    manifest = random_manifest()
    with pytest.raises(
        SsmHdlError, match=r"needs cocotb, not installed here; `pip install \"ssm-hdl\[sim\]\"`"
    ):
        testbench.simulate(manifest, random_samples(manifest))
