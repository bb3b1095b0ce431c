"""A component in Amaranth's simulator."""

from typing import Any

from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator


class Simulated:
    """A component and a bench that moves its streams. Building it takes longer than many runs,
    so all runs share it: each begins with the simulator's reset."""

    def __init__(self, component: Any) -> None:
        top = Module()
        top.domains.sync = ClockDomain()  # one that has no registers has no domain of its own
        top.submodules.component = component
        self._simulator = Simulator(top)
        self._simulator.add_clock(1e-6)
        self._simulator.add_testbench(self.bench)
        self._used = False

    def simulate(self) -> None:
        """Run the bench, from a reset on."""
        if self._used:  # a reset before the first run would leave a bench that never began
            self._simulator.reset()
        self._used = True
        self._simulator.run()

    async def bench(self, ctx: Any) -> None:
        """What happens to the component."""
        raise NotImplementedError
