"""The netlist after synthesis: the golden model's bits in the cells of the families,
and the models of cells that are ours."""

import ctypes
import re
from dataclasses import replace

import numpy as np
import pytest
from graphs import convolutional

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.families import unlimited
from ssm_hdl.families.ecp5 import ECP5
from ssm_hdl.families.generic import GENERIC
from ssm_hdl.families.gowin import GOWIN
from ssm_hdl.families.ice40 import ICE40
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.yosys import run_yosys
from ssm_hdl.sim.compare import compare
from ssm_hdl.sim.compiler import Design, compile_verilog
from ssm_hdl.sim.netlist import netlist_model, synthesise


@pytest.mark.parametrize(
    ("family", "target", "options", "cell"),
    [
        (ICE40, ICE40, (), "SB_MAC16"),
        (ECP5, ECP5, (), "MULT18X18D"),
        # as a user may do it, with the Verilog for any tool
        (ICE40, GENERIC, ("-dsp",), "SB_MAC16"),
        (ECP5, GENERIC, (), "MULT18X18D"),
    ],
)
def test_bits(random_manifest, random_samples, cache, family, target, options, cell):
    manifest = random_manifest(channels=3, modes=3, steps=7)
    folding = {"encoder": 1, "ssm": "1x1/2", "readout": 1, "mixing": 1, "decoder": 1}
    stages = plan_for(manifest, unlimited(target), folding=folding, share_layers=False).plan.stages
    plan = Plan(target, {name: replace(stage, kind="dsp") for name, stage in stages.items()})
    assert estimate(manifest, plan).dsp == 7
    model = netlist_model(manifest, family, plan, options, cache)
    assert model.design.verilog.count(f" {cell} ") == 7
    assert compare(manifest, model, random_samples(manifest, 4), stalls=0.2).differences == 0


@pytest.mark.parametrize(
    ("family", "cell", "features", "scan", "cells"),
    [
        # encoder, scan, readout, mixing, gate, decoder
        (ICE40, "SB_MAC16", ("narrow",), 4, 1 + 2 + 2 + 2 + 1 + 1),
        (ECP5, "MULT18X18D", ("narrow",), 4, 1 + 4 + 4 + 2 + 1 + 1),
        (ECP5, "MULT18X18D", (), "1x1/3", 1 + 1 + 4 + 4 + 1 + 1),
        (ECP5, "MULT18X18D", ("delta", "dither"), "1x2/3", 1 + 2 + 4 + 4 + 1 + 1),
        (ECP5, "MULT18X18D", ("delta", "dither"), 6, 1 + 6 + 4 + 4 + 1 + 1),
    ],
)
def test_bits_of_two_products_in_a_block_and_of_three_in_a_complex_one(
    random_manifest, random_samples, cache, family, cell, features, scan, cells
):
    manifest = random_manifest(channels=2, modes=2, steps=7, features=features)
    folding = {"encoder": 1, "ssm": scan, "readout": 4, "mixing": 4, "decoder": 1}
    stages = plan_for(
        manifest, unlimited(family), dsp=100, folding=folding, share_layers=False
    ).plan.stages
    plan = Plan(family, {name: replace(stage, kind="dsp") for name, stage in stages.items()})
    assert plan.stages["ssm"].folding.endswith(("*3", "/3")) == (features != ("narrow",))
    model = netlist_model(manifest, family, plan, cache=cache)
    assert model.design.verilog.count(f" {cell} ") == estimate(manifest, plan).dsp == cells
    assert compare(manifest, model, random_samples(manifest, 4), stalls=0.2).differences == 0


def test_bits_of_products_of_9_and_of_18_bits(random_manifest, random_samples, cache):
    """In cells of Gowin: two of 9 bits are in the place of one of 18."""
    manifest = random_manifest(channels=3, modes=3, steps=7, features=("narrow",))
    folding = {"encoder": 1, "ssm": 4, "readout": 6, "mixing": 6, "decoder": 1}
    plan = plan_for(manifest, unlimited(GOWIN), dsp=100, folding=folding, share_layers=False).plan
    plan = Plan(GOWIN, {name: replace(stage, kind="dsp") for name, stage in plan.stages.items()})
    model = netlist_model(manifest, GOWIN, plan, cache=cache)
    whole, half = (model.design.verilog.count(f" {cell} ") for cell in ("MULT18X18", "MULT9X9"))
    assert half and whole + half / 2 == estimate(manifest, plan).dsp
    assert compare(manifest, model, random_samples(manifest, 4), stalls=0.2).differences == 0


