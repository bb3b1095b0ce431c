"""Copies of a stream for several readers."""

from itertools import count

from amaranth.hdl import Cat, Module, Mux, Shape, Signal
from amaranth.lib.wiring import In, Out

from ssm_hdl.gateware.stream import Component, signature
from ssm_hdl.gateware.timing import Beats, Cycles, Process, known


class Fork(Component):
    """Copies of one stream for several readers; each takes a beat when it can, none twice.

    A beat per cycle, or every other if it is slow. Latency 0.

    Args:
        shape: shape of a number.
        lanes: numbers in a beat.
        ways: number of readers.
        layers: layers that its packets may be at.
        slow: that it is ready does not depend on its readers in the same cycle,
            which keeps the paths of ready signals short.

    Members:
        i: beats in.
        o: an array of streams out.
    """

    def __init__(
        self, shape: Shape, lanes: int, ways: int, layers: int = 1, slow: bool = False
    ) -> None:
        self.ways, self.slow = ways, slow
        super().__init__(
            {
                "i": In(signature(shape, lanes, layers)),
                "o": Out(signature(shape, lanes, layers)).array(ways),
            }
        )

    def elaborate(self, platform: object) -> Module:  # noqa: D102
        m = Module()
        taken = Signal(self.ways)
        done = Cat(taken[way] | self.o[way].ready for way in range(self.ways))
        m.d.comb += self.i.ready.eq((taken if self.slow else done).all())
        for way in range(self.ways):
            m.d.comb += [
                self.o[way].payload.eq(self.i.payload),
                self.o[way].valid.eq(self.i.valid & ~taken[way]),
            ]
        with m.If(self.i.valid):
            m.d.sync += taken.eq(Mux(self.i.ready, 0, done))
        return m

    def timing(self, i: Beats, o: list[Beats]) -> list[Process]:
        """When its beats move: one goes when the last of the readers has it."""
        return [Process(self._copy, i, o)]

    def _copy(self, i: Beats, o: list[Beats]) -> Cycles:
        for beat in count():
            cycle = yield from known(i.offered, beat)
            for branch in o:
                branch.offered.append(cycle)
            last = 0
            for branch in o:
                last = max(last, (yield from known(branch.taken, beat)))
            i.taken.append(last + self.slow)
