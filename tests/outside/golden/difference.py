"""Golden model of difference."""

import numpy as np

from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node
from ssm_hdl.sim.golden.store import Stored, store


def evaluate(node: Node, x: Codes) -> Stored:
    return store(np.diff(x, axis=1, prepend=0), node.accumulator.f_bits, node.output.format)
