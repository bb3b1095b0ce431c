"""Child processes: the one place where they start, and none of them outlives its parent."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Lock
from pathlib import Path
from typing import Any, TypeVar

from ssm_hdl import guard
from ssm_hdl.errors import SsmHdlError, brief
from ssm_hdl.files import cache_folder

LIMIT_S = 7200.0
"""Seconds that a tool may run: the largest designs take Yosys half an hour.
``SSM_HDL_LIMIT_S`` sets another limit."""

TOO_LONG = 124
"""Exit status of a tool that was stopped at its limit, as of timeout(1)."""

T = TypeVar("T")

_SAID = 2000  # characters of a tool's output in a message


@dataclass(frozen=True)
class Done:
    """A tool that has come to its end.

    Attributes:
        status: its exit status; 128 more than its number for a signal;
            `TOO_LONG` if it was stopped.
        output: its stdout and stderr, without bytes that are no UTF-8.
        limit_s: seconds that it was given.
    """

    status: int
    output: str
    limit_s: float

    @property
    def cause(self) -> str:
        """The reason why it failed: its limit, a signal, or its exit status and what it said."""
        if self.status == TOO_LONG:
            return (
                f"it was stopped after {self.limit_s:g} seconds; SSM_HDL_LIMIT_S sets another limit"
            )
        if self.status > 128:
            names = {int(one): one.name for one in signal.Signals}
            return f"it was ended by {names.get(self.status - 128, self.status - 128)}"
        lines = self.output.splitlines()
        traced = next((k for k, line in enumerate(lines) if line.startswith("Traceback ")), None)
        # Before a traceback is what the tools said that Python called.
        said = self.output if traced is None else " ".join([*lines[:traced], lines[-1]])
        return f"exit status {self.status}: {brief(said, _SAID) or 'it said nothing'}"


def limit() -> float:
    """Seconds that a tool may run.

    Raises:
        SsmHdlError: the environment variable is no number.
    """
    text = os.environ.get("SSM_HDL_LIMIT_S", str(LIMIT_S))
    try:
        return float(text)
    except ValueError as error:
        raise SsmHdlError(
            f"SSM_HDL_LIMIT_S is {brief(text)!r}; it is a number of seconds"
        ) from error


def run(
    command: Sequence[str | Path],
    log: Path,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    script: str = "",
    errors: Path | None = None,
    limit_s: float | None = None,
) -> Done:
    """Run a command to its end. It ends earlier if this process does, with all that it has started.

    Args:
        command: program and arguments.
        log: file that takes its output while it runs.
        folder: where it runs and keeps its temporary files; None is here.
        environment: its environment variables; this process's if None.
            Its caches go to `cache_folder`.
        script: its standard input.
        errors: file that takes its stderr, if that is not to be in the log.
        limit_s: seconds that it may run, if less than `limit`.

    Raises:
        SsmHdlError: it cannot be started.
        OSError: the log cannot be written.
    """
    limit_s = min(limit(), limit_s or limit())
    variables = {
        **(os.environ if environment is None else environment),
        "XDG_CACHE_HOME": str(cache_folder()),
    }
    if folder is not None:  # so that they go with the folder, and have no blank in their names
        variables |= {"TMPDIR": ".", "TEMP": ".", "TMP": "."}
    words = [str(word) for word in command]
    read, write = os.pipe()
    lifeline = os.fdopen(write, "wb", 0)
    options: dict[str, Any] = {}
    if os.name == "posix":  # elsewhere a child may outlive its parent
        words = [sys.executable, "-I", "-S", guard.__file__, str(read), *words]
        options = {"pass_fds": (read,), "process_group": 0}
    try:
        with log.open("wb") as out, open(errors or os.devnull, "wb") as err:  # noqa: PTH123 - the null device of any system
            child = subprocess.Popen(
                words, cwd=folder, env=variables, stdin=subprocess.PIPE, stdout=out,
                stderr=err if errors else subprocess.STDOUT, **options,
            )  # fmt: skip
            try:
                with _stoppable(lifeline.close if os.name == "posix" else child.kill):
                    child.communicate(script.encode(), limit_s)
                status = child.returncode
            except subprocess.TimeoutExpired:
                status = TOO_LONG
            finally:
                lifeline.close()  # the guard ends what still runs
                child.wait() if os.name == "posix" else child.kill()
    except (FileNotFoundError, PermissionError) as error:
        raise SsmHdlError(f"{words[0]} cannot be started: {error.strerror}") from error
    finally:
        os.close(read)
        lifeline.close()
    done = Done(status, log.read_text(encoding="utf-8", errors="replace"), limit_s)
    for path in (log, errors or log) if status else ():  # a full disk fails here too, and says so
        with path.open("ab") as out:
            out.write(b"\n")
    return done


class _Stops:
    """What ends the tools that some threads run, and those that they are about to run."""

    def __init__(self) -> None:
        self.lock, self.stops, self.ended = threading.Lock(), set[Callable[[], None]](), False

    def end(self) -> None:
        with self.lock:
            self.ended = True
            for stop in self.stops:
                stop()


_thread = threading.local()


@contextmanager
def _stoppable(stop: Callable[[], None]) -> Iterator[None]:
    """``stop`` ends what this thread runs, if it is one of `side_by_side`."""
    stops = getattr(_thread, "stops", None) or _Stops()
    with stops.lock:
        stops.stops.add(stop)
        if stops.ended:
            stop()
    try:
        yield
    finally:
        with stops.lock:
            stops.stops.discard(stop)


@contextmanager
def side_by_side(jobs: int, calls: Sequence[Callable[[], T]]) -> Iterator[Iterator[T]]:
    """The results of calls in their order, whichever ends first.

    At the end of the context, and of this process, what still runs is ended,
    and what has not begun does not begin.

    Args:
        jobs: threads that make calls, whose work is done by tools (`run`).
            One alone makes a call when its result is asked for.
        calls: the calls.
    """
    if jobs == 1:
        yield (call() for call in calls)
        return
    stops = _Stops()
    with ThreadPoolExecutor(jobs, initializer=lambda: setattr(_thread, "stops", stops)) as executor:
        futures = [executor.submit(call) for call in calls]
        try:
            yield (future.result() for future in futures)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
            stops.end()


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
        name: signal.signal(name, lambda number, frame: caught.append(number)) for name in _ends()
    }
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
        for number in caught[:1]:
            signal.raise_signal(number)


def _ends() -> list[signal.Signals]:
    """The signals that end this process, without the ignored ones, as of nohup."""
    names = [
        getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
    ]
    return [name for name in names if signal.getsignal(name) is not signal.SIG_IGN]


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

    names = _ends()
    before = {name: signal.signal(name, end) for name in names}
    try:
        yield
    except Ended as ended:
        print(f"ssm-hdl: ended by {ended}", file=sys.stderr, flush=True)
        # of their semaphores, pools give those back that nobody holds any more
        traceback.clear_frames(ended.__traceback__)
        gc.collect()
        signal.signal(ended.number, signal.SIG_DFL)
        os.kill(os.getpid(), ended.number)
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
