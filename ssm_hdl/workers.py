"""Workers: processes of Python that work side by side, and none outlives its parent."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.synchronize import Lock
from typing import Any

from ssm_hdl.ending import ending_signals
from ssm_hdl.errors import SsmHdlError


@contextmanager
def pool(
    count: int, initializer: Callable[..., object] | None = None, *arguments: Any
) -> Iterator[ProcessPoolExecutor]:
    """Processes that work side by side; each starts with ``initializer(*arguments)``,
    and ends with this process.

    Raises:
        SsmHdlError: one of them was killed.
    """
    context = multiprocessing.get_context("spawn")  # a fork could hang on a lock of another thread
    starts = context.Lock()
    hook = threading.excepthook
    try:
        with ProcessPoolExecutor(
            count, context, _begin, (starts, initializer, arguments)
        ) as executor:
            try:
                with _uninterrupted(), starts:
                    for _ in range(count):
                        executor.submit(int)  # starts a worker, as long as none waits for work
                yield executor
            except BaseException as error:
                # an end, which is not to wait for what they are doing
                if not isinstance(error, Exception):
                    # Python 3.11's executor stumbles over cancelled futures
                    threading.excepthook = lambda arguments: None
                    for worker in multiprocessing.active_children():
                        worker.kill()
                executor.shutdown(cancel_futures=True)
                raise
    except BrokenProcessPool as error:
        raise SsmHdlError(
            f"one of {count} processes was killed, most likely for want of memory; "
            "give the same command with fewer --jobs, what was done is kept"
        ) from error
    finally:
        threading.excepthook = hook


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Signals that end this process wait: a worker whose start is cut off would
    show a traceback."""
    if threading.current_thread() is not threading.main_thread():  # which alone handles signals
        yield
        return
    caught = list[int]()
    before = {
        name: signal.signal(name, lambda number, frame: caught.append(number))
        for name in ending_signals()
    }
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
        for number in caught[:1]:
            signal.raise_signal(number)


def _begin(
    starts: Lock, initializer: Callable[..., object] | None, arguments: tuple[Any, ...]
) -> None:
    """The start of a worker: nobody else tells it that its parent was killed.
    Work begins when all workers are there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal; the parent decides
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
    with starts:
        pass
    if initializer is not None:
        initializer(*arguments)
