"""Golden model of add."""

from ssm_hdl.fixed import Codes
from ssm_hdl.operations import Node
from ssm_hdl.sim.golden.store import Stored, store


def evaluate(node: Node, a: Codes, b: Codes) -> Stored:
    """y = a + b at the finer of the two scales."""
    f_bits = node.accumulator.f_bits
    a, b = (x << f_bits - edge.format.f_bits for x, edge in zip((a, b), node.inputs, strict=True))
    return store(a + b, f_bits, node.output.format)
