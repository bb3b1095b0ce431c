"""Golden model of pool."""

from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node, Pool
from ssm_hdl.sim.golden.store import Stored, store


def evaluate(node: Node, x: Codes) -> Stored:
    """y = 2**-shift sum_t x[t]; x (batch, steps, N), y (batch, N)."""
    assert isinstance(node.op, Pool)
    return store(x.sum(axis=1), node.accumulator.f_bits + node.op.shift, node.output.format)
