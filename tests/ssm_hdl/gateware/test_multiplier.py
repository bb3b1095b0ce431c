# amaranth: UnusedElaboratable=no
"""Multipliers in the cells of the families: every product, the cycles it takes,
and how many DSP blocks there are."""

import ctypes
import dataclasses
from typing import NamedTuple

import numpy as np
import pytest
from amaranth.back import verilog
from amaranth.hdl import Const, Module, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from ssm_hdl.boards.families import FLOWS
from ssm_hdl.families import Family
from ssm_hdl.families.ecp5 import ECP5
from ssm_hdl.families.generic import GENERIC
from ssm_hdl.families.gowin import GOWIN
from ssm_hdl.families.ice40 import ICE40
from ssm_hdl.gateware import adders
from ssm_hdl.sim.compiler import compile_verilog
from ssm_hdl.sim.netlist import synthesise

S, U = (lambda width: Shape(width, True)), Shape
CYCLES = 4000

LANES = 5

HARNESS = """
#include "Vtop.h"
#include "verilated.h"
extern "C" void products(long cycles, long words, const unsigned* in, unsigned* out) {
    VerilatedContext context;
    Vtop top(&context);
    for (long cycle = 0; cycle < cycles; ++cycle, in += words, out += words) {
        for (long word = 0; word < words; ++word) top.x[word] = in[word];
        top.clk = 0;
        top.eval();
        for (long word = 0; word < words; ++word) out[word] = top.p[word];
        top.clk = 1;
        top.eval();
    }
}
"""


class Case(NamedTuple):
    """``count`` products a[k] * b[k // shared * shared]; ``within``, if not all numbers of a;
    and the DSP blocks they take."""

    family: Family
    kind: str
    a: Shape
    b: Shape
    count: int
    shared: int
    within: range | None
    cells: int

    @property
    def multiplier(self):
        return self.family.multiplier(self.kind)

    @property
    def latency(self):
        return self.multiplier.latency(self.within or self.a, self.b, self.shared)

    @property
    def stored(self):
        """The shape of the first operands: an upper one that a lower one borrows from
        may need a bit more."""
        least = self.within or range(
            -(1 << self.a.width - 1) if self.a.signed else 0, 1 << self.a.width - self.a.signed
        )
        codes = self.multiplier.borrow(
            np.full((1, self.shared), least[0]), 1, self.within or self.a, self.b
        )
        return Shape.cast(range(codes.min(), least[-1] + 1)) if codes.min() < least[0] else self.a


