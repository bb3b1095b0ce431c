"""The ECPIX-5: an ECP5-5G of one of two sizes with an FT2232H."""

from dataclasses import replace

from ssm_hdl.boards.board import platform_of
from ssm_hdl.boards.ulx3s import ULX3S_25F
from ssm_hdl.families.ecp5 import ECP5_45F, ECP5_85F

ECPIX5_45F = replace(
    ULX3S_25F,
    name="ecpix5-45f",
    title="ECPIX-5 45F",
    chip=replace(ECP5_45F, title="LFE5UM5G-45F"),
    oscillator="clk100",
    oscillator_hz=100e6,
    leds=(("rgb_led", 0, "g"), ("rgb_led", 0, "r")),
    high=(),
    route=("--um5g-45k", "--package", "CABGA554", "--speed", "8"),
    loader="ecpix5",
    platform=platform_of("ecpix5", "ECPIX545Platform"),
)

ECPIX5_85F = replace(
    ECPIX5_45F,
    name="ecpix5-85f",
    title="ECPIX-5 85F",
    chip=replace(ECP5_85F, title="LFE5UM5G-85F"),
    route=("--um5g-85k", *ECPIX5_45F.route[1:]),
    platform=platform_of("ecpix5", "ECPIX585Platform"),
)
