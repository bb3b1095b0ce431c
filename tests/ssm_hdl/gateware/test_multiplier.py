# amaranth: UnusedElaboratable=no
"""Multipliers in the cells of both families: every product, the cycles it takes, and how many DSP blocks there are."""

import ctypes

import numpy as np
import pytest
from amaranth.back import verilog
from amaranth.hdl import Const, Module, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ssm_hdl import SsmHdlError
from ssm_hdl.gateware import multiplier
from ssm_hdl.sim.compiler import compile_verilog
from ssm_hdl.sim.netlist import synthesise

S, U = (lambda width: Shape(width, True)), Shape
CELLS = {"ice40": "SB_MAC16", "ecp5": "MULT18X18D"}
CYCLES = 4000

HARNESS = """
#include "Vtop.h"
#include "verilated.h"
extern "C" void products(long cycles, const int* in, long long* out) {
    VerilatedContext context;
    Vtop top(&context);
    for (long cycle = 0; cycle < cycles; ++cycle, in += 10, out += 5) {
        top.a0 = in[0], top.a1 = in[1], top.a2 = in[2], top.a3 = in[3], top.a4 = in[4];
        top.b0 = in[5], top.b1 = in[6], top.b2 = in[7], top.b3 = in[8], top.b4 = in[9];
        top.clk = 0;
        top.eval();
        out[0] = top.p0, out[1] = top.p1, out[2] = top.p2, out[3] = top.p3, out[4] = top.p4;
        top.clk = 1;
        top.eval();
    }
}
"""


