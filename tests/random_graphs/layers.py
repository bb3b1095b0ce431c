"""Layers that are alike: a block that grows once, and copies of it with other constants,
binary points and tables."""

from typing import Any

import numpy as np

from random_graphs.growth import Growth
from random_graphs.kinds import EVERY_STEP, OVER_STEPS, dense, finish
from ssm_hdl import SsmHdlError
from ssm_hdl.fixed import Format
from ssm_hdl.functions import FUNCTIONS
from ssm_hdl.operations import Edge

MOST = 20
"""Operations of all layers, unless two have more: simulation takes time."""


def grow(growth: Growth, count: int, per_sequence: bool = False) -> None:
    """Add operations, fewer if some are refused."""
    for _ in range(count):
        kind = growth.dice.choice(EVERY_STEP if per_sequence else EVERY_STEP + OVER_STEPS)
        is_complex = kind.__name__ in ("dense", "scan") and growth.dice.choice([True, False])
        source = growth.pick(is_complex=is_complex, per_sequence=per_sequence) or growth.pick(
            per_sequence=per_sequence
        )
        if source is not None:
            kind(growth, source)


def repeat(growth: Growth, entry: Edge, count: int) -> Edge | None:
    """The output of ``count`` layers after an edge, or of fewer; None if not even a block grows."""
    outside, first = growth.edges, len(growth.operations)
    growth.edges = {entry.name: entry}
    grow(growth, growth.dice.choice([1, 2, 2, 3, 5]))
    back = (
        finish(growth, per_sequence=False)
        if len(growth.edges) > 1 and entry.name in growth.read
        else None
    )
    if back is not None:
        format = growth.format(entry.format.width, entry.format.signed, top=entry.format.i_bits)
        back = dense(growth, back, entry.size, format=str(format))
    growth.edges = outside | growth.edges
    if back is None:
        return None
    template = growth.operations[first:]
    for layer in range(2, min(count, max(2, MOST // len(template))) + 1):
        names = {entry.name: back.name}
        after = _copy(growth, template, names, layer, moves=True) or _copy(
            growth, template, names, layer, moves=False
        )
        if after is None:
            break
        back = after
    return back


def _copy(
    growth: Growth, template: list[dict[str, Any]], names: dict[str, str], layer: int, moves: bool
) -> Edge | None:
    """Another layer; None, and nothing is left of it, if it is refused."""
    names, count, read = dict(names), len(growth.operations), set(growth.read)
    try:
        for op in template:
            names[op["name"]] = f"{op['name']}_l{layer}"
            edge = growth.insert(_changed(growth, op, names, moves))
        return edge
    except SsmHdlError:
        for op in growth.operations[count:]:
            del growth.edges[op["name"]], growth.nodes[op["name"]]
        del growth.operations[count:]
        growth.read = read
        return None


def _changed(
    growth: Growth, op: dict[str, Any], names: dict[str, str], moves: bool
) -> dict[str, Any]:
    """The fields of the operation in another layer."""
    new = dict(op, name=names[op["name"]])
    for key, value in op.items():
        if key == "input":
            new[key] = names[value]
        elif key == "inputs":
            new[key] = [names[source] for source in value]
        elif key in ("format", "state"):
            new[key] = _moved(growth, value, moves)
        elif key == "exponent":
            new[key] = _shuffled(growth, value, 1)
        elif isinstance(value, dict):
            exponent = (
                {"exponent": _shuffled(growth, value["exponent"], 1)} if "exponent" in value else {}
            )
            codes = _shuffled(growth, value["tensor"], 2 if key == "transition" else 1)
            new[key] = {
                "tensor": codes,
                "format": _moved(growth, value["format"], moves and key != "transition"),
            } | exponent
        elif key == "function":
            new[key] = growth.dice.choice(sorted(FUNCTIONS))
        elif key == "epsilon":
            new[key] = growth.dice.choice([0, 1, value])
    return new


def _moved(growth: Growth, text: str, moves: bool) -> str:
    format = Format.parse(text)
    move = growth.dice.choice([-1, 0, 0, 1]) if moves else 0
    return str(Format(format.signed, format.i_bits + move, format.f_bits - move))


def _shuffled(growth: Growth, name: str, together: int) -> str:
    """A tensor with the same numbers in another order, with so many in a row left together."""
    codes = growth.tensors.codes[name]
    rows = np.random.default_rng(growth.dice.getrandbits(32)).permutation(
        codes.reshape(-1, together)
    )
    return growth.store(rows.reshape(codes.shape), growth.tensors.formats.get(name))
