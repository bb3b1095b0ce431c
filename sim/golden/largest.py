"""Golden model of largest."""

from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node
from ssm_hdl.sim.golden.store import Stored


def evaluate(node: Node, x: Codes) -> Stored:
    """y = max_t x[t]; x (batch, steps, N), y (batch, N)."""
    return Stored(x.max(axis=1), 0)
