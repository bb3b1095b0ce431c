"""One new operation of every kind, on what a graph has so far."""

import numpy as np

from random_graphs.growth import Growth
from ssm_hdl.fixed import Format
from ssm_hdl.functions import FUNCTIONS
from ssm_hdl.operations import Edge


def dense(growth: Growth, x: Edge, rows: int = 0, **fields: str) -> Edge | None:
    """Plain or in groups, of a real or a complex input."""
    dice, parts = growth.dice, (2,) if x.is_complex else ()
    rows = rows or dice.choice(growth.sizes)
    groups = dice.choice([n for n in range(1, x.size + 1) if x.size % n == 0 and rows % n == 0])
    grouped = groups > 1 or dice.choice([False] * 3 + [True])
    shape = (groups, rows // groups, x.size // groups) if grouped else (rows, x.size)
    tensors = {"weight": growth.tensor(*shape, *parts, channels=1 + grouped)}
    if dice.choice([True, False]):
        top = x.format.i_bits + dice.choice([-2, -1, 0, 0, 1])
        tensors["bias"] = growth.tensor(
            rows, format=growth.format(dice.choice([2, 4, 8, 16, 24]), top=top)
        )
    return growth.add("dense", x, **tensors, **fields)


def drive(growth: Growth, x: Edge) -> Edge | None:
    """A complex result, for a scan."""
    return dense(growth, x, 2 * growth.dice.choice([1, 2, 3, 4]), result="complex")


def scan(growth: Growth, u: Edge) -> Edge | None:
    """Poles inside the unit circle, of a real or a complex input."""
    dice, channels, modes = growth.dice, u.size, growth.dice.choice([1, 1, 2, 3, 4])
    bits = dice.randint(2, 45) if growth.far else dice.choice([2, 3, 4, 5, 6, 8, 8, 12, 16])
    format, delta = Format(True, 1, bits - 1), dice.choice([False, False, True])
    codes = growth.codes(format.min, format.max, channels, modes, 2)
    if delta:
        codes[..., 0] = np.maximum(-abs(codes[..., 0]), -format.max)
    one = 1 << format.f_bits
    poles = (codes.astype(object) + np.array([delta * one, 0])) ** 2
    stable = poles.sum(-1, keepdims=True) < one * one
    codes = np.where(stable, codes, np.array([-delta * one, 0]))
    transition = {"tensor": growth.store(codes, format), "format": str(format)}
    if dice.choice([False, False, not delta]):
        transition["exponent"] = growth.store(
            growth.codes(0, dice.choice([0, 1, 4]), channels, modes)
        )
    state = growth.format(
        dice.choice([2, 4, 6, 8, 8, 12, 16, 18, 24]),
        True,
        top=u.format.i_bits + dice.choice([-1, 0, 1, 3]),
    )
    least = u.format.f_bits - state.f_bits - format.f_bits
    if u.format.f_bits - state.f_bits < 0:
        least = dice.choice([least, -1, -1])
    exponent = growth.store(growth.codes(least, least + dice.choice([0, 1, 2, 4]), channels, modes))
    dither = dice.choice([False, False, True])
    return growth.add(
        "scan",
        u,
        transition=transition,
        exponent=exponent,
        delta=delta,
        dither=dither,
        format=str(state),
    )


def selective(growth: Growth, v: Edge) -> Edge | None:
    """Its four inputs are streams that there are, or denses of them."""
    dice, channels, modes = growth.dice, v.size, growth.dice.choice([1, 2, 3, 4])
    sides = []
    for size in (channels, modes, modes):
        found = growth.pick(size=size, per_sequence=False) if dice.choice([True, False]) else None
        source = found or dense(growth, v, size)
        if source is None:
            return None
        sides.append(source)
    rate, b, c = sides
    state = growth.format(
        dice.choice([2, 4, 8, 8, 12, 16, 24]),
        True,
        top=v.format.i_bits + dice.choice([-1, 0, 1, 3]),
    )
    least = v.format.f_bits + b.format.f_bits - state.f_bits - 20
    exponent = growth.store(
        growth.codes(max(least, -3), max(least, -3) + dice.choice([0, 1, 3]), channels)
    )
    alpha = growth.tensor(channels, modes)
    return growth.add("selective", rate, v, b, c, alpha=alpha, exponent=exponent, state=str(state))


def norm(growth: Growth, x: Edge) -> Edge | None:
    """Mostly small formats, whose tables are small."""
    bits = growth.dice.choice([2, 3, 4, 5, 6, 8, 8, 10, 16])
    format = growth.format(
        bits, growth.dice.choice([True, True, False]), top=growth.dice.choice([1, 2, 3, 4])
    )
    epsilon = growth.dice.choice([0, 0, 1, 3, 100, 1 << 20])
    return growth.add(
        "norm", x, center=growth.dice.choice([True, False]), epsilon=epsilon, format=str(format)
    )


def lookup(growth: Growth, x: Edge) -> Edge | None:
    """Any function."""
    function = growth.dice.choice(sorted(FUNCTIONS))
    format = growth.format(top=growth.dice.choice([0, 1, 2, x.format.i_bits]))
    return growth.add("lookup", x, function=function, format=str(format))


def binary(growth: Growth, a: Edge) -> Edge | None:
    """A sum or a product of two streams, or of one with itself."""
    b = growth.pick(size=a.size, per_sequence=a.per_sequence)
    pair = [a, b or a]
    growth.dice.shuffle(pair)
    return growth.add(growth.dice.choice(["add", "multiply"]), *pair)


def slice_(growth: Growth, x: Edge) -> Edge | None:
    """Any part."""
    size = growth.dice.randint(1, x.size)
    return growth.add("slice", x, start=growth.dice.randint(0, x.size - size), size=size)


def embedding(growth: Growth, x: Edge) -> Edge | None:
    """Fewer rows than there are tokens, or as many."""
    rows = growth.dice.randint(1, 1 << min(x.format.width, 4))
    weight = growth.tensor(rows, growth.dice.choice([1, 2, 3]))
    return growth.add("embedding", x, weight=weight)


def taps(growth: Growth, x: Edge) -> Edge | None:
    """Few, since a packet grows by them."""
    return growth.add("taps", x, taps=growth.dice.choice([2, 2, 3, 4, 5]))


def hadamard(growth: Growth, x: Edge) -> Edge | None:
    """Of a stream of such a size."""
    return growth.add("hadamard", x, shift=growth.dice.randint(0, 4))


def argmax(growth: Growth, x: Edge) -> Edge | None:
    """Of two elements or more, mostly."""
    return growth.add("argmax", x)


def gumbel(growth: Growth, x: Edge) -> Edge | None:
    """At several temperatures."""
    dice = growth.dice
    return growth.add(
        "gumbel",
        x,
        temperature=dice.choice([0.1, 1.0, 1 / 3, 7.0]),
        seed=dice.choice([1, 99, (1 << 32) - 1]),
    )


def over_time(growth: Growth, x: Edge) -> Edge | None:
    """One packet of a sequence."""
    op = growth.dice.choice(["pool", "mean", "largest", "last"])
    return growth.add(op, x, **{"shift": growth.dice.randint(0, 5)} if op == "pool" else {})


EVERY_STEP = [
    dense,
    dense,
    dense,
    lookup,
    slice_,
    binary,
    binary,
    binary,
    norm,
    hadamard,
    argmax,
    gumbel,
    embedding,
]
OVER_STEPS = [scan, scan, drive, selective, taps]


def finish(growth: Growth, per_sequence: bool) -> Edge | None:
    """Join all that nobody reads; None if something stays unread."""
    ends: list[Edge] = []
    while pending := [edge for edge in growth.unread() if edge not in ends]:
        edge: Edge | None = pending[0]
        assert edge is not None
        if edge.is_complex:
            for _ in range(5):
                if (edge := dense(growth, pending[0])) is not None:
                    break
        elif per_sequence and not edge.per_sequence:
            edge = over_time(growth, edge)
        elif edge.name == "x":
            edge = dense(growth, edge)
        else:
            ends.append(edge)
        if edge is None:
            return None
    while len(ends) > 1:
        a, b = ends.pop(0), ends.pop(0)
        narrower = b if b.size == a.size else dense(growth, b, a.size)
        whole = growth.add("add", a, narrower) if narrower else None
        if whole is None:
            return None
        ends.append(whole)
    return ends[0]


def token_format(edge: Edge) -> bool:
    """An embedding may read it."""
    return not edge.format.signed and edge.format.f_bits == 0 and edge.format.width <= 4


__all__ = ["EVERY_STEP", "OVER_STEPS", "dense", "embedding", "finish", "over_time", "token_format"]
