"""How far long work is: a bar on a terminal, elsewhere a line now and then."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

FIRST_S, SHARE = 5.0, 0.1
"""Seconds until the first line, and time until the next one as a share of the elapsed time:
an hour has some thirty lines."""


class _Messages(Console):
    """A console whose lines may be lost: a full disk or a reader that has ended
    ends no work of hours."""

    def on_broken_pipe(self) -> None:
        self.quiet = True  # itself it would close stdout and end this process

    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
        except OSError:
            self.quiet = True


def messages() -> Console:
    """The console of progress and messages: stderr.

    In a file it has no colours and no bars, whatever FORCE_COLOR and TTY_INTERACTIVE ask of
    answers. A terminal that cannot move its cursor, TERM=dumb, has no bars either.
    """
    isatty = getattr(sys.stderr, "isatty", None)  # consoles of editors may have none
    terminal = isatty is not None and isatty()
    return _Messages(
        stderr=True,
        force_terminal=terminal,
        force_interactive=None if terminal else False,
        markup=False,  # names and paths may have brackets
    )


class Lines:
    """Says when the next line is due, where there is no terminal."""

    def __init__(self) -> None:
        self.began = self.said = time.monotonic()

    def due(self) -> float | None:
        """Elapsed seconds if a line is due now."""
        now = time.monotonic()
        if now - self.said < max(FIRST_S, SHARE * (now - self.began)):
            return None
        self.said = now
        return now - self.began


class Bar:
    """Work of a known size, or of an unknown one, on a console."""

    def __init__(self, bar: Progress, description: str, total: int | None, done: int) -> None:
        self._bar, self._lines = bar, Lines()
        self._task = bar.add_task(description, total=total, completed=done)

    def advance(self, done: int = 1) -> None:
        """So much more is done."""
        self._bar.advance(self._task, done)
        self._tell()

    def describe(self, description: str) -> None:
        """What is worked at from now on."""
        self._bar.update(self._task, description=description)
        self._tell()

    def _tell(self) -> None:
        console = self._bar.console
        if console.is_interactive or (elapsed := self._lines.due()) is None:
            return
        task = self._bar.tasks[0]
        done = f"{task.completed:,.0f}" + (f" of {task.total:,.0f}" if task.total else "")
        line = f"{task.description}: {done}, {elapsed:.0f} s"
        console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def bar(
    description: str,
    total: int | None,
    console: Console | None,
    *,
    done: int = 0,
    counts: ProgressColumn | None = None,
    transient: bool = False,
) -> Iterator[Bar]:
    """Show how far a work is.

    Args:
        description: what is worked at.
        total: all that there is to do, if that is known.
        console: where; nowhere if None.
        done: what had been done before.
        counts: how the bar writes what is done; as two numbers if None.
        transient: the bar vanishes at its end.
    """
    shown = console or Console(quiet=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        counts or MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=shown, transient=transient, disable=not shown.is_interactive
    ) as progress:
        yield Bar(progress, description, total, done)
