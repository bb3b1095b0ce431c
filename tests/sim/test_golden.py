"""Every golden function against exact arithmetic on fractions, written as its equation reads."""

import math
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssm_hdl import SQ, UQ, Format, SsmHdlError
from ssm_hdl.operations import (
    Add,
    Argmax,
    Dense,
    Edge,
    Embedding,
    Hadamard,
    Largest,
    Last,
    Lookup,
    Mean,
    Multiply,
    Pool,
    Scan,
    Slice,
    Taps,
    Tensor,
    Tensors,
)
from ssm_hdl.operations.base import MAX_SPREAD
from ssm_hdl.sim.golden import evaluate

FORMATS = st.builds(
    lambda signed, width, f_bits: Format(signed, width - f_bits, f_bits),
    st.booleans(),
    st.integers(2, 16),
    st.integers(-3, 18),
)
SIGNED = FORMATS.map(lambda format: Format(True, format.i_bits, format.f_bits))
SEEDS = st.integers(0, 1 << 32)
SIZES = st.integers(1, 4)
PARTS = (0, 1)


class Answer(NamedTuple):
    """Codes as nested lists, flattened, and how many saturated."""

    codes: list
    saturations: int


def draw(random, format, *shape):
    """Codes all over a format, a third of them its least or greatest."""
    codes = random.integers(format.min, format.max + 1, shape)
    edge = random.integers(0, 6, shape)
    return np.where(edge == 0, format.min, np.where(edge == 1, format.max, codes))


def value(code, format):
    return Fraction(int(code)) * Fraction(2) ** -format.f_bits


def stored(values, format):
    """The codes of exact values: rounded half up, then clamped."""
    rounded = [
        math.floor(value * Fraction(2) ** format.f_bits + Fraction(1, 2)) for value in values
    ]
    codes = [min(max(code, format.min), format.max) for code in rounded]
    return Answer(codes, sum(a != b for a, b in zip(codes, rounded, strict=True)))


def check(answer, result, shape):
    assert result.codes.shape == shape
    assert result.codes.ravel().tolist() == answer.codes
    assert result.saturations == answer.saturations


def bind(op, inputs, codes=None, formats=None, steps=8):
    return op.bind(inputs, Tensors(codes or {}, formats or {}), steps)


EXPONENTS = st.none() | st.tuples(st.integers(-8, 8), st.integers(0, MAX_SPREAD))
"""The least exponent and how far the others may be from it; or none at all."""


def draw_exponents(random, exponents, *shape):
    """Exponents of a tensor, the field that names them,
    and what each code is to be multiplied by."""
    if exponents is None:
        return {}, None, np.full(shape, Fraction(1))
    least, spread = exponents
    values = random.integers(least, least + spread + 1, shape)
    return (
        {"x": values},
        "x",
        np.vectorize(lambda exponent: Fraction(2) ** -int(exponent), otypes=[object])(values),
    )


@settings(deadline=None)
@given(SEEDS, FORMATS, SIGNED, SIGNED, FORMATS, SIZES, SIZES, SIZES, EXPONENTS)
def test_dense(seed, x_format, w_format, b_format, y_format, groups, rows, columns, exponents):
    random = np.random.default_rng(seed)
    codes = {
        "w": draw(random, w_format, groups, rows, columns),
        "b": draw(random, b_format, groups * rows),
    }
    own, name, factor = draw_exponents(random, exponents, groups, rows)
    op = Dense(
        name="y",
        input="x",
        weight=Tensor(tensor="w", format=w_format, exponent=name),
        bias=Tensor(tensor="b", format=b_format),
        format=y_format,
    )
    node = bind(
        op, (Edge("x", groups * columns, x_format),), codes | own, {"w": w_format, "b": b_format}
    )
    x = draw(random, x_format, 2, 3, groups * columns)
    finest = w_format.f_bits + x_format.f_bits + (int(own["x"].max()) if own else 0)
    scale = Fraction(2) ** finest  # the accumulator's, to which the bias is rounded
    sums = []
    for packet in x.reshape(-1, groups, columns):
        for g in range(groups):
            for m in range(rows):
                products = [
                    value(codes["w"][g, m, n], w_format) * value(packet[g, n], x_format)
                    for n in range(columns)
                ]
                bias = (
                    math.floor(value(codes["b"][g * rows + m], b_format) * scale + Fraction(1, 2))
                    / scale
                )
                sums.append(factor[g, m] * sum(products) + bias)
    check(stored(sums, y_format), evaluate(node, x), (2, 3, groups * rows))


