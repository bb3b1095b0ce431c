"""Golden model of mean."""

from ssm_hdl.fixed import Codes, round_divide
from ssm_hdl.operations import Node
from ssm_hdl.sim.golden.store import Stored, store


def evaluate(node: Node, x: Codes) -> Stored:
    """y = (sum_t x[t]) / steps; x (batch, steps, N), y (batch, N)."""
    format = node.output.format
    more = format.f_bits - node.accumulator.f_bits
    return store(
        round_divide(x.sum(axis=1) << max(more, 0), x.shape[1] << max(-more, 0)),
        format.f_bits,
        format,
    )
