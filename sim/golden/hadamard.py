"""Golden model of hadamard."""

from ssm_hdl.fixed import Codes
from ssm_hdl.hadamard import transform
from ssm_hdl.operations import Node
from ssm_hdl.sim.golden.store import Stored, store


def evaluate(node: Node, x: Codes) -> Stored:
    """y = 2**-shift H x; x (..., n), y (..., n)."""
    return store(transform(x), node.accumulator.f_bits, node.output.format)