@given(SEEDS, FORMATS, SIGNED, FORMATS, SIZES, SIZES, st.booleans())
def test_a_complex_result_is_rows_in_turn(
    seed, x_format, w_format, y_format, rows, columns, complex_input
):
    random = np.random.default_rng(seed)
    parts = (2,) if complex_input else ()
    weight, x = (
        draw(random, w_format, 2 * rows, columns, *parts),
        draw(random, x_format, 2, 3, columns, *parts),
    )
    op = Dense(name="y", input="x", weight=Tensor(tensor="w", format=w_format), format=y_format)
    edge, tensors = (
        Edge("x", columns, x_format, is_complex=complex_input),
        ({"w": weight}, {"w": w_format}),
    )
    node, flat = (
        bind(each, (edge,), *tensors) for each in (op.model_copy(update={"result": "complex"}), op)
    )
    assert (node.output.size, node.output.is_complex, node.multiplications) == (
        rows,
        True,
        flat.multiplications,
    )
    result, expected = evaluate(node, x), evaluate(flat, x)
    assert np.array_equal(result.codes, expected.codes.reshape(2, 3, rows, 2))
    assert result.saturations == expected.saturations
    assert evaluate(node, x[:0]).codes.shape == (0, 3, rows, 2)


@settings(deadline=None)
@given(SEEDS, FORMATS, SIGNED, FORMATS, SIZES, SIZES, SIZES, EXPONENTS)
def test_dense_of_complex_elements_takes_the_real_part(
    seed, x_format, w_format, y_format, groups, rows, columns, exponents
):
    random = np.random.default_rng(seed)
    own, name, factor = draw_exponents(random, exponents, groups, rows)
    weight, x = (
        draw(random, w_format, groups, rows, columns, 2),
        draw(random, x_format, 5, groups * columns, 2),
    )
    op = Dense(
        name="y",
        input="x",
        weight=Tensor(tensor="w", format=w_format, exponent=name),
        format=y_format,
    )
    node = bind(
        op,
        (Edge("x", groups * columns, x_format, is_complex=True),),
        {"w": weight} | own,
        {"w": w_format},
    )
    sums = []
    for packet in x.reshape(5, groups, columns, 2):
        for g, m in np.ndindex(groups, rows):
            w, h = (
                [[value(c, f) for c in pair] for pair in pairs]
                for pairs, f in ((weight[g, m], w_format), (packet[g], x_format))
            )
            sums.append(
                factor[g, m] * sum(a[0] * b[0] - a[1] * b[1] for a, b in zip(w, h, strict=True))
            )
    check(stored(sums, y_format), evaluate(node, x), (5, groups * rows))


def dithered(value, format, step, mode, part):
    """The code of an exact value: rounded down after (d + 1/2) / 256 of a code is added,
    d a Weyl sequence; then clamped."""
    d = (159 * step + 193 * mode + 64 * part) % 256
    rounded = math.floor(value * Fraction(2) ** format.f_bits + Fraction(2 * d + 1, 512))
    code = min(max(rounded, format.min), format.max)
    return Answer([code], int(code != rounded))


