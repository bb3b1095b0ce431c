"""The Colorlight i5 on its extension board: an ECP5 with the serial port of the board's
CMSIS-DAP adapter."""

from dataclasses import replace

from amaranth.build import Attrs, Clock, Pins, PinsN, Resource, Subsignal
from amaranth.vendor import LatticeECP5Platform

from ssm_hdl.boards.ulx3s import ULX3S_25F

_LEVEL = Attrs(IO_TYPE="LVCMOS33")


class _I5Platform(LatticeECP5Platform):
    """The pins that are needed; amaranth-boards lacks the board. From litex-boards,
    colorlight_i5.py, revision 7.0."""

    device, package, speed, default_clk = "LFE5U-25F", "BG381", "6", "clk25"
    resources = (
        Resource("clk25", 0, Pins("P3", dir="i"), Clock(25e6), _LEVEL),
        Resource("led", 0, PinsN("U16", dir="o"), _LEVEL),
        Resource(
            "uart",
            0,
            Subsignal("rx", Pins("H18", dir="i")),
            Subsignal("tx", Pins("J17", dir="o")),
            _LEVEL,
        ),
    )
    connectors = ()


COLORLIGHT_I5 = replace(
    ULX3S_25F,
    name="colorlight-i5",
    title="Colorlight i5",
    leds=(("led", 0),),
    high=(),
    loader="colorlight-i5",
    platform=_I5Platform,
)
