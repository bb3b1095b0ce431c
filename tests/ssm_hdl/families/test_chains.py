"""Shorter carry chains: proofs that sums stay what they are,
and that their first carry comes from within."""

import json
from itertools import product

import pytest

from ssm_hdl.families.ecp5.chains import open_ends, shorten
from ssm_hdl.families.ecp5.fuse import readers_of

WIDTHS = (5, 6, 7, 8)


def sums(width):
    """Verilog of sums whose lowest bit is of two bits, of four, or is not looked at;
    of differences, and of a comparison."""
    return f"""
module top(input clk, input [31:0] x, output reg [{width - 1}:0] sum, difference, both, counts,
           output reg [2:0] high, output reg less);
    wire [{width - 1}:0] a = x[7:0], b = x[15:8], c = x[23:16], d = x[31:24], whole = a + b;
    always @(posedge clk) begin
        sum <= a + c;
        difference <= a - b;
        both <= (a & b) + (c & d);
        counts <= x[0] ? 0 : counts + 1;
        high <= whole[{width - 1}:{width - 3}];
        less <= a < d;
    end
endmodule
"""


def test_proofs(netlists, proved):
    for width in WIDTHS:
        before, after = netlists(sums(width), ("-abc9",), (), ("fuse", "shorten"))
        assert after["CCU2C"] == before["CCU2C"]
        assert proved()


def test_no_chain_begins_or_ends_outside(netlists, tmp_path):
    netlists(sums(8), ("-abc9",), ("fuse", "shorten"))
    module = json.loads((tmp_path / "0.json").read_text())["modules"]["top"]
    open_ends(module)
    cells = module["cells"].values()
    carries = [cell["connections"] for cell in cells if cell["type"] == "CCU2C"]
    assert sum(pins["COUT"] == ["x"] for pins in carries) >= 4
    assert all(pins["COUT"][0] in readers_of(module) for pins in carries if pins["COUT"] != ["x"])
    begun = [pins["CIN"] == ["x"] for pins in carries if not isinstance(pins["CIN"][0], int)]
    # the lowest bit of a sum of four stays where it is
    assert len(begun) >= 5 and sum(begun) >= len(begun) - 1


def carry_cell(carry, width, init=0x96AA):
    """A module of one CCU2C: two bits of a sum, or one."""
    pins = {
        "A0": [2],
        "B0": [3],
        "A1": [4] if width > 1 else ["0"],
        "B1": [5] if width > 1 else ["0"],
    }
    pins |= {f"{pin}{half}": ["0" if pin == "C" else "1"] for pin in "CD" for half in "01"}
    pins |= {"CIN": [carry], "S0": [6], "S1": [7], "COUT": [8]}
    cell = {
        "type": "CCU2C",
        "parameters": {
            "INIT0": f"{init:016b}",
            "INIT1": f"{init:016b}",
            "INJECT1_0": "NO",
            "INJECT1_1": "NO",
        },
        "port_directions": {
            pin: "output" if pin in ("S0", "S1", "COUT") else "input" for pin in pins
        },
        "connections": pins,
    }
    outputs = [6, 7][:width]
    return {
        "ports": {"y": {"direction": "output", "bits": outputs}},
        "cells": {"carry": cell},
        "netnames": {},
    }


def evaluate(module, values):
    """Nets of a module of CCU2Cs and LUTs in order, by the equations of the cells;
    a carry that nothing brings is wrong."""
    nets = {"0": 0, "1": 1, "x": 1} | values
    for cell in module["cells"].values():
        pins = {pin: nets.get(net[0]) for pin, net in cell["connections"].items()}
        if cell["type"] == "LUT4":
            index = sum(pins[pin] << place for place, pin in enumerate("ABCD"))
            nets[cell["connections"]["Z"][0]] = int(cell["parameters"]["INIT"], 2) >> index & 1
            continue
        carry = pins["CIN"]
        for half in "01":
            init, index = (
                int(cell["parameters"][f"INIT{half}"], 2),
                sum(pins[p + half] << k for k, p in enumerate("ABCD")),
            )
            p, g = init >> index & 1, init >> (index & 3) & 1
            nets[cell["connections"][f"S{half}"][0]] = p ^ carry
            carry = carry if p else g
    return nets


@pytest.mark.parametrize("carry", ("0", "1"))
@pytest.mark.parametrize("width", (1, 2))
def test_two_bits(carry, width):
    """The sum with its carry, whatever comes in where nothing is connected."""
    module = carry_cell(carry, width)
    shorten(module)
    open_ends(module)
    pins = module["cells"]["carry"]["connections"]
    assert pins["CIN"] == pins["COUT"] == ["x"]
    assert len(module["cells"]) == width  # a LUT for the lower bit of two
    for a, b, c, d in product((0, 1), repeat=4):
        nets = evaluate(module, {2: a, 3: b, 4: c, 5: d})
        total = a + b + int(carry) + (2 * (c + d) if width > 1 else 0)
        assert nets[6] == total & 1 and (width == 1 or nets[7] == total >> 1 & 1)


def test_a_carry_that_is_read_stays():
    module = carry_cell("0", 2)
    module["ports"]["y"]["bits"].append(8)
    open_ends(module)
    assert module["cells"]["carry"]["connections"]["COUT"] == [8]


def test_a_carry_from_elsewhere_stays():
    module = carry_cell(9, 1)
    shorten(module)
    assert module["cells"]["carry"]["connections"]["CIN"] == [9]