@settings(deadline=None)
@given(
    seed=SEEDS,
    u_format=FORMATS,
    h_format=SIGNED,
    a_bits=st.integers(1, 15),
    drives=st.integers(0, 4),
    channels=SIZES,
    modes=SIZES,
    spread=st.none() | st.integers(0, 8),
    delta=st.booleans(),
    dither=st.booleans(),
    is_complex=st.booleans(),
)
def test_scan(
    seed, u_format, h_format, a_bits, drives, channels, modes, spread, delta, dither, is_complex
):
    random = np.random.default_rng(seed)
    a_format = SQ(1, a_bits)
    own, name, factor = draw_exponents(
        random, None if spread is None else (0, spread), channels, modes
    )
    pole = np.sqrt(random.uniform(0, 1, (channels, modes))) * np.exp(
        2j * np.pi * random.uniform(0, 1, (channels, modes))
    )
    if delta:  # half of Abar - 1 lies in the disc around -1/2; a code is never outside the format
        pole = (pole - 1) / 2
    codes = np.trunc(np.stack([pole.real, pole.imag], -1) * (a_format.max + 0.999)).astype(np.int64)
    codes[..., 0] -= delta & (codes[..., 0] > a_format.min)  # not out of the unit circle
    least = u_format.f_bits - a_bits - h_format.f_bits - (int(own["x"].max()) if own else 0)
    exponent = random.integers(least, least + drives + 1, (channels, modes))
    op = Scan(
        name="h",
        input="u",
        transition=Tensor(tensor="a", format=a_format, exponent=name),
        delta=delta,
        exponent="e",
        dither=dither,
        format=h_format,
    )
    edge = Edge("u", channels, u_format, is_complex=is_complex)
    node = bind(op, (edge,), {"a": codes, "e": exponent} | own, {"a": a_format})
    u = draw(random, u_format, 2, 4, channels, 2)
    u[..., 1] *= is_complex
    answers, saturations = np.empty((2, 4, channels, modes, 2), object), 0
    for b, c, n in np.ndindex(2, channels, modes):
        re, im = (value(codes[c, n, part], a_format) * factor[c, n] for part in PARTS)
        re += delta
        h = (Fraction(0), Fraction(0))
        for t in range(4):
            drive = [
                Fraction(2) ** int(exponent[c, n]) * value(code, u_format) for code in u[b, t, c]
            ]
            sums = [re * h[0] - im * h[1] + drive[0], re * h[1] + im * h[0] + drive[1]]
            if dither:
                each = [dithered(sums[part], h_format, t, c * modes + n, part) for part in PARTS]
                answer = Answer(
                    [*each[0].codes, *each[1].codes], each[0].saturations + each[1].saturations
                )
            else:
                answer = stored(sums, h_format)
            saturations += answer.saturations
            answers[b, t, c, n] = answer.codes
            h = tuple(value(code, h_format) for code in answer.codes)
    result = evaluate(node, u if is_complex else u[..., 0])
    check(Answer(answers.ravel().tolist(), saturations), result, (2, 4, channels * modes, 2))


@given(SEEDS, FORMATS, FORMATS, FORMATS)
def test_multiply(seed, a_format, b_format, y_format):
    random = np.random.default_rng(seed)
    a, b = draw(random, a_format, 2, 3, 4), draw(random, b_format, 2, 3, 4)
    node = bind(
        Multiply(name="y", inputs=("a", "b"), format=y_format),
        (Edge("a", 4, a_format), Edge("b", 4, b_format)),
    )
    products = [
        value(p, a_format) * value(q, b_format) for p, q in zip(a.flat, b.flat, strict=True)
    ]
    check(stored(products, y_format), evaluate(node, a, b), a.shape)


@given(SEEDS, FORMATS, FORMATS, FORMATS)
def test_add(seed, a_format, b_format, y_format):
    random = np.random.default_rng(seed)
    a, b = draw(random, a_format, 2, 3, 4), draw(random, b_format, 2, 3, 4)
    node = bind(
        Add(name="y", inputs=("a", "b"), format=y_format),
        (Edge("a", 4, a_format), Edge("b", 4, b_format)),
    )
    sums = [value(p, a_format) + value(q, b_format) for p, q in zip(a.flat, b.flat, strict=True)]
    check(stored(sums, y_format), evaluate(node, a, b), a.shape)


@given(SEEDS, FORMATS, FORMATS, st.integers(0, 5), st.integers(1, 8))
def test_pool(seed, x_format, y_format, shift, steps):
    x = draw(np.random.default_rng(seed), x_format, 2, steps, 3)
    node = bind(Pool(name="y", input="x", shift=shift, format=y_format), (Edge("x", 3, x_format),))
    sums = [
        sum(value(code, x_format) for code in x[b, :, n]) / 2**shift
        for b in range(2)
        for n in range(3)
    ]
    check(stored(sums, y_format), evaluate(node, x), (2, 3))


