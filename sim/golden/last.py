"""Golden model of last."""

from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node
from ssm_hdl.sim.golden.store import Stored


def evaluate(node: Node, x: Codes) -> Stored:
    """y = x[T]; x (batch, steps, N), y (batch, N)."""
    return Stored(x[:, -1], 0)
