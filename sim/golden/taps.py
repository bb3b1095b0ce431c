"""Golden model of taps."""

import numpy as np

from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node, Taps
from ssm_hdl.sim.golden.store import Stored


def evaluate(node: Node, x: Codes) -> Stored:
    """y[c K + k] = x_(t - K + 1 + k)[c]; x (batch, steps, C), y (batch, steps, C K)."""
    assert isinstance(node.op, Taps)
    padded = np.pad(x, ((0, 0), (node.op.taps - 1, 0), (0, 0)))
    shifted = [padded[:, k : k + x.shape[1]] for k in range(node.op.taps)]
    return Stored(np.stack(shifted, axis=-1).reshape(*x.shape[:2], -1), 0)
