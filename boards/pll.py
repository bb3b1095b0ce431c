"""Clocks from the phase-locked loops of the two families: their dividers, computed, and their cells."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

from amaranth.hdl import Const, Instance, IOValue, Signal

from ssm_hdl.errors import SsmHdlError

TOLERANCE = 0.005
"""Largest relative distance between the clock that is asked for and the one that a PLL gives."""


class Pll(Protocol):
    """The dividers of a PLL.

    Attributes:
        clock_hz: the clock that it gives.
    """

    @property
    def clock_hz(self) -> float: ...  # noqa: D102 - see above

    def cell(self, pin: IOValue, clock: Signal, locked: Signal) -> list[Instance]:
        """The cells between the oscillator's pin and the clock."""


@dataclass(frozen=True)
class Ice40Pll:
    """SB_PLL40_PAD with simple feedback.

    The VCO runs at ``oscillator * (divf + 1) / (divr + 1)``, the clock at ``VCO / 2**divq``. Limits: iCE40 PLL usage
    guide (Lattice FPGA-TN-02052).
    """

    VCO_HZ: ClassVar = (533e6, 1066e6)

    oscillator_hz: float
    divr: int
    divf: int
    divq: int

    @classmethod
    def candidates(cls, oscillator_hz: float) -> Iterator["Ice40Pll"]:
        """Every setting within the limits."""
        for divr in range(16):
            if not 10e6 <= oscillator_hz / (divr + 1) <= 133e6:
                continue
            for divf in range(128):
                for divq in range(1, 7):
                    pll = cls(oscillator_hz, divr, divf, divq)
                    if cls.VCO_HZ[0] <= pll.vco_hz <= cls.VCO_HZ[1] and 16e6 <= pll.clock_hz <= 275e6:
                        yield pll

    @property
    def vco_hz(self) -> float:
        """Frequency of the oscillator inside."""
        return self.oscillator_hz * (self.divf + 1) / (self.divr + 1)

    @property
    def clock_hz(self) -> float:
        """The clock that it gives."""
        return self.vco_hz / 2**self.divq

    @property
    def filter_range(self) -> int:
        """Setting of the loop filter, by the frequency that the phases are compared at."""
        compared = self.oscillator_hz / (self.divr + 1)
        return 1 + sum(compared >= limit for limit in (17e6, 26e6, 44e6, 66e6, 101e6))

    def cell(self, pin: IOValue, clock: Signal, locked: Signal) -> list[Instance]:
        """The cell; the pin has to be the one beside the PLL."""
        return [
            Instance(
                "SB_PLL40_PAD",
                p_FEEDBACK_PATH="SIMPLE",
                p_DIVR=Const(self.divr, 4),
                p_DIVF=Const(self.divf, 7),
                p_DIVQ=Const(self.divq, 3),
                p_FILTER_RANGE=Const(self.filter_range, 3),
                i_PACKAGEPIN=pin,
                i_RESETB=Const(1, 1),
                i_BYPASS=Const(0, 1),
                o_PLLOUTGLOBAL=clock,
                o_LOCK=locked,
            )
        ]


@dataclass(frozen=True)
class Ecp5Pll:
    """EHXPLLL with one output, CLKOP, for its feedback and another, CLKOS, for the clock.

    The VCO runs at ``oscillator / clki_div * clkop_div``, the clock at ``VCO / clkos_div``. Limits: ECP5 family data
    sheet (Lattice FPGA-DS-02012), sysCLOCK PLL timing; the lock signal works only within them.
    """

    VCO_HZ: ClassVar = (400e6, 800e6)

    oscillator_hz: float
    clki_div: int
    clkop_div: int
    clkos_div: int

    @classmethod
    def candidates(cls, oscillator_hz: float) -> Iterator["Ecp5Pll"]:
        """Every setting within the limits."""
        for clki_div in range(1, 129):
            if not 10e6 <= oscillator_hz / clki_div <= 400e6:
                continue
            for clkop_div in range(1, 129):
                for clkos_div in range(1, 129):
                    pll = cls(oscillator_hz, clki_div, clkop_div, clkos_div)
                    if cls.VCO_HZ[0] <= pll.vco_hz <= cls.VCO_HZ[1] and 3.125e6 <= pll.clock_hz <= 400e6:
                        yield pll

    @property
    def vco_hz(self) -> float:
        """Frequency of the oscillator inside."""
        return self.oscillator_hz * self.clkop_div / self.clki_div

    @property
    def clock_hz(self) -> float:
        """The clock that it gives."""
        return self.vco_hz / self.clkos_div

    def cell(self, pin: IOValue, clock: Signal, locked: Signal) -> list[Instance]:
        """The input buffer and the cell."""
        oscillator, feedback = Signal(), Signal()
        disabled = ("PLLRST_ENA", "INTFB_WAKE", "STDBY_ENABLE", "DPHASE_SOURCE")
        low = ("RST", "STDBY", "PHASESEL0", "PHASESEL1", "PLLWAKESYNC", "ENCLKOP", "ENCLKOS")
        high = ("PHASEDIR", "PHASESTEP", "PHASELOADREG")
        outputs: dict[str, object] = {"p_OUTDIVIDER_MUXA": "DIVA", "p_OUTDIVIDER_MUXB": "DIVB"}
        for name, divider in (("CLKOP", self.clkop_div), ("CLKOS", self.clkos_div)):
            outputs |= {f"p_{name}_ENABLE": "ENABLED", f"p_{name}_DIV": divider}
            outputs |= {f"p_{name}_CPHASE": divider - 1, f"p_{name}_FPHASE": 0}
        return [
            Instance("IB", i_I=pin, o_O=oscillator),
            Instance(
                "EHXPLLL",
                a_ICP_CURRENT="12",
                a_LPF_RESISTOR="8",
                a_MFG_ENABLE_FILTEROPAMP="1",
                a_MFG_GMCREF_SEL="2",
                **{f"p_{name}": "DISABLED" for name in disabled},
                p_FEEDBK_PATH="CLKOP",
                p_CLKI_DIV=self.clki_div,
                p_CLKFB_DIV=1,
                **outputs,
                i_CLKI=oscillator,
                i_CLKFB=feedback,
                **{f"i_{name}": Const(0, 1) for name in low},
                **{f"i_{name}": Const(1, 1) for name in high},
                o_CLKOP=feedback,
                o_CLKOS=clock,
                o_LOCK=locked,
            ),
        ]


def find_pll(kind: type[Ice40Pll] | type[Ecp5Pll], oscillator_hz: float, clock_hz: float) -> Ice40Pll | Ecp5Pll:
    """The PLL that comes nearest to a clock.

    Raises:
        SsmHdlError: it would be more than 0.5 % off.
    """
    middle = sum(kind.VCO_HZ) / 2

    def badness(pll: Ice40Pll | Ecp5Pll) -> tuple[float, float]:
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
