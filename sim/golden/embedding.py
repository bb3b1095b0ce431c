"""Golden model of embedding."""

import numpy as np

from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node
from ssm_hdl.sim.golden.store import Stored


def evaluate(node: Node, x: Codes) -> Stored:
    """y = W[x], x (..., n), y (..., n * M)."""
    code = node.arrays["code"]
    # Tokens past the vocabulary read the last row, as in hardware.
    return Stored(code[np.minimum(x, len(code) - 1)].reshape(*x.shape[:-1], node.output.size), 0)