def test_bits_of_a_dense_with_some_columns_in_blocks(random_manifest, random_samples, cache):
    manifest = random_manifest(channels=3, modes=3, steps=7, features=("narrow", "delta", "dither"))
    plan = plan_for(
        manifest,
        unlimited(ECP5),
        dsp=100,
        folding={"encoder": 1, "ssm": "1x1/2", "readout": 1, "mixing": "6x3:2", "decoder": 1},
        share_layers=False,
    ).plan
    model = netlist_model(manifest, ECP5, plan, cache=cache)
    assert compare(manifest, model, random_samples(manifest, 4), stalls=0.2).differences == 0


@pytest.mark.parametrize("family", [ICE40, ECP5], ids=str)
def test_bits_of_few_bits(random_manifest, random_samples, cache, family):
    """Codes of 4 bits with exponents, the delta form and dithered states,
    over more steps than the dither takes to repeat."""
    manifest = random_manifest(
        channels=2, modes=3, steps=260, features=("narrow", "exponent", "delta", "dither")
    )
    folding = {"encoder": 1, "ssm": "1x1/2", "readout": 1, "mixing": 1, "decoder": 1}
    model = netlist_model(
        manifest,
        family,
        plan_for(manifest, unlimited(family), folding=folding, share_layers=False).plan,
        cache=cache,
    )
    assert compare(manifest, model, random_samples(manifest, 2), stalls=0.2).differences == 0


@pytest.mark.parametrize("family", [ICE40, ECP5], ids=str)
def test_bits_of_a_deep_model(random_manifest, random_samples, cache, family):
    """From the input to the sum of states and skip: norm, complex result, complex drive,
    complex weights that are not grouped."""
    whole = random_manifest(channels=2, modes=2, steps=5, layers=1, features=("narrow",))
    operations = whole.graph.operations[: list(whole.nodes).index("sum_1") + 1]
    manifest = Manifest(
        whole.graph.model_copy(update={"operations": operations, "output": "sum_1"}), whole.tensors
    )
    model = netlist_model(
        manifest,
        family,
        plan_for(manifest, unlimited(family), share_layers=False).plan,
        cache=cache,
    )
    assert compare(manifest, model, random_samples(manifest, 4), stalls=0.2).differences == 0


def test_bits_of_layers_that_share_stages(random_manifest, random_samples, cache):
    """In cells of the iCE40, whose block RAMs promise nothing of a word that is read
    while it is written."""
    manifest = random_manifest(
        channels=4, modes=2, steps=5, layers=2, features=("narrow",), alike=True
    )
    model = netlist_model(
        manifest, ICE40, plan_for(manifest, unlimited(ICE40), share_layers=True).plan, cache=cache
    )
    assert "SB_RAM40_4K" in model.design.verilog
    assert compare(manifest, model, random_samples(manifest, 6), stalls=0.2).differences == 0


def test_bits_of_small_memories_of_luts(random_manifest, random_samples, cache):
    """Without a block RAM: RAMs of LUTs give a word that is read while it is written as
    block RAMs do not."""
    manifest = random_manifest(
        channels=4, modes=2, steps=5, layers=2, features=("narrow",), alike=True
    )
    plan = replace(plan_for(manifest, unlimited(ECP5), share_layers=True).plan, luts_below=1 << 14)
    model = netlist_model(manifest, ECP5, plan, cache=cache)
    assert "TRELLIS_DPR16X4" in model.design.verilog and " DP16KD" not in model.design.verilog
    assert compare(manifest, model, random_samples(manifest, 6), stalls=0.2).differences == 0


@pytest.mark.parametrize("family", [ICE40, ECP5], ids=str)
@pytest.mark.parametrize("layers,size", [(2, 4), (1, 12)])
def test_bits_of_taps_hadamard_and_argmax(layers, size, family, random_samples, cache):
    """Two layers share their stages."""
    manifest = convolutional(layers, size)
    model = netlist_model(
        manifest,
        family,
        plan_for(manifest, unlimited(family), share_layers=layers > 1).plan,
        cache=cache,
    )
    assert compare(manifest, model, random_samples(manifest, 4), stalls=0.2).differences == 0


HARNESS = """
#include "Vtop.h"
#include "verilated.h"
extern "C" long differences(long cycles) {
    VerilatedContext context;
    Vtop top(&context);
    unsigned long state = 88172645463325252UL;
    long count = 0;
    for (long cycle = 0; cycle < cycles; ++cycle) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        top.x = state * 0x2545F4914F6CDD1DUL;
        top.clk = 0;
        top.eval();
        count += top.y != top.z;
        top.clk = 1;
        top.eval();
    }
    return count;
}
"""

HEAD = """
module dut(input clk, input [63:0] x, output [63:0] y);
    wire signed [15:0] a = x[15:0], c = x[47:32];
    wire signed [7:0] b = x[23:16], d = x[55:48];
"""

