# amaranth: UnusedElaboratable=no
"""Gateware of largest."""

from amaranth.hdl import Mux, Value

from ssm_hdl.gateware.pool import Pool


class Largest(Pool):
    """y = max_t x[t], sent after the step marked ``last``.

    A pool that keeps the larger of two numbers in place of their sum: arguments, members,
    cycles and latency as of `Pool`.
    """

    def start(self) -> int:
        """The least number, which every other one replaces."""
        return self.node.accumulator.min

    def taken_in(self, kept: Value, number: Value) -> Value:
        """The larger one."""
        return Mux(kept > number, kept, number)
