"""Golden model of norm."""

import numpy as np

from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node, Norm
from ssm_hdl.operations.norm import Root
from ssm_hdl.sim.golden.store import Stored, store


def evaluate(node: Node, x: Codes) -> Stored:
    """y = d / sqrt(V), d = n x - S, V = n sum x**2 - S**2 + epsilon; x and y (..., n)."""
    assert isinstance(node.op, Norm)
    x, size, root = x.astype(np.int64, copy=False), x.shape[-1], Root.at(node)
    sums = x.sum(axis=-1, keepdims=True) * node.op.center
    squares = size * (x * x).sum(axis=-1, keepdims=True) - sums * sums + node.op.epsilon
    shift, inverse = inverse_root(node, root, squares)
    deviation = (size * x - sums << shift) >> root.drop
    return store(deviation * inverse, root.f_bits, node.output.format)


def inverse_root(node: Node, root: Root, v: Codes) -> tuple[Codes, Codes]:
    """The pairs of bits that normalise v, and one over the root of the normalised v."""
    shift = np.zeros_like(v)
    # Binary search for the leading pair of bits: pairs, because the root halves a shift.
    for pairs in (1 << k for k in reversed(range((root.width // 2 - 1).bit_length()))):
        small = v < 1 << root.width - 2 * pairs
        v, shift = np.where(small, v << 2 * pairs, v), shift + pairs * small
    half = v >> root.width - 1
    fraction = (v << 1 - half) >> root.width - 1 - root.cells - root.inside & (
        1 << root.cells + root.inside
    ) - 1
    # The table holds the root and its slope at each cell; interpolate within the cell.
    cell, place = fraction >> root.inside, fraction & (1 << root.inside) - 1
    level, slope = (node.arrays[name][half << root.cells | cell] for name in ("level", "slope"))
    return shift, (level << root.inside - 2) - slope * place >> root.inside
