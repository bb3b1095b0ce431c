"""A simulated design with a serial line, by its pins."""

import ctypes
from dataclasses import replace
from importlib import resources
from pathlib import Path

from ssm_hdl.families import Family
from ssm_hdl.families.generic import GENERIC
from ssm_hdl.sim.cells import with_cells
from ssm_hdl.sim.compiler import Design, compile_verilog

_LINT = """\
// A state machine of Amaranth stays in its state for the codes that no state has.
lint_off -rule CASEINCOMPLETE
"""

_BITS = 10
"""Of a byte on the line."""


class Pins:
    """A design that is compiled and switched on.

    Args:
        verilog: text of the design; its ports are ``clk``, ``rst``, ``rx``, ``tx`` and ``busy``.
        top: its top module.
        divisor: clock cycles per bit of the line.
        family: of the cells that the design instantiates.
        flash: contents of the flash on the pins ``flash_*``, if the design has them;
            it sleeps until it is woken.
        cache: folder for compiled designs; see `ssm_hdl.sim.compiler.cache_folder`.

    Raises:
        SsmHdlError: a tool is missing or failed.

    Attributes:
        cycles: that were run.
    """

    def __init__(
        self,
        verilog: str,
        top: str,
        divisor: int,
        *,
        family: Family = GENERIC,
        flash: bytes = b"",
        cache: Path | None = None,
    ) -> None:
        harness = resources.files("ssm_hdl.sim").joinpath("board.cpp").read_text(encoding="utf-8")
        harness = "#define FLASH\n" * bool(flash) + harness
        design = with_cells(Design(verilog, top), family)
        design = replace(design, lint=design.lint + _LINT)
        self.library = compile_verilog(design, harness, cache)
        self._lib, self._divisor, self._flash = ctypes.CDLL(str(self.library)), divisor, flash
        self._lib.board_new.restype = ctypes.c_void_p
        self._lib.board_run.restype = ctypes.c_bool
        self._board = ctypes.c_void_p(self._lib.board_new(divisor))
        if flash:  # the library reads it where it is
            self._lib.board_flash(self._board, flash, ctypes.c_uint64(len(flash)))
        self.cycles = 0

    def run(self, cycles: int, coming: bytes = b"") -> tuple[bytes, bytes, bool]:
        """Run some cycles.

        Args:
            cycles: how many.
            coming: bytes for the board.

        Returns:
            The bytes that did not go, those that came back,
            and whether the design or a line is busy.
        """
        room = ctypes.create_string_buffer(cycles // (_BITS * self._divisor) + 2)
        taken, given = ctypes.c_uint64(), ctypes.c_uint64()
        size = ctypes.c_uint64
        busy = self._lib.board_run(
            self._board,
            size(cycles),
            coming,
            size(len(coming)),
            ctypes.byref(taken),
            room,
            ctypes.byref(given),
        )
        self.cycles += cycles
        return coming[taken.value :], room.raw[: given.value], busy

    def reset(self, level: bool) -> None:
        """Set the reset of the design."""
        self._lib.board_reset(self._board, ctypes.c_bool(level))

    def close(self) -> None:
        """Switch it off."""
        self._lib.board_free(self._board)
