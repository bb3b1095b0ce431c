"""Tools as child processes: the one place where they start, and none outlives its parent."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
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
