"""Every board: its clock, and the pins that the design has there."""

import re

import pytest

from ssm_hdl.boards.catalog import BOARDS
from ssm_hdl.boards.resources import shell_use
from ssm_hdl.boards.shell import Top
from ssm_hdl.families import DEVICES
from ssm_hdl.gen.size.planner import plan_for

PINS = {
    "icebreaker": "6 9", "icebreaker-bitsy": "47 48", "icesugar": "4 6", "upduino-v3": "23 25",
    **dict.fromkeys(("ulx3s-12f", "ulx3s-25f", "ulx3s-45f", "ulx3s-85f"), "M1 L4"),
    "icepi-zero": "K16 K15", "icesugar-pro": "A9 B9", "colorlight-i5": "H18 J17",
    "tang-nano-9k": "18 17", "tang-nano-20k": "70 69", "orangecrab-25f": "N17 M18",
    "orangecrab-85f": "N17 M18", "ecpix5-45f": "R26 R24", "ecpix5-85f": "R26 R24",
}  # fmt: skip
"""Pins of the serial line, rx and tx, as the makers of the boards have them."""

FORMS = {
    "pcf": r"set_io uart_0__{}__io (\S+)", "lpf": r'"uart_0__{}__io" SITE "(\w+)"',
    "cst": r'IO_LOC "uart_0__{}__io" (\w+);'
}  # fmt: skip
"""How a file of pins gives one of them, by its ending."""


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_the_design_of_a_board_has_its_pins_and_its_clock(double, board):
    manifest, pll = double(), board.pll(board.clock_hz)
    assert pll.clock_hz == pytest.approx(board.clock_hz, rel=0.005) and board.chip.name in DEVICES
    plan = plan_for(
        manifest, board.chip, clock_hz=board.clock_hz, reserve=shell_use(manifest, board)
    ).plan
    platform = board.platform()
    text = platform.prepare(Top(board, pll, manifest, plan), "top").files[
        f"top.{board.flow.constraints}"
    ]
    text = text if isinstance(text, str) else text.decode()
    form = FORMS[board.flow.constraints]
    assert [re.findall(form.format(name), text) for name in ("rx", "tx")] == [
        [pin] for pin in PINS[board.name].split()
    ]
    assert len(board.leds) == sum(
        bool(re.search(rf"\b{led[0]}_{led[1]}\b|{led[0]}_{led[1]}__", text)) for led in board.leds
    )
    size = re.search(r"(\d+)k", board.route[0])
    assert size is None or size[1] in platform.device, (
        "the router is told of another size than the platform"
    )
