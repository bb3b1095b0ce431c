"""Unary functions as integer tables, computed in decimal arithmetic so that every machine
gets the same codes."""

from collections.abc import Callable
from decimal import ROUND_FLOOR, Context, Decimal, localcontext
from functools import lru_cache

import numpy as np

from ssm_hdl.fixed import SQ, Codes, Format

_DIGITS = 40  # of a function before a table rounds it: twice the 19 digits of 62 bits

_EXACT = 200  # digits that hold a function of 40 digits times a power of two

# exp(-10,000) rounds to 0 in every table; exp(10,000 ..) would exceed the exponents of decimals
_FAR = 10_000


def _erf(x: Decimal) -> Decimal:
    """Error function; Abramowitz and Stegun 7.1.6, whose terms are all positive."""
    if abs(x) > 12:
        return Decimal(1).copy_sign(x)
    total = term = x
    n = 0
    while abs(term) > Decimal(10) ** -_DIGITS:
        n += 1
        term = term * 2 * x * x / (2 * n + 1)
        total += term
    return total * 2 * (-x * x).exp() / _pi().sqrt()


@lru_cache(maxsize=1)
def _pi() -> Decimal:
    """Archimedes' constant by Machin's formula."""

    def arctan_inverse(n: int) -> Decimal:
        total = term = Decimal(1) / n
        k = 1
        while abs(term) > Decimal(10) ** -(_DIGITS + 5):
            term = -term / (n * n)
            k += 2
            total += term / k
        return total

    return 4 * (4 * arctan_inverse(5) - arctan_inverse(239))


def _sigmoid(x: Decimal) -> Decimal:
    return 1 / (1 + (-max(x, Decimal(-_FAR))).exp())


def _silu(x: Decimal) -> Decimal:
    return x * _sigmoid(x)


def _softplus(x: Decimal) -> Decimal:
    """ln(1 + e^x), without a large power."""
    with localcontext() as context:
        context.prec *= 2  # the digits of e^x after the digits of 1
        return max(x, Decimal(0)) + (1 + (-min(abs(x), Decimal(_FAR))).exp()).ln()


def _log2_softplus(x: Decimal) -> Decimal:
    """log2(softplus(x) log2 e); far below 0, softplus(x) is e^x."""
    ln_2 = Decimal(2).ln()
    return ((x if x < -120 else _softplus(x).ln()) - ln_2.ln()) / ln_2


def _gelu(x: Decimal) -> Decimal:
    """Exact (erf) GELU, as in the S4D paper when not quantised (arXiv 2506.12480)."""
    return x * (1 + _erf(x / Decimal(2).sqrt())) / 2


def _gelu_tanh(x: Decimal) -> Decimal:
    """The approximation of Hendrycks and Gimpel (arXiv 1606.08415, section 2), the GELU of JAX."""
    inner = (2 / _pi()).sqrt() * (x + Decimal("0.044715") * x**3)
    return x * _sigmoid(2 * inner)  # (1 + tanh y) / 2 = sigmoid(2 y)


FUNCTIONS: dict[str, Callable[[Decimal], Decimal]] = {
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "log2_softplus": _log2_softplus,
    "sigmoid": _sigmoid,
    "silu": _silu,
    "softplus": _softplus,
}
"""The functions a ``lookup`` may name."""


@lru_cache(maxsize=64)
def _entries(function: str, source: Format, target: Format) -> tuple[int, ...]:
    entries = []
    with localcontext() as context:
        context.prec = _DIGITS + 20
        unit_in = Decimal(2) ** -source.f_bits
        for code in source.codes():
            # Without these digits, what a saturated exponential leaves of a tie would depend
            # on the precision.
            value = Context(_DIGITS).plus(FUNCTIONS[function](int(code) * unit_in))
            with localcontext(Context(_EXACT)):
                entry = int(
                    (value * Decimal(2) ** target.f_bits + Decimal("0.5")).to_integral_value(
                        ROUND_FLOOR
                    )
                )
            entries.append(min(max(entry, target.min), target.max))
    return tuple(entries)


def table(function: str, source: Format, target: Format) -> Codes:
    """Table of ``function`` for every code of ``source``,
    rounded half up and saturated to ``target``.

    Args:
        function: a name in `FUNCTIONS`.
        source: format of the argument.
        target: format of the entries.

    Returns:
        Shape (2**source.width,): the entry of a code has the index of its bit pattern,
        read as unsigned.
    """
    return np.array(_entries(function, source, target), dtype=np.int64)