class Products(wiring.Component):
    """``count`` products a[k] * b[k // shared * shared], with ports of one size whatever the operands."""

    def __init__(self, kind, a, b, count, shared, a_range=None):
        self.kind, self.shapes, self.count, self.shared, self.a_range = kind, (a, b), count, shared, a_range
        super().__init__({f"{name}{k}": In(32) for name in "ab" for k in range(5)} | {f"p{k}": Out(S(64)) for k in range(5)})

    def elaborate(self, platform):
        m = Module()
        a, b = ([Signal(shape, name=f"{name}_{k}") for k in range(5)] for name, shape in zip("ab", self.shapes, strict=True))
        for k in range(5):
            m.d.comb += [a[k].eq(getattr(self, f"a{k}")), b[k].eq(getattr(self, f"b{k}"))]
        pairs = [(a[k], b[k // self.shared * self.shared]) for k in range(self.count)]
        for k, product in enumerate(multiplier.multiply_all(m, self.kind, pairs, self.a_range)):
            m.d.comb += getattr(self, f"p{k}").eq(product)
        return m


def numbers(dice, shape, within=None):
    """Random ones, every other an extreme one or 0 or 1 or -1."""
    low, high = (within[0], within[-1]) if within else (-(1 << shape.width - 1), (1 << shape.width - 1) - 1)
    if not shape.signed:
        low, high = 0, (1 << shape.width) - 1
    extremes = np.clip([low, low, high, high, low + 1, high - 1, -1, 0, 1], low, high)
    freely = dice.integers(low, high + 1, (CYCLES, 5))
    return np.where(dice.random((CYCLES, 5)) < 0.5, dice.choice(extremes, (CYCLES, 5)), freely)


def simulate(stage, family, a, b, cache):
    """The products of each cycle in the netlist, and the netlist."""
    text = verilog.convert(stage, name="top", strip_internal_attrs=True)
    design = synthesise(text, "top", family, cache=cache)
    function = ctypes.CDLL(str(compile_verilog(design, HARNESS, cache))).products
    function.argtypes = (ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    operands, products = np.ascontiguousarray(np.hstack([a, b]).astype(np.int32)), np.zeros((CYCLES, 5), dtype=np.int64)
    function(CYCLES, operands.ctypes.data, products.ctypes.data)
    return products, design.verilog


CASES = [
    ("ice40", S(16), S(16), 3, 1, None, 3),
    ("ice40", S(8), S(9), 3, 1, None, 3),
    ("ice40", S(8), S(8), 5, 1, None, 3),
    ("ice40", S(8), S(8), 4, 2, None, 2),
    ("ice40", S(4), U(8), 2, 1, None, 1),
    ("ice40", U(8), S(8), 3, 1, None, 2),
    ("ice40", U(8), U(8), 2, 1, None, 1),
    ("ice40", U(3), U(5), 1, 1, None, 1),
    ("ecp5", S(18), S(18), 2, 2, None, 2),
    ("ecp5", S(4), S(8), 2, 1, None, 2),
    ("ecp5", S(4), S(8), 4, 4, None, 2),
    ("ecp5", S(4), S(8), 5, 5, None, 3),
    ("ecp5", S(4), S(9), 4, 2, None, 2),
    ("ecp5", S(5), S(8), 2, 2, None, 2),
    ("ecp5", S(5), S(8), 2, 2, range(-8, 9), 1),
    ("ecp5", S(5), U(7), 3, 3, None, 2),
    ("ecp5", U(4), S(8), 2, 2, None, 1),
    ("ecp5", U(4), U(9), 4, 4, None, 2),
    ("ecp5", S(1), S(16), 2, 2, None, 2),
    ("ecp5", U(1), S(15), 2, 2, None, 1),
]


@pytest.mark.parametrize("kind,a,b,count,shared,within,cells", CASES)
def test_products_in_dsp_blocks(cache, kind, a, b, count, shared, within, cells):
    dice = np.random.default_rng(0)
    x, y = numbers(dice, a, within), numbers(dice, b)
    products, netlist = simulate(Products(kind, a, b, count, shared, within), kind, x, y, cache)
    cycles = multiplier.latency(kind, within or a, b, shared)
    expected = x * y[:, np.arange(5) // shared * shared]
    assert np.array_equal(products[cycles:, :count], expected[:-cycles, :count])
    assert not np.array_equal(products[cycles - 1 :, :count], expected[: 1 - cycles, :count])
    assert netlist.count(f" {CELLS[kind]} ") == multiplier.blocks(kind, within or a, b, count, shared) == cells


@pytest.mark.parametrize("family", ["ice40", "ecp5"])
@pytest.mark.parametrize("kind", ["lut", "dsp"])
@pytest.mark.parametrize("a,b", [(S(4), S(8)), (S(8), U(8)), (U(5), S(3)), (S(7), S(7)), (U(1), S(9)), (S(1), S(6)), (U(4), U(4))])
def test_products_of_other_kinds(cache, kind, family, a, b):
    dice = np.random.default_rng(1)
    x, y = numbers(dice, a), numbers(dice, b)
    products, netlist = simulate(Products(kind, a, b, 1, 1), family, x, y, cache)
    cycles = multiplier.latency(kind, a, b)
    assert np.array_equal(products[cycles:, 0], (x * y)[:-cycles, 0])
    assert kind == "dsp" or " SB_MAC16 " not in netlist and " MULT18X18D " not in netlist


def test_latencies():
    """2 + the levels of a tree with a leaf for each two bits of the narrower operand; 3 in a block, 2 and 4 in half a one."""
    lut = {(4, 8): 3, (8, 4): 3, (8, 8): 4, (2, 16): 2, (1, 8): 2, (16, 16): 5, (9, 9): 5}
    assert {widths: multiplier.latency("lut", S(widths[0]), S(widths[1])) for widths in lut} == lut
    assert multiplier.latency("dsp", S(4), S(4), 4) == 3
    assert [multiplier.latency("ice40", S(8), b) for b in (S(8), U(8), S(9))] == [2, 2, 3]
    assert [multiplier.latency("ecp5", S(4), S(8), shared) for shared in (1, 2)] == [3, 4]
    assert multiplier.latency("ecp5", S(8), S(8), 2) == 3
    with pytest.raises(SsmHdlError, match=r"multiplier kind 'booth'; there are dsp, ice40, ecp5, lut"):
        multiplier.latency("booth", S(4), S(4))
