"""Designs with results in no more bits than their numbers allow: they do the same,
which no prover finds."""

import re
from math import isqrt

import numpy as np

from ssm_hdl import Manifest
from ssm_hdl.fixed import bits
from ssm_hdl.operations import Node, Norm, Scan
from ssm_hdl.operations.norm import Root
from ssm_hdl.sim.golden.norm import inverse_root


def narrowed(manifest: Manifest, verilog: str) -> str:
    """A design with the rounded results of scans and norms, where they are in registers,
    in no more bits than they need before they are saturated."""
    for node in manifest.nodes.values():
        module = f"module {manifest.name}_{node.name} ("
        if not isinstance(node.op, Scan | Norm) or module not in verilog:
            continue  # or layers share it
        start = verilog.index(module)
        text = verilog[start : verilog.index("endmodule", start)]
        most = most_of_scan(node) if isinstance(node.op, Scan) else most_of_norm(node)
        for width in {int(last) + 1 for last in re.findall(r"reg \[(\d+):0\] whole(?:_1)?;", text)}:
            sign = bits(~most, most) - 1
            kept = rf"    \1 <= {{{{{width - sign}{{\2[{sign}]}}}}, \2[{sign - 1}:0]}};"
            verilog = verilog.replace(
                text, re.sub(r"^    (whole(?:_1)?) <= (\w+);", kept, text, flags=re.M)
            )
    return verilog


def most_of_scan(node: Node) -> int:
    """The greatest magnitude of a state before it is saturated, from its weights."""
    drop = node.accumulator.f_bits - node.output.format.f_bits
    products = np.abs(node.arrays["transition"]).sum(-1) * -node.output.format.min
    most = int((products - (node.inputs[0].format.min << node.arrays["shift"])).max())
    return most + (1 << drop) >> drop


def most_of_norm(node: Node) -> int:
    """The greatest magnitude of a norm's result before it is saturated.

    d**2 is at most (n - 1) V, or n V without centering, and a shift of d and V keeps that.
    So each word of V's leading bits, which give the inverse root, has its greatest d.
    """
    assert isinstance(node.op, Norm)
    root = Root.at(node)
    inside = root.cells + root.inside
    words = np.arange(1 << inside, 2 << inside) << root.width - 1 - inside
    last = words + (1 << root.width - 1 - inside) - 1
    drop, most = root.f_bits - node.output.format.f_bits, 0
    for first, end in ((words, last), (words >> 1, last >> 1)):
        _, inverses = inverse_root(node, root, first)
        for end_v, inverse in zip(end.tolist(), inverses.tolist(), strict=True):
            d = (isqrt((node.output.size - node.op.center) * end_v) >> root.drop) + 1
            most = max(most, d * inverse + (1 << drop) >> drop)
    return most
