"""Formats, the rounding rule and the saturation rule."""

import math
from fractions import Fraction

import numpy as np
import pytest
from amaranth.hdl import Module, Mux, Shape, Signal
from amaranth.sim import Simulator
from hypothesis import given
from hypothesis import strategies as st

from ssm_hdl import SQ, UQ, Format, SsmHdlError
from ssm_hdl.fixed import bits, quantize, requantize, round_shift, saturate

formats = st.builds(
    lambda signed, width, f_bits: Format(signed, width - f_bits, f_bits),
    st.booleans(),
    st.integers(2, 24),
    st.integers(-4, 20),
)


def test_names_follow_rfc_41():
    format = SQ(1, 7)
    assert (format.width, format.i_bits, format.f_bits, format.min, format.max) == (
        8,
        1,
        7,
        -128,
        127,
    )
    assert (UQ(0, 8).min, UQ(0, 8).max, UQ(0, 8).lsb) == (0, 255, 1 / 256)


@given(formats)
def test_text_round_trip(format):
    assert Format.parse(str(format)) == format


@given(formats)
def test_codes_are_in_the_order_of_their_bit_patterns(format):
    if format.width <= 12:
        codes = format.codes()
        assert np.array_equal(codes & ((1 << format.width) - 1), np.arange(1 << format.width))
        assert codes.min() == format.min and codes.max() == format.max


@pytest.mark.parametrize("low", [-9, -8, -4, -3, -2, -1, 0, 1, 3, 4])
def test_the_narrowest_format_that_holds_a_range(low):
    for high in range(low, 18):
        holding = (
            width for width in range(2, 9) if SQ(width, 0).min <= low and high <= SQ(width, 0).max
        )
        assert bits(low, high) == Format.for_range(low, high, 3).width == next(holding)


@given(st.integers(-(1 << 40), 1 << 40), st.integers(-3, 20))
def test_rounding_is_half_up(x, shift):
    assert round_shift(x, shift) == math.floor(Fraction(x) / Fraction(2) ** shift + Fraction(1, 2))


@given(st.lists(st.integers(-(1 << 40), 1 << 40), min_size=1), st.integers(-3, 24), formats)
def test_arrays_follow_the_same_rules_as_integers(numbers, f_bits, format):
    expected = [
        min(max(round_shift(x, f_bits - format.f_bits), format.min), format.max) for x in numbers
    ]
    if f_bits - format.f_bits > -20:
        assert requantize(np.array(numbers), f_bits, format).tolist() == expected


def test_amaranth_values_follow_the_same_rules():
    source, target = SQ(6, 8), SQ(3, 4)
    x, y = Signal(Shape(source.width, True)), Signal(Shape(target.width, True))
    m = Module()
    m.d.comb += y.eq(saturate(round_shift(x, source.f_bits - target.f_bits), target, Mux))

    async def bench(ctx):
        for code in range(source.min, source.max + 1, 3):
            ctx.set(x, code)
            assert ctx.get(y) == requantize(
                code, source.f_bits, target, lambda c, a, b: a if c else b
            )

    simulator = Simulator(m)
    simulator.add_testbench(bench)
    simulator.run()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), formats)
def test_quantize_is_the_rule_applied_to_real_numbers(values, format):
    exact = [
        math.floor(Fraction(v) * Fraction(2) ** format.f_bits + Fraction(1, 2)) for v in values
    ]
    bounded = [min(max(code, format.min), format.max) for code in exact]
    assert np.abs(quantize(values, format) - bounded).max() <= (
        1 if max(map(abs, exact)) > 1 << 50 else 0
    )


@pytest.mark.parametrize(
    "text,message",
    [
        ("SQ(0, 0)", r"SQ\(0, 0\) has 0 bits in all; signed formats have 2 to 62 bits"),
        ("UQ(0, 0)", r"UQ\(0, 0\) has 0 bits in all; unsigned formats have 1 to 62 bits"),
        ("SQ(1, 0)", r"1 bits in all"),
        ("SQ(40, 40)", r"80 bits in all"),
        ("int8", r"'int8' is not a format; write SQ\(i, f\) or UQ\(i, f\)"),
    ],
)
def test_formats_that_are_none(text, message):
    with pytest.raises(SsmHdlError, match=message):
        Format.parse(text)


def test_quantize_refuses_what_is_not_a_number():
    with pytest.raises(
        SsmHdlError, match=r"cannot quantize to SQ\(1, 7\): 2 values are not finite"
    ):
        quantize([0.0, math.nan, math.inf], SQ(1, 7))
