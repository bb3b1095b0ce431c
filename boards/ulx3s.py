"""The ULX3S: an ECP5 of one of several sizes with an FT231X."""

from dataclasses import replace

from ssm_hdl.boards.board import Board, platform_of
from ssm_hdl.families.ecp5 import ECP5_25F, ECP5_45F, ECP5_85F

ULX3S_25F = Board(
    name="ulx3s-25f",
    title="ULX3S-25F",
    chip=ECP5_25F,
    oscillator="clk25",
    oscillator_hz=25e6,
    clock_hz=100e6,
    baud=1_000_000,
    leds=(("led", 0), ("led", 1)),
    high=(("esp32", 0, "gpio0"),),  # otherwise the ESP32 on the board may take the FPGA over
    route=("--25k", "--package", "CABGA381", "--speed", "6"),
    loader="ulx3s",
    platform=platform_of("ulx3s", "ULX3S_25F_Platform"),
)

ULX3S_12F = replace(
    ULX3S_25F,
    name="ulx3s-12f",
    title="ULX3S-12F",  # the die of the 25F, which the open tools use whole
    route=("--12k", *ULX3S_25F.route[1:]),
    platform=platform_of("ulx3s", "ULX3S_12F_Platform"),
)

ULX3S_45F = replace(
    ULX3S_25F,
    name="ulx3s-45f",
    title="ULX3S-45F",
    chip=ECP5_45F,
    route=("--45k", *ULX3S_25F.route[1:]),
    platform=platform_of("ulx3s", "ULX3S_45F_Platform"),
)

ULX3S_85F = replace(
    ULX3S_25F,
    name="ulx3s-85f",
    title="ULX3S-85F",
    chip=ECP5_85F,
    route=("--85k", *ULX3S_25F.route[1:]),
    platform=platform_of("ulx3s", "ULX3S_85F_Platform"),
)