@given(SEEDS, FORMATS, FORMATS, st.integers(1, 8))
def test_mean(seed, x_format, y_format, steps):
    x = draw(np.random.default_rng(seed), x_format, 2, steps, 3)
    node = bind(Mean(name="y", input="x", format=y_format), (Edge("x", 3, x_format),))
    means = [
        sum(value(code, x_format) for code in x[b, :, n]) / steps
        for b in range(2)
        for n in range(3)
    ]
    check(stored(means, y_format), evaluate(node, x), (2, 3))


@given(SEEDS, FORMATS, st.integers(1, 8), st.booleans())
def test_largest_and_last(seed, x_format, steps, largest):
    x = draw(np.random.default_rng(seed), x_format, 2, steps, 3)
    node = bind((Largest if largest else Last)(name="y", input="x"), (Edge("x", 3, x_format),))
    rows = [x[b, :, n].tolist() for b in range(2) for n in range(3)]
    check(Answer([max(row) if largest else row[-1] for row in rows], 0), evaluate(node, x), (2, 3))


@pytest.mark.parametrize("x_format", [SQ(3, 5), SQ(5, -1), Format.parse("UQ(2, 4)")])
@pytest.mark.parametrize("function", ["gelu", "sigmoid"])
def test_lookup_is_the_function_of_every_code(x_format, function):
    y_format = SQ(4, 12)
    node = bind(
        Lookup(name="y", input="x", function=function, format=y_format), (Edge("x", 1, x_format),)
    )
    x = np.arange(x_format.min, x_format.max + 1).reshape(1, -1, 1)
    reals = x.ravel() * x_format.lsb
    exact = [
        r * math.erfc(-r / math.sqrt(2)) / 2 if function == "gelu" else 0.5 + 0.5 * math.tanh(r / 2)
        for r in reals
    ]
    result = evaluate(node, x)
    assert result.saturations == 0
    kept = np.clip(exact, y_format.min * y_format.lsb, y_format.max * y_format.lsb)
    assert np.abs(result.codes.ravel() * y_format.lsb - kept).max() <= y_format.lsb * (0.5 + 1e-9)


def test_embedding_is_a_dense_of_one_hot_elements():
    random = np.random.default_rng(0)
    table = draw(random, SQ(2, 4), 5, 3)
    op = Embedding(name="y", input="x", weight=Tensor(tensor="w", format=SQ(2, 4)))
    node = bind(op, (Edge("x", 2, UQ(3, 0)),), {"w": table})
    x = random.integers(0, 8, (4, 6, 2))
    hot = np.eye(5, dtype=np.int64)[np.minimum(x, 4)]
    check(Answer((hot @ table).ravel().tolist(), 0), evaluate(node, x), (4, 6, 6))
    assert node.output.format == SQ(2, 4)


@pytest.mark.parametrize(
    "source,exponent,rows,message",
    [
        (SQ(4, 0), None, 5, r"^y: x is SQ\(4, 0\); tokens are counted in UQ\(i, 0\)$"),
        (UQ(3, 1), None, 5, r"^y: x is UQ\(3, 1\)"),
        (UQ(2, 0), None, 5, r"^y: 'w' has 5 rows; x in UQ\(2, 0\) tells 4 apart$"),
        (
            UQ(3, 0),
            None,
            0,
            r"^y: tensor 'w' has shape \(0, 3\); every axis needs at least one element$",
        ),
        (UQ(3, 0), "e", 5, r"^y: 'w' has exponents; the rows of an embedding have one scale$"),
    ],
)
def test_what_an_embedding_refuses(source, exponent, rows, message):
    op = Embedding(
        name="y", input="x", weight=Tensor(tensor="w", format=SQ(2, 4), exponent=exponent)
    )
    with pytest.raises(SsmHdlError, match=message):
        bind(op, (Edge("x", 2, source),), {"w": np.zeros((rows, 3), np.int64)})


def test_slice():
    node = bind(Slice(name="y", input="x", start=1, size=2), (Edge("x", 4, SQ(1, 7)),))
    x = np.arange(24).reshape(2, 3, 4)
    check(Answer(x[..., 1:3].ravel().tolist(), 0), evaluate(node, x), (2, 3, 2))


@given(SEEDS, st.integers(2, 5), st.integers(1, 7))
def test_taps(seed, taps, steps):
    x = draw(np.random.default_rng(seed), SQ(1, 7), 2, steps, 3)
    node = bind(Taps(name="y", input="x", taps=taps), (Edge("x", 3, SQ(1, 7)),))
    values = [
        x[b, t - taps + 1 + k, c] if t - taps + 1 + k >= 0 else 0
        for b, t, c, k in np.ndindex(2, steps, 3, taps)
    ]
    check(Answer(values, 0), evaluate(node, x), (2, steps, 3 * taps))


