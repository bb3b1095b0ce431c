"""The selective scan in NumPy against its equation in fractions, its table against its definition,
and its netlists."""

import math
import re
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from graphs import selective_layers
from hypothesis import given, settings
from hypothesis import strategies as st

from ssm_hdl import SQ, UQ, Format, Manifest, SsmHdlError
from ssm_hdl.families import unlimited
from ssm_hdl.families.ecp5 import ECP5
from ssm_hdl.families.ice40 import ICE40
from ssm_hdl.functions import leak
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import generate
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Edge, Selective, Tensor, Tensors
from ssm_hdl.sim.compare import compare
from ssm_hdl.sim.compiler import Design
from ssm_hdl.sim.golden import evaluate, run
from ssm_hdl.sim.netlist import netlist_model
from ssm_hdl.sim.verilated import VerilatedModel

FORMATS = st.builds(
    lambda signed, width, f_bits: Format(signed, width - f_bits, f_bits),
    st.booleans(),
    st.integers(2, 10),
    st.integers(-2, 9),
)


def leak_of(s):
    """(m, k) of s in steps of 1/32: G = 1 - 2^-(2^s) with as many bits as m has,
    leading zeros in k."""
    with localcontext() as context:
        context.prec = 60
        g = 1 - 1 / Decimal(2) ** (Decimal(2) ** (Decimal(s) / 32))
    k = max(
        (k for k in range(16) if math.floor(g * 2 ** (8 + k) + Decimal("0.5")) < 256), default=0
    )
    return min(math.floor(g * 2 ** (8 + k) + Decimal("0.5")), 255), k


def half_up(value):
    return math.floor(value + Fraction(1, 2))


def clamp(code, format):
    return min(max(code, format.min), format.max)


def value(code, format):
    return Fraction(int(code)) * Fraction(2) ** -format.f_bits


def bound(rate, drive, b, c, alpha, state, format, codes, exponent):
    channels, modes = codes.shape
    op = Selective(
        name="y",
        inputs=("rate", "drive", "b", "c"),
        alpha=Tensor(tensor="alpha", format=alpha),
        exponent="e",
        state=state,
        format=format,
    )
    sizes = {"rate": channels, "drive": channels, "b": modes, "c": modes}
    edges = (
        Edge(name, size, edge)
        for (name, size), edge in zip(sizes.items(), (rate, drive, b, c), strict=True)
    )
    return op.bind(tuple(edges), Tensors({"alpha": codes, "e": exponent}, {}), 8)


def draw(random, format, *shape):
    """Codes all over a format, a third of them its least or greatest."""
    edge = random.integers(0, 6, shape)
    codes = random.integers(format.min, format.max + 1, shape)
    return np.where(edge == 0, format.min, np.where(edge == 1, format.max, codes))


@pytest.fixture(scope="module")
def entries():
    return {s: leak_of(s) for s in range(-384, 128)}


def test_the_table_is_its_definition(entries):
    mantissa, shift = leak()
    assert list(zip(mantissa.tolist(), shift.tolist(), strict=True)) == [*entries.values()]
    exact = 1 - np.exp2(-np.exp2(np.arange(-384, 128) / 32))
    assert np.abs(mantissa / 2.0 ** (8 + shift) / exact - 1).max() < 2**-8


@settings(deadline=None)
@given(
    seed=st.integers(0, 1 << 32),
    rate=FORMATS,
    drive=FORMATS,
    b=FORMATS,
    c=FORMATS,
    alpha=FORMATS,
    state=FORMATS,
    format=FORMATS,
    channels=st.integers(1, 3),
    modes=st.integers(1, 3),
)
def test_the_golden_model_is_the_equation(
    entries, seed, rate, drive, b, c, alpha, state, format, channels, modes
):
    random = np.random.default_rng(seed)
    codes = draw(random, alpha, channels, modes)
    exponent = (
        random.integers(0, 4, channels)
        + drive.f_bits
        + b.f_bits
        - state.f_bits
        - random.integers(0, 21)
    )
    node = bound(rate, drive, b, c, alpha, state, format, codes, exponent)
    x = [draw(random, edge.format, 2, 5, edge.size) for edge in node.inputs]
    y, saturations = np.empty((2, 5, channels), int), 0
    for i, k in np.ndindex(2, channels):
        h = [0] * modes
        for t in range(5):
            total = Fraction(0)
            for n in range(modes):
                s = half_up(32 * (value(x[0][i, t, k], rate) + value(codes[k, n], alpha)))
                mantissa, shift = entries[min(max(s, -384), 127)]
                driven = (
                    value(x[1][i, t, k], drive)
                    * value(x[2][i, t, n], b)
                    * Fraction(2) ** int(exponent[k])
                )
                kept = value(h[n], state) * (1 - Fraction(mantissa, 2 ** (8 + shift)))
                rounded = half_up((kept + driven) * Fraction(2) ** state.f_bits)
                h[n] = clamp(rounded, state)
                saturations += h[n] != rounded
                total += value(x[3][i, t, n], c) * value(h[n], state)
            rounded = half_up(total * Fraction(2) ** format.f_bits)
            y[i, t, k] = clamp(rounded, format)
            saturations += y[i, t, k] != rounded
    result = evaluate(node, *x)
    assert np.array_equal(result.codes, y)
    assert (result.saturations, result.states) == (saturations, 2 * 5 * channels * modes)


