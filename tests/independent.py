"""The integer program of a manifest, written from docs/manifest.md alone:
plain integers and decimals, no NumPy.

A stream is a list of packets: one each time step, or a single one if it comes once per sequence.
A packet is a list of codes, and a complex element is a list of two.
"""

import re
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import cache
from math import floor
from typing import Any, NamedTuple


class Format(NamedTuple):
    signed: bool
    i: int
    f: int

    @classmethod
    def parse(cls, text: str) -> "Format":
        letter, i, f = re.fullmatch(r"([SU])Q\((-?\d+), *(-?\d+)\)", text).groups()
        return cls(letter == "S", int(i), int(f))

    @property
    def range(self) -> tuple[int, int]:
        span = 1 << self.i + self.f
        return (-span // 2, span // 2 - 1) if self.signed else (0, span - 1)

    def store(self, code: int, f: int) -> int:
        return min(max(half_up(code, f - self.f), self.range[0]), self.range[1])


class Stream(NamedTuple):
    format: Format
    packets: list[list[Any]]


def half_up(code: int, drop: int) -> int:
    return code << -drop if drop <= 0 else code + (1 << drop - 1) >> drop


def nearest(value: Decimal, f: int = 0) -> int:
    return floor(Fraction(value) * Fraction(2) ** f + Fraction(1, 2))


def deep(function: Any, codes: Any) -> Any:
    return [deep(function, part) for part in codes] if isinstance(codes, list) else function(codes)


def shifted(codes: Any, exponents: Any, most: int) -> Any:
    if isinstance(exponents, list):
        return [shifted(part, x, most) for part, x in zip(codes, exponents, strict=True)]
    return deep(lambda code: code << most - exponents, codes)


def erf(x: Decimal) -> Decimal:
    if abs(x) > 13:
        return Decimal(1).copy_sign(x)
    total, term, n = Decimal(0), x, 0
    while abs(term) > Decimal(10) ** -100:
        total, n = total + term / (2 * n + 1), n + 1
        term *= -x * x / n
    return 2 * total / PI.sqrt()


def power(x: Decimal) -> Decimal:
    return min(max(x, Decimal(-2000)), Decimal(2000)).exp()


def softplus(x: Decimal) -> Decimal:
    return x if x > 1000 else (1 + power(x)).ln()


PI = Decimal(
    "3.1415926535897932384626433832795028841971693993751058209749"
    "4459230781640628620899862803482534211706798214808651"
)
FUNCTIONS = {
    "gelu": lambda x: x * (1 + erf(x / Decimal(2).sqrt())) / 2,
    "gelu_tanh": lambda x: x / (1 + power(-2 * (2 / PI).sqrt() * (x + Decimal("0.044715") * x**3))),
    "sigmoid": lambda x: 1 / (1 + power(-x)),
    "silu": lambda x: x / (1 + power(-x)),
    "softplus": softplus,
    "log2_softplus": lambda x: (
        ((x if x < -300 else softplus(x).ln()) - Decimal(2).ln().ln()) / Decimal(2).ln()
    ),
}


@cache
def entry(function: str, code: int, f: int, target: Format) -> int:
    with localcontext(Context(200)):
        value = Context(40).plus(FUNCTIONS[function](code * Decimal(2) ** -f))
    return target.store(nearest(value, target.f), target.f)


@cache
def decay(address: int) -> tuple[int, int]:
    with localcontext(Context(60)):
        g = 1 - Decimal(2) ** -(Decimal(2) ** (Decimal(address) / 32))
        return max(((k, m) for k in range(13) if (m := nearest(g, 8 + k)) < 256), default=(0, 255))


@cache
def line(cell: int, half: int, cells: int, inside: int) -> tuple[int, int]:
    with localcontext(Context(60)):
        left, middle, right = (
            1 / ((1 + half) * (1 + (cell + Decimal(x) / 2) / 2**cells)).sqrt() for x in range(3)
        )
        slope = nearest(left - right, cells + inside)
        sag = (left + right) / 2 - middle
        level = nearest(
            (left - sag / 2) * 2 ** (cells + inside + 2) + 2 - Decimal(slope) / 2 ** (inside - 1)
        )
    return min(level, 2 ** (cells + inside + 2) - 1), slope


@cache
def noise(temperature: float, f: int) -> list[int]:
    with localcontext(Context(60)):
        quantiles = (-(-((Decimal(i) + Decimal("0.5")) / 1024).ln()).ln() for i in range(1024))
        return [nearest(quantile * Decimal(repr(temperature)), f) for quantile in quantiles]


@cache
def sign(size: int, i: int, j: int) -> int:
    m = next(m for m in (1, 12, 20) if size % m == 0 and (size // m).bit_count() == 1)
    (row, a), (column, b) = divmod(i, size // m), divmod(j, size // m)
    square = any((n * n - column + row) % (m - 1) == 0 for n in range(1, m - 1))
    plus = m == 1 or row == 0 or row == column or (column > 0 and square)
    return (1 if plus else -1) * (-1) ** (a & b).bit_count()


def depth(codes: Any) -> int:
    return 1 + depth(codes[0]) if isinstance(codes, list) else 0


class Program:
    """A manifest: the fields of its YAML, its tensors as nested lists,
    and the formats that these are stored in."""

    def __init__(
        self, fields: dict[str, Any], tensors: dict[str, Any], formats: dict[str, str]
    ) -> None:
        self.fields, self.tensors, self.formats = fields, tensors, formats

    def run(self, samples: list[list[int]]) -> list[list[int]]:
        """The packets of the output for one sequence."""
        streams = {
            self.fields["input"]["name"]: Stream(
                Format.parse(self.fields["input"]["format"]), samples
            )
        }
        for op in self.fields["operations"]:
            sources = [streams[name] for name in op.get("inputs") or [op["input"]]]
            y = sources[0].format
            if op["op"] == "argmax":
                y = Format(False, max(1, (len(sources[0].packets[0]) - 1).bit_length()), 0)
            elif "format" in op or "weight" in op:
                y = Format.parse(op["format"] if "format" in op else op["weight"]["format"])
            streams[op["name"]] = Stream(y, list(getattr(self, op["op"])(op, y, *sources)))
        return streams[self.fields["output"]].packets

    def codes(self, tensor: dict[str, Any]) -> Any:
        format = Format.parse(tensor["format"])
        stored = Format.parse(self.formats.get(tensor["tensor"], tensor["format"]))
        return deep(lambda code: format.store(code, stored.f), self.tensors[tensor["tensor"]])

    def scaled(self, tensor: dict[str, Any]) -> tuple[Any, int]:
        codes, f, name = (
            self.codes(tensor),
            Format.parse(tensor["format"]).f,
            tensor.get("exponent"),
        )
        if name is None:
            return codes, f
        most = max(
            x for row in self.tensors[name] for x in (row if isinstance(row, list) else [row])
        )
        return shifted(codes, self.tensors[name], most), f + most

    def dense(self, op, y, x):
        (weight, f), parts = self.scaled(op["weight"]), depth(x.packets) - 2
        groups, f = weight if depth(weight) == 3 + parts else [weight], f + x.format.f
        rows, n = [(g, row) for g, group in enumerate(groups) for row in group], len(groups[0][0])
        bias = [0] * len(rows)
        if op.get("bias"):
            bias = [
                half_up(code, Format.parse(op["bias"]["format"]).f - f)
                for code in self.codes(op["bias"])
            ]
        for packet in x.packets:
            codes = []
            for (g, row), total in zip(rows, bias, strict=True):
                for w, v in zip(row, packet[g * n : (g + 1) * n], strict=True):
                    total += w[0] * v[0] - w[1] * v[1] if parts else w * v
                codes.append(y.store(total, f))
            yield [codes[k : k + 2] for k in range(0, len(codes), 2)] if op.get("result") else codes

    def scan(self, op, y, u):
        (a, f), exponent, modes = (
            self.scaled(op["transition"]),
            self.tensors[op["exponent"]],
            len(self.tensors[op["exponent"]][0]),
        )
        h = [[0, 0] for _ in range(len(a) * modes)]
        for t, packet in enumerate(u.packets):
            for i, (h_re, h_im) in enumerate(h):
                c, n = divmod(i, modes)
                v = packet[c] if isinstance(packet[c], list) else [packet[c], 0]
                re, im = a[c][n][0] + (op.get("delta", False) << f), a[c][n][1]
                up = exponent[c][n] + f + y.f - u.format.f
                sums = re * h_re - im * h_im + (v[0] << up), re * h_im + im * h_re + (v[1] << up)
                d = [(159 * t + 193 * i + 64 * p) % 256 for p in range(2)]
                if op.get("dither"):  # floor(x + (d + 1/2) / 256)
                    h[i] = [
                        y.store((512 * sums[p] + (2 * d[p] + 1 << f)) >> f + 9, y.f)
                        for p in range(2)
                    ]
                else:
                    h[i] = [y.store(sums[p], f + y.f) for p in range(2)]
            yield list(h)

    def selective(self, op, y, rate, v, b, c):
        alpha, f_a, state = (
            self.codes(op["alpha"]),
            Format.parse(op["alpha"]["format"]).f,
            Format.parse(op["state"]),
        )
        f, up = (
            max(5, f_a, rate.format.f),
            [e + state.f + 20 - v.format.f - b.format.f for e in self.tensors[op["exponent"]]],
        )
        h = [[0] * len(row) for row in alpha]
        for r_t, v_t, b_t, c_t in zip(rate.packets, v.packets, b.packets, c.packets, strict=True):
            for i, row in enumerate(alpha):
                for n, code in enumerate(row):
                    s = half_up((r_t[i] << f - rate.format.f) + (code << f - f_a), f - 5)
                    k, m = decay(min(max(s, -384), 127))
                    total = (h[i][n] << 20) - (h[i][n] * m << 12 - k) + (v_t[i] * b_t[n] << up[i])
                    h[i][n] = state.store(total, state.f + 20)
            yield [y.store(sum(map(int.__mul__, c_t, row)), c.format.f + state.f) for row in h]

    def norm(self, op, y, x):
        n, center, epsilon = len(x.packets[0]), op.get("center", True), op.get("epsilon", 0)
        (low, high), b = x.format.range, y.i + y.f
        greatest = (
            n // 2 * (n - n // 2) * (high - low) ** 2 if center else (n * max(-low, high)) ** 2
        )
        cells, width = -(-b // 2), max((greatest + epsilon).bit_length(), b + 6)
        inside, width = b + 5 - cells, width + width % 2
        drop = max(0, width // 2 - 1 - y.f - 5)
        for packet in x.packets:
            total = sum(packet) * center
            v, s = n * sum(q * q for q in packet) - total * total + epsilon, 0
            while v and v < 1 << width - 2:
                v, s = v << 2, s + 1
            half = v >> width - 1
            cell, place = divmod(
                (v << 1 - half) % (1 << width - 1) >> width - 1 - (b + 5), 1 << inside
            )
            level, slope = line(cell, half, cells, inside)
            r = (level << inside - 2) - slope * place >> inside
            yield [
                y.store((n * q - total << s >> drop) * r, width // 2 - 1 - drop + b + 5)
                for q in packet
            ]

    def lookup(self, op, y, x):
        return ([entry(op["function"], q, x.format.f, y) for q in packet] for packet in x.packets)

    def multiply(self, op, y, a, b):
        for pair in zip(a.packets, b.packets, strict=True):
            yield [y.store(p * q, a.format.f + b.format.f) for p, q in zip(*pair, strict=True)]

    def add(self, op, y, a, b):
        f = max(a.format.f, b.format.f)
        for pair in zip(a.packets, b.packets, strict=True):
            yield [
                y.store((p << f - a.format.f) + (q << f - b.format.f), f)
                for p, q in zip(*pair, strict=True)
            ]

    def slice(self, op, y, x):
        return (packet[op["start"] : op["start"] + op["size"]] for packet in x.packets)

    def embedding(self, op, y, x):
        rows = self.codes(op["weight"])
        return (
            [q for token in packet for q in rows[min(token, len(rows) - 1)]] for packet in x.packets
        )

    def taps(self, op, y, x):
        lines = [[0] * len(x.packets[0])] * (op["taps"] - 1) + x.packets
        for t in range(len(x.packets)):
            yield [q for column in zip(*lines[t : t + op["taps"]], strict=True) for q in column]

    def hadamard(self, op, y, x):
        f, places = x.format.f + op["shift"], range(len(x.packets[0]))
        for packet in x.packets:
            yield [
                y.store(sum(sign(len(places), i, j) * packet[j] for j in places), f) for i in places
            ]

    def argmax(self, op, y, x):
        return ([packet.index(max(packet))] for packet in x.packets)

    def gumbel(self, op, y, x):
        table, s = noise(op["temperature"], x.format.f), op["seed"]
        for packet in x.packets:
            codes = []
            for q in packet:
                codes.append(y.store(q + table[s % 1024], x.format.f))
                for shift in (13, -17, 5):
                    s ^= s << shift & 0xFFFFFFFF if shift > 0 else s >> -shift
            yield codes

    def largest(self, op, y, x):
        return [[max(column) for column in zip(*x.packets, strict=True)]]

    def last(self, op, y, x):
        return x.packets[-1:]

    def mean(self, op, y, x):
        means = (
            Fraction(sum(column), len(x.packets)) * Fraction(2) ** (y.f - x.format.f)
            for column in zip(*x.packets, strict=True)
        )
        return [[y.store(floor(mean + Fraction(1, 2)), y.f) for mean in means]]

    def pool(self, op, y, x):
        return [
            [
                y.store(sum(column), x.format.f + op["shift"])
                for column in zip(*x.packets, strict=True)
            ]
        ]
