"""Synthesis: what few flip-flops are reset and enabled by is logic,
and nothing is faster than it has to be."""

import json
from collections import Counter

from ssm_hdl.families.ecp5 import ECP5
from ssm_hdl.gen import yosys

VERILOG = """
module top(input clk, input clear, wide, some, few, input [19:0] x, output reg [19:0] a,
           output reg [2:0] b, output reg [3:0] c, output reg [1:0] d);
    always @(posedge clk) begin
        a <= wide ? 0 : x;
        b <= clear ? 0 : x[2:0];
        if (some) c <= x[3:0];
        if (few) d <= x[1:0];
    end
endmodule
"""


def test_few_flip_flops_of_an_ecp5_have_no_reset_and_no_enable_of_their_own(tmp_path):
    (tmp_path / "top.v").write_text(VERILOG)
    files = tmp_path / "top.json", tmp_path / "yosys.log"
    yosys.synthesise(tmp_path / "top.v", "top", ECP5, *files)
    module = json.loads((tmp_path / "top.json").read_text())["modules"]["top"]
    names = {
        bits["bits"][0]: name
        for name, bits in module["netnames"].items()
        if name in ("clear", "wide", "some", "few")
    }
    flip_flops = [
        cell["connections"] for cell in module["cells"].values() if cell["type"] == "TRELLIS_FF"
    ]
    used = {
        pin: Counter(names.get(pins.get(pin, ["0"])[0]) for pins in flip_flops)
        for pin in ("LSR", "CE")
    }
    assert used == {"LSR": {"wide": 20, None: 9}, "CE": {"some": 4, None: 25}}


def test_what_is_fast_enough_is_not_made_larger(tmp_path):
    """A register of 32 bits that is loaded or moved on, by what three bits say:
    a LUT for each bit and a few around."""
    (tmp_path / "top.v").write_text("""
module top(input clk, input load, ready, input [31:0] x, output [7:0] y);
    reg [31:0] numbers; reg [2:0] held;
    assign y = numbers[7:0];
    wire takes = load & (held == 0 | (held == 1 & ready));
    always @(posedge clk) begin
        if (held != 0 & ready) begin numbers <= numbers >> 8; held <= held - 1; end
        if (takes) begin numbers <= x; held <= 4; end
    end
endmodule
""")
    cells = yosys.synthesise(
        tmp_path / "top.v", "top", ECP5, tmp_path / "top.json", tmp_path / "yosys.log"
    )
    assert 32 <= cells["LUT4"] <= 48 and cells["TRELLIS_FF"] == 35


def test_a_process_of_yosys_imports_nothing_of_ours(tmp_path, monkeypatch):
    """That would take half a second of each start."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    log = yosys.run_yosys([], tmp_path / "yosys.log")
    assert "pyosys" in log and "ssm_hdl" not in log
