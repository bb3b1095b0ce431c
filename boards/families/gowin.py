"""The flow of Gowin's LittleBee and Arora, and their PLL."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Self

from amaranth.hdl import Const, Instance, IOValue, Signal

from ssm_hdl.boards.families.base import Flow
from ssm_hdl.boards.pll import Pll
from ssm_hdl.families.gowin import GOWIN


@dataclass(frozen=True)
class GowinPll(Pll):
    """rPLL with its feedback inside, of a LittleBee.

    The clock is ``oscillator / idiv * fbdiv``, and the VCO runs at ``clock * odiv``. Limits:
    those that gowin_pack holds to.
    """

    VCO_HZ: ClassVar[tuple[float, float]] = (400e6, 1200e6)
    CLOCK_HZ: ClassVar[tuple[float, float]] = (3.125e6, 600e6)
    NAME: ClassVar[str] = "GW1NR-9C"

    oscillator_hz: float
    idiv: int
    fbdiv: int
    odiv: int

    @classmethod
    def candidates(cls, oscillator_hz: float) -> Iterator[Self]:
        """Every setting within the limits."""
        for idiv in range(1, 65):
            if not 3e6 <= oscillator_hz / idiv <= 400e6:
                continue
            for fbdiv in range(1, 65):
                for odiv in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128):
                    pll = cls(oscillator_hz, idiv, fbdiv, odiv)
                    if (
                        cls.VCO_HZ[0] <= pll.vco_hz <= cls.VCO_HZ[1]
                        and cls.CLOCK_HZ[0] < pll.clock_hz <= cls.CLOCK_HZ[1]
                    ):
                        yield pll

    @property
    def vco_hz(self) -> float:
        """Frequency of the oscillator inside."""
        return self.clock_hz * self.odiv

    @property
    def clock_hz(self) -> float:
        """The clock that it gives."""
        return self.oscillator_hz * self.fbdiv / self.idiv

    def cell(self, pin: IOValue, clock: Signal, locked: Signal) -> list[Instance]:
        """The input buffer and the cell."""
        oscillator = Signal(name="oscillator")
        return [
            Instance("IBUF", i_I=pin, o_O=oscillator),
            Instance(
                "rPLL",
                p_DEVICE=self.NAME,
                p_FCLKIN=f"{self.oscillator_hz / 1e6:g}",
                **{f"p_DYN_{name}_SEL": "false" for name in ("IDIV", "FBDIV", "ODIV")},
                p_IDIV_SEL=self.idiv - 1,
                p_FBDIV_SEL=self.fbdiv - 1,
                p_ODIV_SEL=self.odiv,
                p_CLKFB_SEL="internal",
                i_CLKIN=oscillator,
                **{f"i_{name}": Const(0, 1) for name in ("CLKFB", "RESET", "RESET_P")},
                **{f"i_{name}": Const(0, 6) for name in ("FBDSEL", "IDSEL", "ODSEL")},
                **{f"i_{name}": Const(0, 4) for name in ("PSDA", "DUTYDA", "FDLY")},
                o_CLKOUT=clock,
                o_LOCK=locked,
            ),
        ]


class AroraPll(GowinPll):
    """That of an Arora."""

    VCO_HZ = (500e6, 1250e6)
    CLOCK_HZ = (3.90625e6, 625e6)
    NAME = "GW2AR-18C"


FLOW = Flow(
    family=GOWIN,
    pll=GowinPll,
    router="nextpnr-himbaechel-gowin",
    packer="gowin_pack",
    constraints="cst",
    routing=("--vopt", "cst=top.cst", "--write", "top.routed", "--freq", "{mhz}"),
    packing=("top.routed", "-o", "top.bits"),
    bitstream="fs",
    cells={
        "LUTs": {"LUT": 1, "ALU": 1, "RAM16SDP": 8},
        "flip-flops": {"DFF": 1, "RAM16SDP": 6},
        "multipliers": {"MULT18X18": 1, "MULT9X9": 0.5},
        "block RAMs": {"SP": 1, "SDP": 1, "DP": 1},
        "SPRAMs": {},
    },
    bels={"LUTs": "LUT4", "flip-flops": "DFF", "block RAMs": "BSRAM"},
)
