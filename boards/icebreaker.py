"""The iCEBreaker: an iCE40 UP5K with an FT2232H; the iCEBreaker-bitsy has its serial port
on pins of PMOD 1."""

from dataclasses import replace

from ssm_hdl.boards.board import Board, platform_of
from ssm_hdl.families.ice40 import UP5K

ICEBREAKER = Board(
    name="icebreaker",
    title="iCEBreaker",
    chip=UP5K,
    oscillator="clk12",
    oscillator_hz=12e6,
    clock_hz=45e6,
    baud=1_000_000,
    leds=(("led_g", 0), ("led_r", 0)),
    high=(),
    route=("--up5k", "--package", "sg48"),
    loader="ice40_generic",
    platform=platform_of("icebreaker", "ICEBreakerPlatform"),
    flash="spi_flash_1x",
    flash_offset=0x20000,  # a bitstream of an UP5K has 104,090 bytes; a sector of a flash, 64 KiB
)

BITSY = replace(
    ICEBREAKER,
    name="icebreaker-bitsy",
    title="iCEBreaker-bitsy",
    loader="icebreaker-bitsy",
    platform=platform_of(
        "icebreaker_bitsy",
        "ICEBreakerBitsyPlatform",
        ("pmod", 1, "1", "2"),
        IO_STANDARD="SB_LVCMOS",
    ),
)
