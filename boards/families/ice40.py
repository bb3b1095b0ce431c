"""The flow of the iCE40 and its PLL."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from amaranth.hdl import Const, Instance, IOValue, Signal

from ssm_hdl.boards.families.base import Flow
from ssm_hdl.boards.pll import Pll
from ssm_hdl.families.ice40 import ICE40


@dataclass(frozen=True)
class Ice40Pll(Pll):
    """SB_PLL40_PAD with simple feedback.

    The VCO runs at ``oscillator * (divf + 1) / (divr + 1)``, the clock at ``VCO / 2**divq``.
    Limits: iCE40 PLL usage guide (Lattice FPGA-TN-02052).
    """

    VCO_HZ: ClassVar[tuple[float, float]] = (533e6, 1066e6)

    oscillator_hz: float
    divr: int
    divf: int
    divq: int

    @classmethod
    def candidates(cls, oscillator_hz: float) -> Iterator[Self]:
        """Every setting within the limits."""
        for divr in range(16):
            if not 10e6 <= oscillator_hz / (divr + 1) <= 133e6:
                continue
            for divf in range(128):
                for divq in range(1, 7):
                    pll = cls(oscillator_hz, divr, divf, divq)
                    if (
                        cls.VCO_HZ[0] <= pll.vco_hz <= cls.VCO_HZ[1]
                        and 16e6 <= pll.clock_hz <= 275e6
                    ):
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
        return [self._cell("SB_PLL40_PAD", clock, locked, i_PACKAGEPIN=pin)]

    def _cell(self, kind: str, clock: Signal, locked: Signal, **reference: Any) -> Instance:
        return Instance(
            kind,
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=Const(self.divr, 4),
            p_DIVF=Const(self.divf, 7),
            p_DIVQ=Const(self.divq, 3),
            p_FILTER_RANGE=Const(self.filter_range, 3),
            **reference,
            i_RESETB=Const(1, 1),
            i_BYPASS=Const(0, 1),
            o_PLLOUTGLOBAL=clock,
            o_LOCK=locked,
        )


class Ice40CorePll(Ice40Pll):
    """SB_PLL40_CORE with the same dividers, for an oscillator on any other pin."""

    def cell(self, pin: IOValue, clock: Signal, locked: Signal) -> list[Instance]:
        """The input buffer and the cell."""
        oscillator = Signal()
        buffer = Instance(
            "SB_IO", p_PIN_TYPE=Const(0b000001, 6), i_PACKAGE_PIN=pin, o_D_IN_0=oscillator
        )
        return [buffer, self._cell("SB_PLL40_CORE", clock, locked, i_REFERENCECLK=oscillator)]


FLOW = Flow(
    family=ICE40,
    pll=Ice40Pll,
    router="nextpnr-ice40",
    packer="icepack",
    constraints="pcf",
    routing=("--pcf", "top.pcf", "--asc", "top.routed"),
    packing=("top.routed", "top.bits"),
    bitstream="bin",
    cells={
        "LUTs": {"SB_LUT4": 1},
        "flip-flops": {"SB_DFF": 1},
        "multipliers": {"SB_MAC16": 1},
        "block RAMs": {"SB_RAM40_4K": 1},
        "SPRAMs": {"SB_SPRAM256KA": 1},
    },
    bels={
        "LUTs": "ICESTORM_LC",
        "multipliers": "ICESTORM_DSP",
        "block RAMs": "ICESTORM_RAM",
        "SPRAMs": "ICESTORM_SPRAM",
    },
    pack_only=("--up5k", "--package", "sg48", "--pack-only"),
    packed=r"ICESTORM_LC:\s*(\d+)/",
)
