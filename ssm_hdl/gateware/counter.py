"""Counters with the least logic before their readers."""

from amaranth.hdl import Module, Mux, Signal, Value


class Counter:
    """A counter that wraps; ``last`` is a register of its own,
    not a comparison before all that reads it.

    Args:
        m: the module it counts in.
        limit: number of values.
        advance: count in this cycle.

    Attributes:
        value: 0 to ``limit - 1``.
        first: the value is 0.
        last: the value is ``limit - 1``.
        wraps: ``last``, and the counter advances.
    """

    def __init__(self, m: Module, limit: int, advance: Value) -> None:
        self.value = Signal(range(limit))
        self.first = Signal(init=1)
        self.last = Signal(init=limit == 1)
        self.wraps = advance & self.last
        with m.If(advance):
            m.d.sync += [
                self.value.eq(Mux(self.last, 0, self.value + 1)),
                self.first.eq(self.last),
                self.last.eq(1 if limit == 1 else self.value == limit - 2),
            ]
