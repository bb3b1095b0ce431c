# amaranth: UnusedElaboratable=no
"""A simulated design with a serial line on a pseudo-terminal:
to a host it is a board on a serial port."""

import ctypes
import os
import select
import threading
import tty
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from types import TracebackType

from ssm_hdl.families import Family
from ssm_hdl.families.generic import GENERIC
from ssm_hdl.sim.cells import with_cells
from ssm_hdl.sim.compiler import Design, compile_verilog

_LINT = """\
// A state machine of Amaranth stays in its state for the codes that no state has.
lint_off -rule CASEINCOMPLETE
"""

_CYCLES = 20000
"""Clock cycles simulated between two polls of the port."""


class VirtualBoard:
    """A design with its pins on a serial port that any program can open; a context manager.

    Simulated time stops once nothing came and the design was idle for ``linger`` cycles;
    the next byte starts it again.

    Args:
        verilog: text of the design; its ports are ``clk``, ``rst``, ``rx``, ``tx`` and ``busy``.
        top: its top module.
        divisor: clock cycles per bit.
        linger: clock cycles to run on when nothing happens.
        to_board: filter for bytes on their way to the board; a test damages them here.
        to_host: filter for bytes on their way to the host.
        family: of the cells that the design instantiates.
        flash: contents of the flash on the pins ``flash_*``, if the design has them;
            it sleeps until it is woken.
        start: clock cycles to run before anything is served, in which the flash is read.
        cache: folder for compiled designs; see `ssm_hdl.sim.compiler.cache_folder`.

    Raises:
        SsmHdlError: a tool is missing or failed.

    Attributes:
        port: path of the serial port.
    """

    def __init__(
        self,
        verilog: str,
        top: str,
        divisor: int,
        *,
        linger: int = 0,
        to_board: Callable[[bytes], bytes] = bytes,
        to_host: Callable[[bytes], bytes] = bytes,
        family: Family = GENERIC,
        flash: bytes = b"",
        start: int = 0,
        cache: Path | None = None,
    ) -> None:
        self.divisor, self.linger, self.start = divisor, linger, start
        self.to_board, self.to_host = to_board, to_host
        harness = resources.files("ssm_hdl.sim").joinpath("board.cpp").read_text(encoding="utf-8")
        design = with_cells(Design(verilog, top), family)
        harness = "#define FLASH\n" * bool(flash) + harness
        self._flash = flash
        self._lib = ctypes.CDLL(
            str(compile_verilog(replace(design, lint=design.lint + _LINT), harness, cache))
        )
        self._lib.board_new.restype = ctypes.c_void_p
        self._lib.board_free.argtypes = (ctypes.c_void_p,)
        self._lib.board_reset.argtypes = (ctypes.c_void_p, ctypes.c_bool)
        size, count = ctypes.c_uint64, ctypes.POINTER(ctypes.c_uint64)
        self._lib.board_run.argtypes = (
            ctypes.c_void_p,
            size,
            ctypes.c_char_p,
            size,
            count,
            ctypes.c_char_p,
            count,
        )
        self._lib.board_run.restype = ctypes.c_bool

    def __enter__(self) -> "VirtualBoard":
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port = os.ttyname(self._slave)
        self._wake, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._serve, name="virtual board", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._stop)
        self._thread.join()
        for descriptor in (self._wake, self._master, self._slave):
            os.close(descriptor)

    def _serve(self) -> None:
        """Move bytes between the port and the pins until the context ends."""
        model = self._lib.board_new(self.divisor)
        if self._flash:
            self._lib.board_flash(
                ctypes.c_void_p(model), self._flash, ctypes.c_uint64(len(self._flash))
            )
        # a byte takes 10 bits on the line
        room = ctypes.create_string_buffer(_CYCLES // (10 * self.divisor) + 2)
        i_done, o_done = ctypes.c_uint64(), ctypes.c_uint64()
        coming, going, quiet = b"", b"", 0
        for _ in range(-(-self.start // _CYCLES)):
            self._lib.board_run(model, _CYCLES, b"", 0, i_done, room, o_done)
        try:
            while True:
                rest = bool(not coming and quiet >= self.linger)
                writing = [self._master] if going else []
                # At rest this blocks until bytes come or the context ends; otherwise it only polls.
                readable, writable, _ = select.select(
                    [self._wake, self._master], writing, [], None if rest else 0
                )
                if self._wake in readable:
                    return
                if self._master in readable:
                    coming += self.to_board(os.read(self._master, 1 << 16))
                if writable:
                    going = going[os.write(self._master, going) :]
                if rest and not coming:
                    continue
                busy = self._lib.board_run(
                    model, _CYCLES, coming, len(coming), i_done, room, o_done
                )
                coming = coming[i_done.value :]
                going += self.to_host(room.raw[: o_done.value])
                quiet = 0 if busy or coming else quiet + _CYCLES
        finally:
            self._lib.board_free(model)
