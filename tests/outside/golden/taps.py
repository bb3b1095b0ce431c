"""Golden model of taps."""

import numpy as np

from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node
from ssm_hdl.sim.golden.store import Stored


def evaluate(node: Node, x: Codes) -> Stored:
    before = node.op.taps - 1
    padded = np.pad(x, ((0, 0), (before, 0), (0, 0)))
    shifted = [padded[:, k : k + x.shape[1]] for k in range(before + 1)]
    return Stored(np.stack(shifted, axis=-1).reshape(*x.shape[:2], -1), 0)