def gumbel(temperature: float, bits: int, f_bits: int) -> list[int]:
    """Quantiles of Gumbel noise: code i of 2**bits is temperature * -ln(-ln((i + 1/2) / 2**bits)),
    rounded half up.

    Args:
        temperature: a factor; its shortest decimal form counts,
            so that every machine gets the same codes.
        bits: of an index.
        f_bits: fraction bits of a code.
    """
    with localcontext() as context:
        context.prec = _DIGITS + 10
        unit = Decimal(repr(temperature)) * Decimal(2) ** f_bits
        quantiles = ((Decimal(i) + Decimal("0.5")) / (1 << bits) for i in range(1 << bits))
        values = (-(-quantile.ln()).ln() * unit for quantile in quantiles)
        return [int((value + Decimal("0.5")).to_integral_value(ROUND_FLOOR)) for value in values]


@lru_cache(maxsize=16)
def _lines(cells: int, inside: int) -> tuple[tuple[int, int], ...]:
    f_bits = cells + inside
    with localcontext() as context:
        context.prec = _DIGITS + 10
        lines = []
        for index in range(2 << cells):
            half, cell = divmod(index, 1 << cells)
            start, center, end = (
                1 / ((1 + half) * (1 + (cell + Decimal(x)) / (1 << cells))).sqrt()
                for x in ("0", "0.5", "1")
            )
            slope = int(((start - end) * 2**f_bits).to_integral_value())
            sag = (start + end) / 2 - center  # the best line lies half of it below the chord
            # half a code, half a place
            level = (start - sag / 2) * 2 ** (f_bits + 2) + 2 - Decimal(slope) / 2 ** (inside - 1)
            lines.append((min(int(level.to_integral_value()), (1 << f_bits + 2) - 1), slope))
        return tuple(lines)


def inverse_root(cells: int, inside: int) -> tuple[Codes, Codes]:
    """A straight line for 1 / sqrt(v) in each cell of v = m (the first half) and v = 2 m,
    with m in [1, 2).

    Args:
        cells: bits of m below its leading one that choose a cell.
        inside: bits below these, the place in the cell.

    Returns:
        ``level`` with ``cells + inside + 2`` fraction bits, the rounding included, and ``slope``,
        (2**(cells + 1),) each: ``(level * 2**(inside - 2) - slope * place) >> inside`` has
        ``cells + inside`` fraction bits and is less than 1.
    """
    level, slope = np.array(_lines(cells, inside), dtype=np.int64).T
    return level, slope


LEAK = SQ(4, 5)
"""Address of `leak`, s + 4: octaves s from -12 up to 4 in steps of 1/32."""

LEAK_MANTISSA, LEAK_SHIFT = 8, 12
"""Bits of m, and the greatest k: 1 - 2^-(2^-12) is 177 * 2**-20."""


@lru_cache(maxsize=1)
def _leaks() -> tuple[tuple[int, int], ...]:
    with localcontext() as context:
        context.prec = _DIGITS + 10
        log = Decimal(2).ln()
        entries = []
        for code in range(1 << LEAK.width):
            octave = Decimal(code) / (1 << LEAK.f_bits) - 12
            value = 1 - (-log * (octave * log).exp()).exp()
            rounded = (
                int(
                    (value * 2 ** (LEAK_MANTISSA + k) + Decimal("0.5")).to_integral_value(
                        ROUND_FLOOR
                    )
                )
                for k in range(16)
            )
            largest = (1 << LEAK_MANTISSA) - 1
            k, m = max(
                ((k, m) for k, m in enumerate(rounded) if m <= largest), default=(0, largest)
            )
            entries.append((m, k))
        return tuple(entries)


def leak() -> tuple[Codes, Codes]:
    """Mantissa m and shift k of G(s) = 1 - 2^-(2^s), about m 2^-(8 + k), for s = -12,
    -12 + 1/32 ... 4 - 1/32, (512,) each.

    k is the greatest shift for which G 2^(8 + k), rounded half up, is below 256; m is this integer.
    Where there is none, close to G = 1, m is 255 and k is 0. So m has its leading bit set,
    and k goes from 0 to 12.
    """
    mantissa, shift = np.array(_leaks(), dtype=np.int64).T
    return mantissa, shift
