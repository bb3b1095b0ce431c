"""Golden model of multiply."""

from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node
from ssm_hdl.sim.golden.store import Stored, store


def evaluate(node: Node, a: Codes, b: Codes) -> Stored:
    """y = a o b."""
    return store(a * b, node.accumulator.f_bits, node.output.format)
