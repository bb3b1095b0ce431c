"""The Icepi Zero: an ECP5 with an FT231X."""

from dataclasses import replace

from ssm_hdl.boards.board import platform_of
from ssm_hdl.boards.ulx3s import ULX3S_25F

ICEPI_ZERO = replace(
    ULX3S_25F,
    name="icepi-zero",
    title="Icepi Zero",
    oscillator="clk50",
    oscillator_hz=50e6,
    high=(),
    route=("--25k", "--package", "CABGA256", "--speed", "6"),
    loader="icepi-zero",
    platform=platform_of("icepi_zero", "IcepiZero1_3Platform"),
)
