"""Clocks from the phase-locked loop of a family: the dividers, computed."""

from collections.abc import Iterator
from typing import ClassVar, Protocol, Self

from amaranth.hdl import Instance, IOValue, Signal

from ssm_hdl.errors import SsmHdlError

TOLERANCE = 0.005
"""Largest relative distance between the clock that is asked for and the one that a PLL gives."""


class Pll(Protocol):
    """The dividers of a PLL.

    Attributes:
        VCO_HZ: limits of the oscillator inside.
        vco_hz: frequency of the oscillator inside.
        clock_hz: the clock that it gives.
    """

    VCO_HZ: ClassVar[tuple[float, float]]

    @property
    def vco_hz(self) -> float: ...  # noqa: D102 - see above

    @property
    def clock_hz(self) -> float: ...  # noqa: D102 - see above

    @classmethod
    def candidates(cls, oscillator_hz: float) -> Iterator[Self]:
        """Every setting within the limits."""

    def cell(self, pin: IOValue, clock: Signal, locked: Signal) -> list[Instance]:
        """The cells between the oscillator's pin and the clock."""


def find_pll(kind: type[Pll], oscillator_hz: float, clock_hz: float) -> Pll:
    """The PLL that comes nearest to a clock.

    Raises:
        SsmHdlError: it would be more than 0.5 % off.
    """
    middle = sum(kind.VCO_HZ) / 2

    def badness(pll: Pll) -> tuple[float, float]:
        return round(abs(pll.clock_hz - clock_hz), 3), abs(pll.vco_hz - middle)

    best = min(kind.candidates(oscillator_hz), key=badness, default=None)
    if best is None:
        raise SsmHdlError(f"no PLL setting takes an oscillator of {oscillator_hz / 1e6:g} MHz")
    if abs(best.clock_hz / clock_hz - 1) > TOLERANCE:
        raise SsmHdlError(
            f"the PLL does not reach a clock of {clock_hz / 1e6:g} MHz from an oscillator of "
            f"{oscillator_hz / 1e6:g} MHz; the nearest that it gives is {best.clock_hz / 1e6:g} MHz"
        )
    return best