@pytest.mark.parametrize(
    "change,message",
    [
        (
            {"exponent": np.array([0, -14])},
            (
                r"^y: exponent -14 drops 1 bits of the products of drive in SQ\(2, 6\) "
                r"and b in SQ\(1, 7\)"
            ),
        ),
        (
            {"exponent": np.array([40, 0])},
            r"^y: the exact result of drive in SQ\(2, 6\), b in SQ\(1, 7\), exponent 'e', state in",
        ),
        (
            {"exponent": np.zeros(3, int)},
            (
                r"^y: alpha \(2, 3\) and exponent \(3,\) do not fit rate \(2\), drive \(2\), "
                r"b \(3\), c \(3\)"
            ),
        ),
        (
            {"alpha": SQ(-53, 61)},
            (
                r"^y: the exact result of rate in SQ\(4, 5\), alpha 'alpha' in SQ\(-53, "
                r"61\) has 66 bits"
            ),
        ),
        (
            {"c": SQ(1, 58)},
            (
                r"^y: the exact result of c in SQ\(1, 58\), state in SQ\(4, 6\) "
                r"has 70 bits, and 62 fit"
            ),
        ),
        ({"format": SQ(1, 60)}, r"^y: rounding its exact result SQ\(\d+, 13\) to SQ\(1, 60\)"),
    ],
)
def test_what_is_refused(change, message):
    rest = dict(
        rate=SQ(4, 5),
        drive=SQ(2, 6),
        b=SQ(1, 7),
        c=SQ(1, 7),
        alpha=UQ(3, 5),
        state=SQ(4, 6),
        format=SQ(4, 4),
    )
    rest |= dict(codes=np.zeros((2, 3), int), exponent=np.array([0, -13]))
    bound(**rest)
    with pytest.raises(SsmHdlError, match=message):
        bound(**rest | change)


@pytest.mark.parametrize(
    "family,cell,ram,layers,folding",
    [(ICE40, "SB_MAC16", "SB_RAM40_4K", 1, "1x1"), (ECP5, "MULT18X18D", "DP16KD", 2, "1x2")],
)
def test_bits_of_the_netlist(random_samples, cache, family, cell, ram, layers, folding):
    """A pipeline with a selective scan in the cells of a family,
    two layers of it in one set of stages; cells as estimated."""
    manifest, name = selective_layers(layers), "scan" if layers > 1 else "scan_1"
    stages = plan_for(
        manifest, unlimited(family), dsp=100, folding={name: folding}, share_layers=layers > 1
    ).plan.stages
    plan = Plan(
        family, {stage: replace(each, kind="dsp") for stage, each in stages.items()}, layers > 1
    )
    model, taken = netlist_model(manifest, family, plan, cache=cache), estimate(manifest, plan)
    assert model.design.verilog.count(f" {cell} ") == taken.dsp
    assert model.design.verilog.count(f" {ram} ") == taken.block_rams[family.name]
    assert compare(manifest, model, random_samples(manifest, 4), stalls=0.2).differences == 0


def one_mode():
    """A scan of one mode that puts out its state: its input is rate, drive, b and c."""
    names = ("rate", "drive", "b", "c")
    operations = [
        {"name": name, "op": "slice", "input": "x", "start": place, "size": 1}
        for place, name in enumerate(names)
    ]
    operations.append(
        {
            **{"name": "y", "op": "selective", "inputs": names, "exponent": "exponent"},
            **{"alpha": {"tensor": "alpha", "format": "SQ(4, 4)"}},
            **{"state": "SQ(8, 8)", "format": "SQ(8, 8)"},
        }
    )
    fields = dict(schema_version=1, name="mode", steps=128, output="y", operations=operations)
    graph = Graph.model_validate(fields | {"input": {"name": "x", "size": 4, "format": "SQ(4, 4)"}})
    codes = {"alpha": np.array([[-128]]), "exponent": np.array([-6])}
    return Manifest(graph, Tensors(codes, {"alpha": SQ(4, 4)}))


def steps_to(rest):
    """Samples of `one_mode` that lead to a sum with these last 20 bits, its half included; and all
    its states. The leak is the least, 177 * 2**-20, and a drive adds v b / 64 to the state."""
    wanted = -rest * pow(177, -1, 1 << 14) % (1 << 14)
    h, samples, states = 0, [], []

    def step(v, b):
        nonlocal h
        total = (h << 20) - 177 * h + (v * b << 14) + (1 << 19)
        h = total >> 20
        samples.append([-128, v, b, 16])
        states.append(h)
        return total

    while (more := wanted - (h - (177 * h + (1 << 19) - 1 >> 20))) != 0:
        step(64, min(more, 127))
    step(0, 0) if h != wanted else None
    assert h == wanted
    last = (rest + 177 * h - (1 << 19) >> 14) % 64
    assert step(last, 1) % (1 << 20) == rest % (1 << 20)
    return np.array([samples]), states


@pytest.mark.parametrize("rest", [-1, 0], ids=["below a step", "at a step"])
def test_the_last_bit_of_a_sum_decides(cache, rest):
    """Only one of some million states is as near to where its rounding changes."""
    manifest, (samples, states) = one_mode(), steps_to(rest)
    assert run(manifest, samples).outputs[0, :, 0].tolist() == states
    verilog = generate(manifest, plan_for(manifest).plan)
    assert _differences(manifest, verilog, samples, cache) == 0
    changed, count = re.subn(r"(total <= _\d+_\[\d+:0\])", rf"\1 {'+-'[rest + 1]} 1", verilog)
    assert count == 1
    assert _differences(manifest, changed, samples, cache) == 1


def _differences(manifest, verilog, samples, cache):
    design = Design(verilog, manifest.name, lint="lint_off -rule WIDTH\n", optimise=0)
    return compare(
        manifest, VerilatedModel(manifest, design=design, cache=cache), samples
    ).differences
