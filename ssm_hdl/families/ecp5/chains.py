"""Shorter carry chains in a netlist of ECP5 cells: without the cells that place and route puts at
both of their ends.

Yosys makes adders of CCU2C chains whose first carry is a constant. For each, nextpnr adds a CCU2C
that brings this carry. It adds another one for the carry out of the last CCU2C, even if that carry
is unused. A half of a CCU2C where no carry goes on makes one of its own, whatever CIN is (see
`ssm_hdl.families.ecp5.fuse` for P and G):

    COUT = CIN if P else G

So where the last half of a chain is free, all move up by one, and the first makes the constant.
Where it is not, the lowest bit of a sum of two bits goes to a LUT of its own, and its half makes
nothing but the carry. That is `shorten`. `open_ends` removes unused carries, for nextpnr alone:
Yosys reads no netlist with an unconnected output.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

from ssm_hdl.families.ecp5.fuse import PINS, half_of, readers_of

_OPEN = ["x"]  # a pin on nothing


class _Half(NamedTuple):
    """Half of a CCU2C: the nets at its inputs, its entries, and the net of its sum."""

    pins: list[list[int | str]]
    init: str
    total: list[int | str]


def shorten(module: dict[str, Any]) -> None:
    """Begin the carry chains of a flat module of ECP5 cells, from the JSON of Yosys,
    within themselves."""
    cells = module["cells"]
    readers = readers_of(module)
    nets = (
        net
        for cell in cells.values()
        for bits in cell["connections"].values()
        for net in bits
        if isinstance(net, int)
    )
    free = count(max(nets, default=1) + 1)
    carries = [name for name, cell in cells.items() if cell["type"] == "CCU2C"]
    follows = {
        carry: name
        for name in carries
        if isinstance(carry := cells[name]["connections"]["CIN"][0], int)
    }
    for name in carries:
        carry, chain = cells[name]["connections"]["CIN"][0], [name]
        if carry not in ("0", "1"):
            continue
        while (following := follows.get(cells[chain[-1]]["connections"]["COUT"][0])) is not None:
            chain.append(following)
        if all(
            cells[each]["parameters"][f"INJECT1_{half}"] == "NO" for each in chain for half in "01"
        ):
            _begin(cells, chain, int(carry), readers, free)


def open_ends(module: dict[str, Any]) -> None:
    """Remove the unused carries."""
    readers = readers_of(module)
    for cell in module["cells"].values():
        if cell["type"] == "CCU2C" and not readers.get(cell["connections"]["COUT"][0]):
            cell["connections"]["COUT"] = _OPEN


def _begin(
    cells: dict[str, Any],
    chain: list[str],
    carry: int,
    readers: Mapping[Any, object],
    free: Iterator[int],
) -> None:
    """Make the first carry of a chain within it, if there is room."""
    halves = [_taken(cells[name], half) for name in chain for half in "01"]
    last = cells[chain[-1]]["connections"]
    if not readers.get(last["COUT"][0]) and not readers.get(last["S1"][0]):
        constant = _Half([["1"]] * len(PINS), f"{carry << 3:016b}", last["S1"])
        for place, each in enumerate([constant, *halves[:-1]]):
            _put(cells[chain[place // 2]], "01"[place % 2], each)
    else:
        first = half_of(cells[chain[0]], "0")
        if first is None or len(first.nets) > 2:
            return
        total = halves[0].total
        if readers.get(total[0]):
            pins = _padded(first.nets, "0")
            sums = [
                first.table[index & (1 << len(first.nets)) - 1] & 1 ^ carry for index in range(16)
            ]
            cells[f"{chain[0]}$sum"] = _lut(pins, sums, total)
            total = [next(free)]
        carries = [carry if both & 1 else both >> 1 for both in first.table]
        pins = _padded(first.nets, "1")
        # where pins that are left over are 1
        start = sum(1 << len(first.nets) + place for place in range(2 - len(first.nets)))
        init = sum(bit << start + index for index, bit in enumerate(carries))
        _put(cells[chain[0]], "0", _Half(pins, f"{init:016b}", total))
    cells[chain[0]]["connections"]["CIN"] = _OPEN


def _padded(nets: Sequence[int], constant: str) -> list[list[int | str]]:
    """The inputs of a LUT that reads these nets."""
    pins: list[int | str] = [*nets, *[constant] * (len(PINS) - len(nets))]
    return [[pin] for pin in pins]


def _taken(cell: dict[str, Any], half: str) -> _Half:
    pins = cell["connections"]
    return _Half(
        [pins[pin + half] for pin in PINS], cell["parameters"][f"INIT{half}"], pins[f"S{half}"]
    )


def _put(cell: dict[str, Any], half: str, what: _Half) -> None:
    cell["connections"] |= {pin + half: net for pin, net in zip(PINS, what.pins, strict=True)} | {
        f"S{half}": what.total
    }
    cell["parameters"][f"INIT{half}"] = what.init


def _lut(
    pins: list[list[int | str]], entries: list[int], output: list[int | str]
) -> dict[str, Any]:
    return {
        "hide_name": 1,
        "type": "LUT4",
        "parameters": {"INIT": "".join(str(bit) for bit in reversed(entries))},
        "attributes": {},
        "port_directions": {**dict.fromkeys(PINS, "input"), "Z": "output"},
        "connections": {**dict(zip(PINS, pins, strict=True)), "Z": output},
    }
