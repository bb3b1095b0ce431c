"""Golden model of dense."""

import numpy as np

from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node
from ssm_hdl.sim.golden.store import Stored, store


def evaluate(node: Node, x: Codes) -> Stored:
    """y = W x + b, x (..., N) or complex (..., N, 2), y (..., M) or complex (..., M / 2, 2)."""
    weight, bias, accumulator = node.arrays["weight"], node.arrays["bias"], node.accumulator
    groups, rows = weight.shape[:2]
    lead = x.shape[: -2 if node.inputs[0].is_complex else -1]
    if node.inputs[0].is_complex:  # the real part of a product is a real product with (Re W, -Im W)
        weight = weight * np.array([1, -1])
    weight = weight.reshape(groups, rows, -1)
    grouped = x.reshape(-1, groups, weight.shape[2])
    sums = np.einsum("bgn,gmn->bgm", grouped, weight).reshape(*lead, groups * rows) + bias
    sums = sums.reshape(*lead, node.output.size, 2) if node.output.is_complex else sums
    return store(sums, accumulator.f_bits, node.output.format)
