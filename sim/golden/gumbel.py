"""Golden model of gumbel."""

import math

from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node
from ssm_hdl.operations.gumbel import Gumbel
from ssm_hdl.sim.golden.store import Stored, store


def evaluate(node: Node, x: Codes) -> Stored:
    """y = x + noise, the same in every sequence; x (batch, ..., C)."""
    assert isinstance(node.op, Gumbel)
    noise = node.op.noise(node, math.prod(x.shape[1:])).reshape(x.shape[1:])
    return store(x + noise, node.accumulator.f_bits, node.output.format)
