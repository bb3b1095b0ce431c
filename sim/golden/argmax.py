"""Golden model of argmax."""

from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node
from ssm_hdl.sim.golden.store import Stored


def evaluate(node: Node, x: Codes) -> Stored:
    """y = argmax x, the first of equals; x (..., C), y (..., 1)."""
    return Stored(x.argmax(axis=-1)[..., None], 0)
