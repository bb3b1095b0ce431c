"""The flow of the ECP5 and its PLL."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from amaranth.hdl import Const, Instance, IOValue, Signal

from ssm_hdl.boards.families.base import Flow
from ssm_hdl.boards.pll import Pll
from ssm_hdl.families.ecp5 import ECP5


@dataclass(frozen=True)
class Ecp5Pll(Pll):
    """EHXPLLL with one output, CLKOP, for its feedback and another, CLKOS, for the clock.

    The VCO runs at ``oscillator / clki_div * clkop_div``, the clock at ``VCO / clkos_div``. Limits:
    ECP5 family data sheet (Lattice FPGA-DS-02012), sysCLOCK PLL timing; the lock signal works
    only within them.
    """

    VCO_HZ: ClassVar[tuple[float, float]] = (400e6, 800e6)

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
                    if (
                        cls.VCO_HZ[0] <= pll.vco_hz <= cls.VCO_HZ[1]
                        and 3.125e6 <= pll.clock_hz <= 400e6
                    ):
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
        oscillator, feedback = Signal(name="oscillator"), Signal(name="feedback")
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


FLOW = Flow(
    family=ECP5,
    pll=Ecp5Pll,
    router="nextpnr-ecp5",
    packer="ecppack",
    constraints="lpf",
    routing=("--lpf", "top.lpf", "--textcfg", "top.routed"),
    packing=("--compress", "top.routed", "top.bits"),
    bitstream="bit",
    cells={
        "LUTs": {"LUT4": 1, "CCU2C": 2, "TRELLIS_DPR16X4": 6},
        "flip-flops": {"TRELLIS_FF": 1},
        "multipliers": {"MULT18X18D": 1},
        "block RAMs": {"DP16KD": 1},
        "SPRAMs": {},
    },
    bels={
        "LUTs": "TRELLIS_COMB",
        "flip-flops": "TRELLIS_FF",
        "multipliers": "MULT18X18D",
        "block RAMs": "DP16KD",
    },
)
