"""The UPduino v3: an iCE40 UP5K. Its oscillator needs the jumper OSC;
its serial port is on pins 23 and 25 of the header."""

from dataclasses import replace

from ssm_hdl.boards.board import platform_of
from ssm_hdl.boards.families.ice40 import Ice40CorePll
from ssm_hdl.boards.icebreaker import ICEBREAKER
from ssm_hdl.families.ice40 import UP5K

UPDUINO = replace(
    ICEBREAKER,
    name="upduino-v3",
    title="UPduino v3",
    # the oscillator is on the pin that holds the flash, so nothing could load them
    chip=replace(UP5K, sprams=0),
    leds=(("rgb_led", 0, "g"), ("rgb_led", 0, "r")),
    platform=platform_of(
        "upduino_v3", "UpduinoV3Platform", ("j", 0, "7", "8"), IO_STANDARD="SB_LVCMOS"
    ),
    flash="",
    flash_offset=0,
    other_pll=Ice40CorePll,
)
