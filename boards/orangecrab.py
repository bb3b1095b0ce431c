"""The OrangeCrab r0.2: an ECP5 of one of two sizes; its serial port is on the pins 0 (RX)
and 1 (TX)."""

from dataclasses import replace

from ssm_hdl.boards.board import platform_of
from ssm_hdl.boards.ulx3s import ULX3S_25F
from ssm_hdl.families.ecp5 import ECP5_85F

_UART = ("io", 0, "0", "1")

ORANGECRAB_25F = replace(
    ULX3S_25F,
    name="orangecrab-25f",
    title="OrangeCrab 25F",
    oscillator="clk",
    oscillator_hz=48e6,
    leds=(("rgb_led", 0, "g"), ("rgb_led", 0, "r")),
    high=(),
    route=("--25k", "--package", "CSFBGA285", "--speed", "8"),
    loader="orangeCrab",
    platform=platform_of(
        "orangecrab_r0_2", "OrangeCrabR0_2_25FPlatform", _UART, IO_TYPE="LVCMOS33"
    ),
)

ORANGECRAB_85F = replace(
    ORANGECRAB_25F,
    name="orangecrab-85f",
    title="OrangeCrab 85F",
    chip=ECP5_85F,
    route=("--85k", *ORANGECRAB_25F.route[1:]),
    platform=platform_of(
        "orangecrab_r0_2", "OrangeCrabR0_2_85FPlatform", _UART, IO_TYPE="LVCMOS33"
    ),
)
