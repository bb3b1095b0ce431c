"""The Tang Nano 9K and 20K: Gowin devices with the serial port of a BL702 or BL616."""

from dataclasses import replace

from amaranth.build import Attrs, Clock, Pins, PinsN, Resource, Subsignal
from amaranth.vendor import GowinPlatform

from ssm_hdl.boards.board import Board, platform_of
from ssm_hdl.boards.families.gowin import AroraPll
from ssm_hdl.families.gowin import GW1NR_9, GW2AR_18

_LEVEL = Attrs(IO_TYPE="LVCMOS33")


class _Nano20kPlatform(GowinPlatform):
    """The pins that are needed; amaranth-boards lacks the board. From litex-boards,
    sipeed_tang_nano_20k.py."""

    part, family, default_clk = "GW2AR-LV18QN88C8/I7", "GW2AR-18C", "clk27"
    resources = (
        Resource("clk27", 0, Pins("4", dir="i"), Clock(27e6), _LEVEL),
        Resource("led", 0, PinsN("15", dir="o"), _LEVEL),
        Resource("led", 1, PinsN("16", dir="o"), _LEVEL),
        Resource(
            "uart",
            0,
            Subsignal("rx", Pins("70", dir="i")),
            Subsignal("tx", Pins("69", dir="o")),
            _LEVEL,
        ),
    )
    connectors = ()


TANG_NANO_9K = Board(
    name="tang-nano-9k",
    title="Tang Nano 9K",
    chip=GW1NR_9,
    oscillator="clk27",
    oscillator_hz=27e6,
    clock_hz=54e6,
    baud=1_000_000,
    leds=(("led", 0), ("led", 1)),
    high=(),
    route=("--device", "GW1NR-LV9QN88PC6/I5", "--vopt", "family=GW1N-9C"),
    loader="tangnano9k",
    platform=platform_of("tang_nano_9k", "TangNano9kPlatform"),
    pack=("-d", "GW1N-9C"),
)

TANG_NANO_20K = replace(
    TANG_NANO_9K,
    name="tang-nano-20k",
    title="Tang Nano 20K",
    chip=GW2AR_18,
    clock_hz=81e6,
    route=("--device", "GW2AR-LV18QN88C8/I7", "--vopt", "family=GW2A-18C"),
    loader="tangnano20k",
    platform=_Nano20kPlatform,
    other_pll=AroraPll,
    pack=("-d", "GW2A-18C"),
)
