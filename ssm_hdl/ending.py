"""The end of this process by a signal: it cleans up first, and its caller sees the signal."""

import gc
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def ending_signals() -> list[signal.Signals]:
    """The signals that end this process, without the ignored ones, as of nohup."""
    names = [
        getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
    ]
    return [name for name in names if signal.getsignal(name) is not signal.SIG_IGN]


class Ended(BaseException):
    """This process was told to end.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def ending() -> Iterator[None]:
    """Clean up when a signal ends this process, then end by that signal,
    so that the caller sees it."""

    def end(number: int, frame: object) -> None:
        for name in names:
            signal.signal(name, signal.SIG_IGN)  # the second one must not disturb the cleaning
        raise Ended(number)

    names = ending_signals()
    before = {name: signal.signal(name, end) for name in names}
    try:
        yield
    except Ended as ended:
        with suppress(OSError):  # what read it may have ended by the same signal
            print(f"ssm-hdl: ended by {ended}", file=sys.stderr, flush=True)
        # of their semaphores, pools give those back that nobody holds any more
        traceback.clear_frames(ended.__traceback__)
        gc.collect()
        signal.signal(ended.number, signal.SIG_DFL)
        os.kill(os.getpid(), ended.number)
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