def hadamard_matrix(size):
    """As a matrix of Sylvester's, or of Paley's between two squares and non-squares,
    read by its definition."""
    odd = next(m for m in (1, 12, 20) if size % m == 0 and size // m & size // m - 1 == 0)
    h = np.ones((1, 1), int)
    if odd > 1:
        q = odd - 1
        square = lambda k: pow(k % q, (q - 1) // 2, q) == 1  # noqa: E731
        h = np.array(
            [
                [1 if i == 0 or i == j or (j and square(j - i)) else -1 for j in range(odd)]
                for i in range(odd)
            ]
        )
    while len(h) < size:
        h = np.kron(h, [[1, 1], [1, -1]])
    return h


@settings(deadline=None)
@given(
    SEEDS,
    FORMATS,
    FORMATS,
    st.integers(0, 5),
    st.sampled_from([1, 2, 4, 8, 32, 12, 20, 24, 40, 48]),
)
def test_hadamard(seed, x_format, y_format, shift, size):
    x, h = draw(np.random.default_rng(seed), x_format, 2, 3, size), hadamard_matrix(size)
    assert np.array_equal(h @ h.T, size * np.eye(size))
    node = bind(
        Hadamard(name="y", input="x", shift=shift, format=y_format), (Edge("x", size, x_format),)
    )
    sums = (x @ h.T).ravel()
    accumulator = node.accumulator
    assert accumulator.min <= sums.min() and sums.max() <= accumulator.max
    check(
        stored([value(each, x_format) / 2**shift for each in sums], y_format),
        evaluate(node, x),
        (2, 3, size),
    )


@pytest.mark.parametrize("size", [3, 6, 10, 28, 36, 200 * 3])
def test_sizes_without_a_hadamard_matrix_are_refused(size):
    message = (
        rf"^y: x has {size} elements; there is a Hadamard matrix here for 2\*\*k, "
        r"12 \* 2\*\*k and 20 \* 2\*\*k rows"
    )
    with pytest.raises(SsmHdlError, match=message):
        bind(Hadamard(name="y", input="x", shift=0, format=SQ(1, 7)), (Edge("x", size, SQ(1, 7)),))


@given(SEEDS, FORMATS, st.integers(1, 9), st.booleans())
def test_argmax(seed, x_format, size, per_sequence):
    random = np.random.default_rng(seed)
    x = draw(random, x_format, *((4,) if per_sequence else (2, 2)), size)
    node = bind(
        Argmax(name="y", input="x"), (Edge("x", size, x_format, per_sequence=per_sequence),)
    )
    first = [row.index(max(row)) for row in x.reshape(-1, size).tolist()]
    check(Answer(first, 0), evaluate(node, x), (*x.shape[:-1], 1))
    assert node.output == Edge(
        "y", 1, UQ(max(1, math.ceil(math.log2(size))), 0), per_sequence=per_sequence
    )


@pytest.mark.parametrize(
    "edge,message",
    [
        (
            Edge("x", 3, SQ(1, 7), per_sequence=True),
            "^y: its input x comes once per sequence; there is no time step before it$",
        ),
        (
            Edge("x", 3, SQ(1, 7), is_complex=True),
            "^y: x is complex; take its real part with a complex dense first$",
        ),
        (
            Edge("x", 1 << 14, SQ(1, 7)),
            "^y: 5 values of the 16384 elements of x are more than the 65536 of a packet$",
        ),
    ],
)
def test_what_taps_refuse(edge, message):
    with pytest.raises(SsmHdlError, match=message):
        bind(Taps(name="y", input="x", taps=5), (edge,))


def test_sums_of_a_hadamard_that_pass_62_bits_are_refused():
    with pytest.raises(
        SsmHdlError,
        match=r"^y: the exact result of x in SQ\(1, 55\), 128 elements has 63 bits, and 62 fit",
    ):
        bind(Hadamard(name="y", input="x", shift=0, format=SQ(1, 7)), (Edge("x", 128, SQ(1, 55)),))