MEMORY = """
    reg [{width}-1:0] words [0:{depth}-1];
    reg [{width}-1:0] read = 0;
    initial $readmemh("{start}", words);
    wire [5:0] w = x[5:0], r = x[11:6]; // few addresses, so that what is written is read
    always @(posedge clk) begin
        if (x[12]) words[{{w, {low}'h0}}] <= x[63:13];
        if (x[13] | !{enable}) read <= words[{{r, {low}'h0}}];
    end
    assign y = read;
endmodule
"""


def _differences(body, family, options, cache):
    """Cycles of 20,000 in which a module and its netlist give another y for random x;
    and the netlist."""
    rtl = HEAD + body
    design = synthesise(rtl, "dut", family, options, cache)
    cells = design.verilog.replace("module dut(", "module netlist(")
    top = "module top(input clk, input [63:0] x, output [63:0] y, output [63:0] z);\n"
    top += "dut a(clk, x, y);\nnetlist b(clk, x, z);\nendmodule\n"
    lint = design.lint + "lint_off -rule WIDTHTRUNC\n"
    library = compile_verilog(
        Design(rtl + cells + top, "top", design.sources, lint, 0), HARNESS, cache
    )
    function = ctypes.CDLL(str(library)).differences
    function.restype, function.argtypes = ctypes.c_long, (ctypes.c_long,)
    return function(20000), design.verilog


@pytest.mark.parametrize(
    ("width", "depth", "enable"),
    [
        (1, 16384, 0),
        (2, 8192, 1),
        (4, 4096, 0),
        (9, 2048, 1),
        (18, 1024, 0),
        (36, 512, 1),
        (36, 512, 0),
    ],
)
def test_model_of_dp16kd(cache, tmp_path, width, depth, enable):
    """Yosys makes the memory, the model reads it: what it starts with, and what is written."""
    start = tmp_path / "start.hex"
    start.write_text(
        "\n".join(f"{word:x}" for word in np.random.default_rng(0).integers(0, 1 << width, depth))
    )
    low = depth.bit_length() - 1 - 6
    body = MEMORY.format(width=width, depth=depth, low=low, enable=enable, start=start)
    differences, netlist = _differences(body, ECP5, (), cache)
    assert "DP16KD" in netlist
    assert differences == 0


def test_models_of_bsram(cache, tmp_path):
    """As above, several in a module: of bytes of 8 and of 9 bits, of one width and of two,
    and one that is only read."""
    body, dice = "wire [5:0] w = x[5:0], r = x[11:6];\n", np.random.default_rng(0)
    memories = [
        (2, 8192, 1),
        (4, 4096, 0),
        (9, 2048, 1),
        (18, 1024, 1),
        (36, 512, 0),
        (32, 512, None),
    ]
    for index, (width, depth, enable) in enumerate(memories):
        start, low = tmp_path / f"start{index}.hex", depth.bit_length() - 1 - 6
        start.write_text("\n".join(f"{word:x}" for word in dice.integers(0, 1 << width, depth)))
        write = (
            f"if (x[12]) words{index}[{{w, {low}'h0}}] <= x[63:13];" if enable is not None else ""
        )
        body += f"""
    (* ram_style = "block", rom_style = "block" *) reg [{width}-1:0] words{index} [0:{depth}-1];
    reg [{width}-1:0] read{index} = 0;
    initial $readmemh("{start}", words{index});
    always @(posedge clk) begin
        {write}
        if (x[13] | !{enable or 0}) read{index} <= words{index}[{{r, {low}'h0}}];
    end
"""
    reads = " ^ ".join(f"(read{index} << {8 * (index % 4)})" for index in range(len(memories)))
    body += f"assign y = {reads};\nendmodule\n"
    differences, netlist = _differences(body, GOWIN, (), cache)
    assert differences == 0
    assert set(re.findall(r" (S?DP\w*B|SP\w*) #", netlist)) == {"DPB", "DPX9B", "SDPX9B", "SPX9"}


