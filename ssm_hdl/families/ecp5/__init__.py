"""The ECP5: MULT18X18D, DP16KD of 18 kbit, LUT4s with a flip-flop each."""

from collections.abc import Sequence
from typing import Any, ClassVar

from ssm_hdl.families.base import Device, Family
from ssm_hdl.families.ecp5.chains import open_ends, shorten
from ssm_hdl.families.ecp5.dsp import Mult18x18d
from ssm_hdl.families.ecp5.fuse import fuse
from ssm_hdl.families.ecp5.outreg import register
from ssm_hdl.families.rams import BlockRams
from ssm_hdl.gateware.multiplier import LutMultiplier, Multiplier

CONTROL_SETS = (
    "dfflegalize -cell $_DFF_?_ 01 -cell $_DFF_?P?_ r -cell $_SDFF_?P?_ r -cell $_DFFE_??_ 01 "
    "-cell $_DFFE_?P??_ r -cell $_SDFFE_?P??_ r -mince 4 -minsrst 16"
)
"""An enable of fewer than 4 flip-flops, or a reset of fewer than 16, becomes logic.

The eight flip-flops of a tile share two resets, and Yosys makes resets of ANDs. With hundreds of
resets for one flip-flop each, nextpnr does not place a device that is nearly full,
and its router does not finish on one that is a quarter full."""


class Ecp5(Family):
    """See the module.

    Place and route found no place for 92 % of the flip-flops of an LFE5U-25F, with any of three
    seeds, and plans are estimates: a plan takes 87 % of LUTs and flip-flops. With all 156 DSP
    blocks of an LFE5U-85F it took half an hour, or ended at 92 MHz. With 153 it routes S4D-64h at
    122 MHz, the Mamba of a text at 106, S5 at 109 and 91; and 28 of 28 on the smaller one.

    A DP16KD reads in 5.8 ns, but has a register of its own at its outputs, so a register follows
    each read. Partial products have no registers of their own: flip-flops end as soon as LUTs do.
    Registers of operands keep the paths from their sources short: without them nextpnr does not
    route S4D-64h on the LFE5U-85F.
    """

    name = "ecp5"
    title = "ECP5"
    dsp: ClassVar[Multiplier] = Mult18x18d()
    lut: ClassVar[Multiplier] = LutMultiplier(registers=1)
    rams = BlockRams(
        ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
        cost=128,
        lut_rams=True,
    )
    fill = 0.87
    dsp_fill = 0.98
    costs = "ecp5"
    synthesis = ("synth_ecp5", "-abc9")
    cell_models = ("./cells.v", "ecp5/common_sim.vh", "ecp5/ccu2c_sim.vh")

    def synthesis_script(self, top: str, options: Sequence[str]) -> list[str | list[str]]:
        """With `CONTROL_SETS` before flip-flops are mapped."""
        (command,) = super().synthesis_script(top, options)
        return [[*command, "-run", "begin:map_ffs"], CONTROL_SETS, [*command, "-run", "map_ffs:"]]

    def finish(self, module: dict[str, Any]) -> None:
        """Put LUTs into carry chains, shorten these, and registers into block RAMs."""
        fuse(module)
        shorten(module)
        register(module)

    def finish_for_router(self, module: dict[str, Any]) -> None:
        """Take away carries without readers: nextpnr would bring them out of their chains."""
        open_ends(module)


ECP5 = Ecp5()

ECP5_25F = Device("lfe5u-25f", "LFE5U-25F", ECP5, 24288, 28, 56, 18432, 0, 125e6, 190e6, 1)
ECP5_45F = Device("lfe5u-45f", "LFE5U-45F", ECP5, 43848, 72, 108, 18432, 0, 100e6, 130e6, 1)
ECP5_85F = Device("lfe5u-85f", "LFE5U-85F", ECP5, 83640, 156, 208, 18432, 0, 100e6, 90e6, 1)

DEVICES = (ECP5_25F, ECP5_45F, ECP5_85F)
