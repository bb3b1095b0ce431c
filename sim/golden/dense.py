"""Golden model of dense."""

import numpy as np

from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node
from ssm_hdl.sim.golden.store import Stored, store

_EXACT = 53
"""Bits of integers that a double holds: below it, the matrix products of the BLAS are exact."""


def dense(node: Node, x: Codes) -> Stored:
    """y = W x + b, x (..., N) or complex (..., N, 2), y (..., M)."""
    weight, bias, accumulator = node.arrays["weight"], node.arrays["bias"], node.accumulator
    assert accumulator is not None
    groups, rows = weight.shape[:2]
    lead = x.shape[: -2 if node.inputs[0].is_complex else -1]
    if node.inputs[0].is_complex:  # the real part of a product is a real product with (Re W, -Im W)
        weight = weight * np.array([1, -1])
    weight = weight.reshape(groups, rows, -1)
    number = np.float64 if accumulator.width < _EXACT else np.int64
    grouped = np.moveaxis(x.reshape(-1, groups, weight.shape[2]), 0, 1).astype(number)
    sums = np.matmul(grouped, np.swapaxes(weight, 1, 2).astype(number)).astype(np.int64)
    sums = np.moveaxis(sums, 0, 1).reshape(*lead, groups * rows) + bias
    return store(sums, accumulator.f_bits, node.output.format)
