# amaranth: UnusedElaboratable=no
"""LUTs in carry chains: proofs that netlists compute what they did,
and how many LUTs products take."""

import copy
import json
from collections import Counter

import pytest
from amaranth.back import verilog
from amaranth.hdl import Module, Shape, Signal

from ssm_hdl.families.ecp5.fuse import fuse
from ssm_hdl.gateware import adders

S, U = (lambda width: Shape(width, True)), Shape

SUMS = """
module top(input clk, input [31:0] x, output reg [9:0] sub, same, either, sum, low, counts,
           output reg less, shared);
    wire [7:0] a = x[7:0], b = x[15:8], c = x[23:16], d = x[31:24];
    wire [7:0] seen = b & d;
    always @(posedge clk) begin
        sub <= (a & b) - (c & d);
        same <= (a | b) + (a ^ d); // of three bits
        either <= x[0] ? a + c : a - c; // the carry chain's own XOR
        sum <= (x[0] ? a : b) + ~(x[1] ? c : d); // the LUTs have five bits between them: one goes
        low <= ~(a ^ b) + ~(c ^ d); // both are 1 where their bits are 0: one goes
        counts <= x[0] ? 0 : counts + (a & b & c);
        less <= (a & b) < (b ^ c);
        shared <= ^((a & b) + seen) ^ ^seen; // what another LUT reads stays
    end
endmodule
"""


def products(*shapes):
    """Verilog of products made of adders."""
    m, ports = Module(), []
    for index, (a, b) in enumerate(shapes):
        x, y = Signal(a, name=f"x{index}"), Signal(b, name=f"y{index}")
        product = adders.multiply(m, x, y)
        p = Signal(product.shape(), name=f"p{index}")
        m.d.comb += p.eq(product)
        ports += [x, y, p]
    return verilog.convert(m, name="top", ports=ports, strip_internal_attrs=True)


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (products((S(4), S(8)), (U(3), S(5)), (S(5), U(5)), (U(8), S(8))), ("-abc9",)),
        (SUMS, ("-abc9",)),
        (SUMS, ()),
    ],
    ids=["products", "sums", "sums without ABC9"],
)
def test_proofs(text, options, netlists, proved):
    """Chains are shortened too: by nothing but LUTs for their lowest bits."""
    before, fused, after = netlists(text, options, (), ("fuse",), ("fuse", "shorten"))
    assert fused["LUT4"] < before["LUT4"] and {**fused, "LUT4": 0} == {**before, "LUT4": 0}
    assert after["LUT4"] >= fused["LUT4"] and {**after, "LUT4": 0} == {**before, "LUT4": 0}
    assert proved()


@pytest.mark.parametrize(
    ("a", "b", "luts", "fused"), [(4, 8, 62, 32), (8, 8, 136, 76), (9, 9, 182, 105)]
)
def test_products(a, b, luts, fused, netlists):
    found = netlists(products((S(a), S(b))), ("-abc9",), (), ("fuse",))
    assert [cells["LUT4"] + 2 * cells["CCU2C"] for cells in found] == [luts, fused]


def half(**pins):
    """A module of half a CCU2C that adds, and a LUT that makes its operand A:
    net 4 of nets 2 and 3."""
    carry = {"A0": [4], "B0": [5], "C0": ["0"], "D0": ["1"], "CIN": ["0"], "S0": [6], "COUT": [7]}
    lut = {"A": [2], "B": [3], "C": ["0"], "D": ["1"], "Z": [4]}
    return {
        "ports": {"y": {"direction": "output", "bits": [6, 7]}},
        "cells": {
            "carry": {
                "type": "CCU2C",
                "parameters": {
                    "INIT0": f"{0x96AA:016b}",
                    "INIT1": f"{0:016b}",
                    "INJECT1_0": "NO",
                    "INJECT1_1": "YES",
                },
                "port_directions": {
                    pin: "output" if pin in ("S0", "COUT") else "input" for pin in carry
                },
                "connections": carry,
            },
            "lut": {
                "type": "LUT4",
                "parameters": {"INIT": f"{0x8000 | 0x0800:016b}"},
                "port_directions": {pin: "output" if pin == "Z" else "input" for pin in lut},
                "connections": {**lut, **pins},
            },
        },
        "netnames": {"a": {"bits": [4]}, "both": {"bits": [4, 5]}, "b": {"bits": [5]}},
    }


def test_a_half():
    """a = net 2 & net 3, in the carry chain; with less than four nets the carry's
    entries are its own."""
    module = half()
    fuse(module)
    carry = module["cells"]["carry"]
    assert set(module["cells"]) == {"carry"} and module["netnames"] == {"b": {"bits": [5]}}
    a, b, c = (carry["connections"][pin + "0"][0] for pin in "ABC")
    assert carry["connections"]["D0"] == ["1"]
    init = int(carry["parameters"]["INIT0"], 2)
    for code in range(8):
        values = {a: code & 1, b: code >> 1 & 1, c: code >> 2}
        p = init >> (8 + code) & 1
        assert p == (values[2] & values[3]) ^ values[5]
        assert p or init >> (code & 3) & 1 == values[5]


@pytest.mark.parametrize("what", ["output", "reader", "unknown input", "unknown entry", "no carry"])
def test_what_stays(what):
    module = half(**{"A": ["x"]} if what == "unknown input" else {})
    cells = module["cells"]
    if what == "output":
        module["ports"]["y"]["bits"].append(4)
    elif what == "reader":
        cells["mux"] = {
            "type": "PFUMX",
            "port_directions": {"ALUT": "input"},
            "connections": {"ALUT": [4]},
        }
    elif what == "unknown entry":
        cells["lut"]["parameters"]["INIT"] = "x" + cells["lut"]["parameters"]["INIT"][1:]
    elif what == "no carry":
        cells["carry"]["parameters"]["INJECT1_0"] = "YES"
    before = copy.deepcopy(module)
    fuse(module)
    assert json.dumps(module) == json.dumps(before)
    assert Counter(cell["type"] for cell in cells.values())["LUT4"] == 1
