"""Fewer cells in a netlist of ECP5 cells: LUTs that go into the halves of the carry chains
that alone read them.

A half of a CCU2C has a LUT of four inputs A, B, C, D. It gives P, whether a carry goes on. Its four
entries of C = D = 0 are at the same time a LUT of A and B. That one gives G,
the carry out where none goes on:

    S = P ^ CIN,    COUT = CIN if P else G,    P = INIT[A + 2 B + 4 C + 8 D],    G = INIT[A + 2 B]

Yosys makes adders with P = A ^ B and G = A, so C and D are free. Where a product is made of LUTs, A
and B are bits of partial products: ANDs of two bits, each in a LUT of its own. With P = (p & q)
^ (r & s) on the four inputs these LUTs are not needed.

G counts only where P is 0, so where both ANDs are equal. Then G has to be p & q,
and the entries of r = s = 0 are.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any

PINS = "ABCD"
"""The inputs of a LUT, and of each half of a CCU2C."""


@dataclass(frozen=True)
class _Function:
    """A function of nets, by its value for each of their values;
    a half of a carry chain has P + 2 G."""

    nets: tuple[int, ...]
    table: tuple[int, ...]

    def __call__(self, values: Mapping[int, int]) -> int:
        return self.table[sum(values[net] << place for place, net in enumerate(self.nets))]


def fuse(module: dict[str, Any]) -> None:
    """Put LUTs into the carry chains of a flat module of ECP5 cells, from the JSON of Yosys,
    and take them out.

    A LUT goes if it drives only halves with inputs to spare. If one reader still needs it,
    it would cost the same, so it stays.
    """
    cells = module["cells"]
    halves = {
        (name, half): found
        for name, cell in cells.items()
        if cell["type"] == "CCU2C"
        for half in "01"
        if (found := half_of(cell, half)) is not None
    }
    luts = {
        name: found
        for name, cell in cells.items()
        if cell["type"] == "LUT4"
        and (found := _tabulated(cell, "", lambda init, index: init[index])) is not None
    }
    readers = readers_of(module)
    changed: set[tuple[str, str]] = set()
    gone: set[int] = set()
    more = True
    while more:  # a LUT that drives one that has gone may follow it
        more = False
        for name in sorted(
            luts,
            key=lambda name: (len(readers.get(_output(cells[name]), ())), len(luts[name].nets)),
        ):
            net, lut = _output(cells[name]), luts[name]
            places = readers.get(net, set())
            trial = {
                place: _substituted(halves[place], net, lut) for place in places if place in halves
            }
            if len(trial) < len(places) or any(_placed(half) is None for half in trial.values()):
                continue
            halves.update(trial)
            changed.update(trial)
            for driver in lut.nets:
                readers[driver] = {reader for reader in readers[driver] if reader[0] != name} | set(
                    trial
                )
            del luts[name], cells[name]
            gone.add(net)
            more = True
    for name, half in changed:
        placed = _placed(halves[name, half])
        assert placed is not None
        pins, cells[name]["parameters"][f"INIT{half}"] = placed
        cells[name]["connections"].update(
            {pin + half: [bit] for pin, bit in zip(PINS, pins, strict=True)}
        )
    module["netnames"] = {
        name: wire for name, wire in module["netnames"].items() if gone.isdisjoint(wire["bits"])
    }


def readers_of(module: dict[str, Any]) -> dict[int, set[tuple[str, str]]]:
    """Who reads each net: of a CCU2C its name and the half, of other cells the name and the pin,
    and ports of the module."""
    readers: dict[int, set[tuple[str, str]]] = {}
    for name, port in module["ports"].items():
        for bit in port["bits"]:
            readers.setdefault(bit, set()).add(("", name))
    for name, cell in module["cells"].items():
        for pin, bits in cell["connections"].items():
            if cell["port_directions"][pin] != "output":
                half = cell["type"] == "CCU2C" and pin[0] in PINS and pin != "CIN"
                for bit in bits:
                    readers.setdefault(bit, set()).add((name, pin[1:] if half else pin))
    return readers


def _output(lut: dict[str, Any]) -> int:
    net: int = lut["connections"]["Z"][0]
    return net


def half_of(cell: dict[str, Any], half: str) -> _Function | None:
    """What a half of a CCU2C computes, None if it does not take part in a carry chain."""
    if cell["parameters"][f"INJECT1_{half}"] != "NO":
        return None
    return _tabulated(cell, half, lambda init, index: init[index] + 2 * init[index & 3])


def _tabulated(
    cell: dict[str, Any], half: str, value: Callable[[list[int], int], int]
) -> _Function | None:
    """The function of a cell, from its INIT and the index into it;
    None if one of its inputs or entries is not known."""
    pins = [cell["connections"].get(pin + half, ["x"])[0] for pin in PINS]
    init = cell["parameters"][f"INIT{half}"]
    if set(map(str, pins)) & {"x", "z"} or set(init) - {"0", "1"}:
        return None
    entries = [int(bit) for bit in reversed(init)]
    constants = {"0": 0, "1": 1}
    nets = tuple(dict.fromkeys(pin for pin in pins if pin not in constants))
    return _Function(
        nets,
        tuple(
            value(
                entries, sum((constants | values)[pin] << place for place, pin in enumerate(pins))
            )
            for values in _assignments(nets)
        ),
    )


def _assignments(nets: tuple[Any, ...]) -> Iterator[dict[Any, int]]:
    """All values of nets; the first one changes fastest."""
    for values in product((0, 1), repeat=len(nets)):
        yield dict(zip(nets, reversed(values), strict=True))


def _substituted(half: _Function, net: int, lut: _Function) -> _Function:
    """What a half computes with a LUT in the place of the net that it drives."""
    nets = tuple(dict.fromkeys((*(kept for kept in half.nets if kept != net), *lut.nets)))
    return _Function(
        nets, tuple(half({**values, net: lut(values)}) for values in _assignments(nets))
    )


def _placed(half: _Function) -> tuple[list[int | str], str] | None:
    """Pins and INIT of a half that computes a function; None if there are none.

    Unused pins are 1, so that with less than four nets G and P have different entries.
    """
    if len(half.nets) > len(PINS):
        return None
    for order in permutations(half.nets):
        pins: list[int | str] = [*order, *["1"] * (len(PINS) - len(order))]
        init: dict[int, int] = {}
        wanted: set[tuple[int, int]] = set()
        for values in _assignments(order):
            index = sum(
                (values[pin] if isinstance(pin, int) else 1) << place
                for place, pin in enumerate(pins)
            )
            both = half(values)
            init[index] = both & 1
            if not both & 1:
                wanted.add((index & 3, both >> 1))
        if all(init.setdefault(index, value) == value for index, value in wanted):
            return pins, "".join(str(init.get(index, 0)) for index in reversed(range(16)))
    return None
