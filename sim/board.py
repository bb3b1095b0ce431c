# amaranth: UnusedElaboratable=no
"""A simulated design with a serial line on a pseudo-terminal:
to a host it is a board on a serial port."""

import os
import select
import threading
import tty
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from ssm_hdl.families import Family
from ssm_hdl.families.generic import GENERIC
from ssm_hdl.sim.pins import Pins

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
        self.linger, self.start = linger, start
        self.to_board, self.to_host = to_board, to_host
        self._pins = Pins(verilog, top, divisor, family=family, flash=flash, cache=cache)

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
        coming, going, quiet = b"", b"", 0
        for _ in range(-(-self.start // _CYCLES)):
            self._pins.run(_CYCLES)
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
                coming, came, busy = self._pins.run(_CYCLES, coming)
                going += self.to_host(came)
                quiet = 0 if busy or coming else quiet + _CYCLES
        finally:
            self._pins.close()
