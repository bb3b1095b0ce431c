"""Products made of adders: partial products of two bits of the narrower operand,
and a tree of their sums."""

from amaranth.hdl import Cat, Const, Module, Mux, Shape, Value

from ssm_hdl.gateware.arithmetic import delay, tree, tree_latency

_BITS = 2
"""Bits of a partial product. Logic cells of an iCE40 for 4x8 and 8x8 bits: 78 and 162 by pairs in a
tree, 90 and 206 one pair after the other. Bit by bit in a tree it is 91 and 171: fewer LUTs,
48 and 77 for 60 and 132, but more registers."""


ALL = 2
"""Registers before a tree: of the operands, and of the partial products.

Operand registers keep the wires from their sources short: nextpnr routes S4D-64h on the LFE5U-85F,
sized for 757,000 steps per second, in 12 minutes with them, and not in 14 without.
Registers of partial products pay only where a logic cell has one anyway, as on the iCE40."""


def latency(a: Shape, b: Shape, registers: int = ALL) -> int:
    """Cycles of `multiply`: the registers, 1 or `ALL`, and the levels of the tree; with 1,
    a lone partial product has one."""
    return registers + max(tree_latency(-(-min(a.width, b.width) // _BITS)), registers < ALL)


def multiply(m: Module, a: Value, b: Value, registers: int = ALL) -> Value:
    """a * b, exact, after `latency` cycles; by shifts and a few adders if one of
    them is a constant."""
    cycles = latency(a.shape(), b.shape(), registers)
    for number, factor in ((a, b), (b, a)):
        if isinstance(factor, Const):
            digits = _digits(factor.value)
            levels = tree_latency(len(digits))
            if levels <= cycles:
                terms = [
                    (number << place) if digit > 0 else -(number << place)
                    for place, digit in digits
                ]
                return delay(m, tree(m, terms or [Const(0, 1)]), cycles - levels)
    if len(a) < len(b):
        a, b = b, a
    a, b = (value if isinstance(value, Const) else delay(m, value, 1) for value in (a, b))
    parts = [delay(m, _partial(a, b, low), registers == ALL) for low in range(0, len(b), _BITS)]
    return delay(m, parts[0], registers < ALL) if len(parts) == 1 else _tree(m, parts, _BITS)


def _partial(a: Value, b: Value, low: int) -> Value:
    """a times ``_BITS`` bits of b, the top one weighted negatively if b is signed."""
    part: Value | None = None
    for place, bit in enumerate(range(low, min(low + _BITS, len(b)))):
        term = Mux(b[bit], a, 0)
        term = -term if b.shape().signed and bit == len(b) - 1 else term
        part = term if part is None else _add(part, term, place, len(a) + 1)
    assert part is not None
    # the last row of an odd width: its sum with the rows below may have a bit more
    if low == len(b) - 1:
        part = part + Const(0, Shape(len(part), part.shape().signed))
    return part


def _add(low: Value, high: Value, place: int, width: int) -> Value:
    """low + (high << place), ``width`` bits of it from ``place`` on; no adder for those below,
    which a tool would leave in."""
    total = low.shift_right(place) + high
    whole = Cat(low[:place], total[:width])
    return whole.as_signed() if total.shape().signed else whole


def _tree(m: Module, parts: list[Value], place: int) -> Value:
    """The sum of the parts, each ``place`` bits above the one before."""
    while len(parts) > 1:
        sums = [
            _add(low, high, place, len(high))
            for low, high in zip(parts[::2], parts[1::2], strict=False)
        ]
        parts, place = [delay(m, part, 1) for part in [*sums, *parts[len(parts) & ~1 :]]], 2 * place
    return parts[0]


def _digits(constant: int) -> list[tuple[int, int]]:
    """A constant as (place, digit) of powers of two to be added or subtracted,
    the fewest there are: no two neighbours."""
    digits, place = [], 0
    while constant:
        if constant & 1:
            digit = 2 - (constant & 3)
            digits.append((place, digit))
            constant -= digit
        constant, place = constant >> 1, place + 1
    return digits
