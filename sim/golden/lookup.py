"""Golden model of lookup."""

from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node
from ssm_hdl.sim.golden.store import Stored


def evaluate(node: Node, x: Codes) -> Stored:
    """y = table[x]. A saturated entry is a property of the table,
    so the run counts no saturation."""
    mask = (1 << node.inputs[0].format.width) - 1
    return Stored(node.arrays["table"][x & mask], 0)
