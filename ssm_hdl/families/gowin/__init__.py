"""Gowin's LittleBee and Arora: MULT18X18, BSRAM of 18 kbit,
LUT4s of which three in four have a flip-flop."""

from typing import ClassVar

from ssm_hdl.families.base import Device, Family
from ssm_hdl.families.ecp5 import ECP5
from ssm_hdl.families.gowin.dsp import GowinMultiplier
from ssm_hdl.gateware.multiplier import LutMultiplier, Multiplier


class Gowin(Family):
    """See the module.

    Placement slows down with more than half of the flip-flops, some of which RAMs made of LUTs keep
    from use. LUTs and flip-flops are estimated as on the ECP5. Block RAMs, and RAMs made of LUTs,
    have the shapes of those of the ECP5, and Yosys gives them the same costs.
    """

    name = "gowin"
    title = "Gowin"
    dsp: ClassVar[Multiplier] = GowinMultiplier()
    lut: ClassVar[Multiplier] = LutMultiplier(registers=1)
    rams = ECP5.rams
    flip_flops_per_lut = 0.75
    fill = 0.4
    costs = ECP5.name
    # The pipeline instantiates multipliers itself. nextpnr takes the pins from the buffers of the
    # board's top level.
    synthesis = ("synth_gowin", "-nodsp", "-noiopads")
    cell_models = ("./cells.v", "gowin/cells_sim.v")


GOWIN = Gowin()

# nextpnr has no delays of multipliers: the clock of a bare kernel is that of the boards.
GW1NR_9 = Device("gw1nr-9", "GW1NR-9", GOWIN, 8640, 20, 26, 18432, 0, 54e6, 54e6, 2)
GW2AR_18 = Device("gw2ar-18", "GW2AR-18", GOWIN, 20736, 48, 46, 18432, 0, 81e6, 81e6, 2)

DEVICES = (GW1NR_9, GW2AR_18)
