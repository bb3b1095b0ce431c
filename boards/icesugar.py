"""The iCESugar boards: an iCE40 UP5K or, as the iCESugar-Pro, an ECP5,
with the serial port of their iCELink."""

from dataclasses import replace

from ssm_hdl.boards.board import platform_of
from ssm_hdl.boards.icebreaker import ICEBREAKER
from ssm_hdl.boards.ulx3s import ULX3S_25F

ICESUGAR = replace(
    ICEBREAKER,
    name="icesugar",
    title="iCESugar",
    platform=platform_of("icesugar", "ICESugarPlatform"),
)

ICESUGAR_PRO = replace(
    ULX3S_25F,
    name="icesugar-pro",
    title="iCESugar-Pro",
    leds=(("rgb_led", 0, "g"), ("rgb_led", 0, "r")),
    high=(),
    route=("--25k", "--package", "CABGA256", "--speed", "6"),
    loader="ecp5_generic",
    platform=platform_of("icesugar_pro", "ICESugarProPlatform"),
)