@pytest.mark.parametrize(
    ("width", "registers", "taken"),
    [
        (9, "later <= read;", True),
        (36, "later <= read;", True),
        (18, "if (x[14]) later <= read;", True),  # enabled, the same for all bits
        (18, "if (x[14]) later[8:0] <= read[8:0]; later[17:9] <= read[17:9];", False),
        (18, "later <= x[14] ? 0 : read;", False),  # cleared
        (18, "later <= read; other <= ^read;", False),  # read by more than the registers
    ],
)
def test_output_registers_of_dp16kd(cache, tmp_path, width, registers, taken):
    """The register behind a memory is in the block RAM where it can be, and computes the same."""
    start, depth = tmp_path / "start.hex", 18 * 1024 // width
    start.write_text(
        "\n".join(f"{word:x}" for word in np.random.default_rng(0).integers(0, 1 << width, depth))
    )
    body = f"""
    reg [{width}-1:0] words [0:{depth}-1];
    reg [{width}-1:0] read = 0, later = 0;
    reg other = 0;
    initial $readmemh("{start}", words);
    always @(posedge clk) begin
        if (x[13]) read <= words[x[32 +: {depth.bit_length() - 1}]];
        {registers}
    end
    assign y = later ^ other;
endmodule
"""
    differences, netlist = _differences(body, ECP5, (), cache)
    assert differences == 0
    assert ('"OUTREG"' in netlist) == taken
    assert (" TRELLIS_FF " in netlist) != taken


@pytest.mark.parametrize("family", [ICE40, ECP5], ids=str)
def test_products(cache, family):
    """Signed and unsigned operands, a sum of two products, an accumulator:
    where the tools put registers and adders."""
    body = """
    reg signed [15:0] a1 = 0, a2 = 0, c1 = 0, c2 = 0;
    reg signed [7:0] b1 = 0, b2 = 0, d1 = 0, d2 = 0;
    (* keep *) reg signed [23:0] p = 0, q = 0, u = 0;
    reg signed [24:0] sum = 0;
    reg signed [27:0] total = 0;
    always @(posedge clk) begin
        a1 <= a; a2 <= a1; b1 <= b; b2 <= b1; c1 <= c; c2 <= c1; d1 <= d; d2 <= d1;
        p <= a2 * b2; q <= c2 * d2; u <= x[15:0] * x[23:16];
        sum <= p + q;
        total <= (x[63] ? 28'sd0 : total) + p;
    end
    assign y = sum ^ {total, 36'h0} ^ {u, 20'h0};
endmodule
"""
    options = ("-dsp",) if family is ICE40 else ()
    differences, netlist = _differences(body, family, options, cache)
    assert differences == 0
    assert ("SB_MAC16" if family is ICE40 else "MULT18X18D") in netlist


def test_modes_without_a_model(cache, tmp_path):
    text = """
    module top(input clk, input a, output y);
        MULT18X18D #(.REG_OUTPUT_CLK("CLK1")) cell_(
            .CLK0(clk), .CE0(1'b1), .RST0(1'b0), .A0(a), .B0(a), .P0(y));
    endmodule
    """
    netlist = synthesise(
        "module top(input a, output y); assign y = a; endmodule", "top", ECP5, cache=tmp_path
    )
    assert not list(tmp_path.iterdir())  # the log goes where nothing failed
    design = Design(text, "top", netlist.sources, netlist.lint + "lint_off -rule WIDTHTRUNC\n", 0)
    with pytest.raises(SsmHdlError, match="MULT18X18D: no model of a register with clock CLK1"):
        compile_verilog(design, HARNESS, cache)


def test_lost_results_are_errors(tmp_path):
    """The bug of Yosys 0.70 that the gateware avoids: the netlist of this module gives 0."""
    body = """
    reg signed [15:0] ra = 0;
    reg signed [7:0] rb = 0;
    reg signed [23:0] m = 0, p = 0;
    always @(posedge clk) begin ra <= a; rb <= b; m <= ra * rb; p <= m; end
    assign y = p;
endmodule
"""
    with pytest.raises(
        SsmHdlError,
        match=r"Yosys warns, so its netlist is not to be trusted: Warning: Driver-driver",
    ):
        synthesise(HEAD + body, "dut", ICE40, ("-dsp",), tmp_path)
    (log,) = tmp_path.glob("ice40-*.log")
    assert "Driver-driver conflict" in log.read_text()


def test_bad_requests(random_manifest, tmp_path):
    with pytest.raises(
        SsmHdlError,
        match=r"a netlist has the cells of a family, and any family has none; name a device",
    ):
        netlist_model(random_manifest(), GENERIC)
    with pytest.raises(
        SsmHdlError, match=r"Yosys failed: ERROR: .*Can't open input file|Yosys failed: ERROR: File"
    ):
        run_yosys([["read_verilog", str(tmp_path / "nothing.v")]], tmp_path / "yosys.log")


def test_a_machine_without_yosys(monkeypatch, tmp_path):
    monkeypatch.setattr("ssm_hdl.extras.find_spec", lambda name: None)
    with pytest.raises(
        SsmHdlError, match=r"needs pyosys, not installed here; `pip install \"ssm-hdl\[boards\]\"`"
    ):
        run_yosys(["help"], tmp_path / "yosys.log")
    assert not list(tmp_path.iterdir())
