"""Golden model of slice."""

from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node, Slice
from ssm_hdl.sim.golden.store import Stored


def evaluate(node: Node, x: Codes) -> Stored:
    """y = x[start : start + size]."""
    assert isinstance(node.op, Slice)
    return Stored(x[..., node.op.start : node.op.start + node.op.size], 0)