class Products(wiring.Component):
    """The products of some cases, with operands of 32 bits and results of 64 whatever they need."""

    def __init__(self, cases):
        self.cases = cases
        super().__init__({"x": In(2 * 32 * LANES * len(cases)), "p": Out(64 * LANES * len(cases))})

    def elaborate(self, platform):
        m = Module()
        for index, case in enumerate(self.cases):
            words = [self.x.word_select(2 * LANES * index + k, 32) for k in range(2 * LANES)]
            a, b = ([Signal(shape) for _ in range(LANES)] for shape in (case.stored, case.b))
            m.d.comb += [number.eq(word) for number, word in zip(a + b, words, strict=True)]
            pairs = [(a[k], b[k // case.shared * case.shared]) for k in range(case.count)]
            within = case.within or case.a
            for k, product in enumerate(
                case.multiplier.multiply_all(m, pairs, within, shared=case.shared)
            ):
                whole = Signal(S(64))
                m.d.comb += [whole.eq(product), self.p.word_select(LANES * index + k, 64).eq(whole)]
        return m


def convert(cases):
    return verilog.convert(Products(cases), name="top", strip_internal_attrs=True)


def numbers(dice, shape, within):
    """Random ones, every other an extreme one or 0 or 1 or -1."""
    everything = (
        range(-(1 << shape.width - 1), 1 << shape.width - 1)
        if shape.signed
        else range(1 << shape.width)
    )
    low, high = (within or everything)[0], (within or everything)[-1]
    extremes = np.clip([low, low, high, high, low + 1, high - 1, -1, 0, 1], low, high)
    freely = dice.integers(low, high + 1, (CYCLES, LANES))
    return np.where(
        dice.random((CYCLES, LANES)) < 0.5, dice.choice(extremes, (CYCLES, LANES)), freely
    )


CASES = [
    (ICE40, "dsp", S(16), S(16), 3, 1, None, 3),
    (ICE40, "dsp", S(8), S(9), 3, 1, None, 3),
    (ICE40, "dsp", S(8), S(8), 5, 1, None, 3),
    (ICE40, "dsp", S(8), S(8), 4, 2, None, 2),
    (ICE40, "dsp", S(4), U(8), 2, 1, None, 1),
    (ICE40, "dsp", U(8), S(8), 3, 1, None, 2),
    (ICE40, "dsp", U(8), U(8), 2, 1, None, 1),
    (ICE40, "dsp", U(3), U(5), 1, 1, None, 1),
    (ECP5, "dsp", S(18), S(18), 2, 2, None, 2),
    (ECP5, "dsp", S(4), S(8), 2, 1, None, 2),
    (ECP5, "dsp", S(4), S(8), 4, 4, None, 2),
    (ECP5, "dsp", S(4), S(8), 5, 5, None, 3),
    (ECP5, "dsp", S(4), S(9), 4, 2, None, 2),
    (ECP5, "dsp", S(5), S(8), 2, 2, None, 2),
    (ECP5, "dsp", S(5), S(8), 2, 2, range(-8, 9), 1),
    (ECP5, "dsp", S(5), U(7), 3, 3, None, 2),
    (ECP5, "dsp", U(4), S(8), 2, 2, None, 1),
    (ECP5, "dsp", U(4), U(9), 4, 4, None, 2),
    (ECP5, "dsp", S(1), S(16), 2, 2, None, 2),
    (ECP5, "dsp", U(1), S(15), 2, 2, None, 1),
    (GOWIN, "dsp", S(18), S(18), 2, 1, None, 2),
    (GOWIN, "dsp", S(9), S(9), 5, 5, None, 3),
    (GOWIN, "dsp", U(8), S(9), 2, 1, None, 1),
    (GOWIN, "dsp", U(9), S(4), 2, 2, None, 2),
    (GOWIN, "dsp", U(17), U(8), 1, 1, None, 1),
]


def blocks_in(text, family):
    """DSP blocks of Verilog, by the cells that the family's flow counts."""
    return sum(
        size * text.count(f"{cell} ")
        for cell, size in FLOWS[family.name].cells["multipliers"].items()
    )


SHAPES = [
    (S(4), S(8)),
    (S(8), U(8)),
    (U(5), S(3)),
    (S(7), S(7)),
    (U(1), S(9)),
    (S(1), S(6)),
    (U(4), U(4)),
    (S(16), S(16)),
]


@pytest.mark.parametrize("family", [ICE40, ECP5, GOWIN], ids=str)
def test_products(cache, family):
    """Each in its cycle; those made of adders take no block."""
    cases = [Case(*case) for case in CASES if case[0] == family]
    if family is not GOWIN:  # adders are the same Verilog for every family
        cases += [
            Case(fabric, "lut", a, b, 2, 1, None, 0)
            for fabric in (GENERIC, ICE40)
            for a, b in SHAPES
        ]
    # Yosys makes 16 bits of an iCE40's adders unless it is told -dsp, see test_netlist
    if family is ECP5:
        cases += [Case(GENERIC, "dsp", a, b, 1, 1, None, 1) for a, b in SHAPES[:2]]
    design = synthesise(convert(cases), "top", family, cache=cache)
    # p, in carry chains
    design = dataclasses.replace(design, lint=design.lint + "lint_off -rule UNOPTFLAT\n")
    function = ctypes.CDLL(str(compile_verilog(design, HARNESS, cache))).products
    function.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    dice = np.random.default_rng(0)
    # (case, side, cycle, lane)
    operands = np.array([[numbers(dice, c.a, c.within), numbers(dice, c.b, None)] for c in cases])
    given = operands.copy()
    for case, (a, _) in zip(cases, given, strict=True):
        for k in range(0, case.count, case.shared):
            together = slice(k, min(k + case.shared, case.count))
            a[:, together] = case.multiplier.borrow(
                a[:, together], 1, case.within or case.a, case.b
            )
    given = np.ascontiguousarray(given.transpose(2, 0, 1, 3).astype(np.int32))
    products = np.zeros((CYCLES, len(cases), LANES), dtype=np.int64)
    function(CYCLES, given[0].size, given.ctypes.data, products.ctypes.data)
    for index, case in enumerate(cases):
        a, b = operands[index]
        expected = (a * b[:, np.arange(LANES) // case.shared * case.shared])[:, : case.count]
        got = products[:, index, : case.count]
        assert np.array_equal(got[case.latency :], expected[: -case.latency]), case
        assert not np.array_equal(got[case.latency - 1 :], expected[: 1 - case.latency]), case
    assert blocks_in(design.verilog, family) == sum(case.cells for case in cases)


@pytest.mark.parametrize("case", CASES)
def test_blocks(case):
    family, _, a, b, count, shared, within, cells = case
    assert family.dsp.blocks(within or a, b, count, shared) == cells
    assert blocks_in(convert([Case(*case)]), family) == cells
    assert (
        family.lut.blocks(a, b, count, shared) == 0
        and GENERIC.dsp.blocks(a, b, count, shared) == count
    )


@pytest.mark.parametrize("constant", (0, 1, -1, 2, -64, 64, 3, 85, -86, 127, -128))
@pytest.mark.parametrize("width", (2, 8, 12))
def test_products_with_a_constant(constant, width):
    """Of adders, in the cycles of any product; of a power of two without an adder."""
    m, x, p = Module(), Signal(S(width)), Signal(S(40))
    m.d.comb += p.eq(ICE40.lut.multiply(m, x, Const(constant, S(8))))
    codes = [
        -(1 << width - 1),
        0,
        *np.random.default_rng(0).integers(-(1 << width - 1), 1 << width - 1, 50).tolist(),
    ]
    cycles, seen = ICE40.lut.latency(S(width), S(8)), []

    async def bench(ctx):
        for code in codes + [0] * cycles:
            ctx.set(x, code)
            seen.append(ctx.get(p))
            await ctx.tick()

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen[cycles:] == [code * constant for code in codes]
    if abs(constant).bit_count() < 2 and constant >= 0:
        text = verilog.convert(m, ports=[x, p], strip_internal_attrs=True)
        assert " + " not in text and " - " not in text


def test_latencies():
    """The registers in front of a tree with a leaf for each two bits of the narrower operand,
    and its levels; 3 in a block, 2 and 4 in half a one."""
    lut = {
        (4, 8): (2, 3),
        (8, 4): (2, 3),
        (8, 8): (3, 4),
        (2, 16): (2, 2),
        (1, 8): (2, 2),
        (9, 9): (4, 5),
    }
    for widths, cycles in lut.items():
        assert tuple(family.lut.latency(*map(S, widths)) for family in (ECP5, ICE40)) == cycles
    assert GENERIC.dsp.latency(S(4), S(4), 4) == 3
    assert [ICE40.dsp.latency(S(8), b) for b in (S(8), U(8), S(9))] == [2, 2, 3]
    assert [ECP5.dsp.latency(S(4), S(8), shared) for shared in (1, 2)] == [3, 4]
    assert ECP5.dsp.latency(S(8), S(8), 2) == 3


@pytest.mark.parametrize("signs", [(False, False), (False, True), (True, False), (True, True)])
@pytest.mark.parametrize("narrow", (1, 2, 3, 5))
@pytest.mark.parametrize("registers", (1, adders.ALL))
def test_products_of_adders_of_every_width(narrow, registers, signs):
    """Every product of so many bits by 8, on either side."""
    few, many = Shape(narrow, signs[0]), Shape(8, signs[1])
    m = Module()
    a, b = Signal(few), Signal(many)
    products = [adders.multiply(m, a, b, registers), adders.multiply(m, b, a, registers)]
    wrong, cycles = [], adders.latency(few, many, registers)

    async def bench(ctx):
        values = [(x, y) for x in _all(few) for y in _all(many)]
        for cycle in range(len(values) + cycles):
            if cycle < len(values):
                ctx.set(a, values[cycle][0])
                ctx.set(b, values[cycle][1])
            _, _, *made = await ctx.tick().sample(*products)
            done = cycle - cycles
            if done >= 0:
                wrong.extend(
                    values[done] for product in made if product != values[done][0] * values[done][1]
                )

    simulator = Simulator(m)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert not wrong


def _all(shape):
    low = -(1 << shape.width - 1) if shape.signed else 0
    return range(low, low + (1 << shape.width))
