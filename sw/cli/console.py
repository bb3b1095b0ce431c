"""Shared by the commands: results on stdout, progress and messages on stderr,
and checks before long work."""

import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ssm_hdl.errors import SsmHdlError, UsageError, brief
from ssm_hdl.extras import need
from ssm_hdl.files import cannot_write
from ssm_hdl.sw.progress import Lines, bar, messages

if TYPE_CHECKING:
    from numpy.typing import NDArray

Json = Annotated[
    bool, typer.Option("--json", help="Answer in JSON on stdout, and with nothing else there.")
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="FOLDER|FILE",
        help="Your own samples in an .npz file, or a text (docs/data.md); or the folder of MNIST, "
        "HAPT or a generated set.",
    ),
]
Window = Annotated[
    int | None,
    typer.Option(min=1, metavar="STEPS", help="Windows that a recording or a text is cut into."),
]
Jobs = Annotated[
    int,
    typer.Option(
        min=1,
        help="Seeds of place and route that are tried side by side, on as many cores; "
        "the result is the same.",
    ),
]
Cluster = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Dask scheduler, such as tcp://host:8786, whose workers do it (docs/robustness.md).",
    ),
]
Hop = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="STEPS",
        help="From one window of the training part to the next; a window if left out.",
    ),
]

STDOUT = {"/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"}
"""Files that are stdout."""

Seed = typer.Option(
    min=0, max=2**31 - 1, help="Of all that is random: weights, order, samples, stalls, proposals."
)


def need_writable(path: Path) -> None:
    """Refuse to begin long work whose result cannot be written.

    Raises:
        SsmHdlError: ``path`` is a folder, or its folder cannot be written.
    """
    # a device or a pipe, which is written through
    if path.exists() and not path.is_file() and not path.is_dir():
        return
    # The folder may not exist yet: the nearest existing one decides.
    above = next(parent for parent in path.absolute().parents if parent.exists())
    if path.is_dir() or not above.is_dir() or not os.access(above, os.W_OK):
        raise SsmHdlError(f"cannot write {path}; choose another place")


def need_apart(option: str, path: Path | None, *others: Path) -> None:
    """Refuse to write over a file that the same command reads or writes.

    Raises:
        UsageError: ``path``, of the option, is one of the others.
    """
    if path is not None and any(
        path == other or (path.exists() and other.exists() and path.samefile(other))
        for other in others
    ):
        raise UsageError(
            f"{option} {path} is a file that this command reads or writes itself; name another"
        )


def inputs_of(manifest: Path, kind: str, *others: Path | str | None) -> list[Path]:
    """What a command reads: the files of a manifest or a build in its folder, and others,
    of those that it was given.

    Args:
        manifest: the manifest or its folder.
        kind: ending of what the command writes; such files in the folder are earlier results,
            which may be written again.
        others: more files.
    """
    folder = manifest if manifest.is_dir() else manifest.parent
    beside = (file for file in folder.iterdir() if file.is_file() and file.suffix != kind)
    return [manifest, *beside, *(Path(other) for other in others if other)]


def need_picture(path: Path | None) -> None:
    """Refuse to begin without what draws a picture into ``path``, if there is one.

    Raises:
        SsmHdlError: matplotlib is not installed, the file is of no kind that can be drawn,
            or cannot be written.
    """
    if path is not None:
        need("matplotlib")
        from ssm_hdl.sw.figures import check

        check(path)
        need_writable(path)


def need_device(device: str) -> None:
    """Refuse to begin on a device that torch does not have.

    Raises:
        UsageError: torch has no such device, or it does not work.
    """
    import torch

    try:
        torch.zeros(1, device=device).item()  # the only test that sees a missing driver too
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = brief(str(error), 200)
        raise UsageError(
            f"torch cannot use the device {device!r}: {reason}; leave --device out for the CPU"
        ) from error


def show(as_json: bool, answer: Mapping[str, Any], *tables: RenderableType) -> None:
    """Print the answer of a command: as JSON, or as tables. It goes to stdout,
    or to stderr where stdout took one of its files.

    Raises:
        SsmHdlError: stdout cannot be written.
    """
    out = (
        sys.stderr
        if STDOUT & {value for value in answer.values() if isinstance(value, str)}
        else sys.stdout
    )
    with answering():
        if as_json:
            print(json.dumps(answer, indent=2), file=out)
        else:
            # In a pipe, rich would cut tables to 80 columns.
            wide = None if out.isatty() or "COLUMNS" in os.environ else 120
            console = Console(width=wide, file=out, markup=False)  # names may have brackets
            # itself it would end this process where a reader has ended
            with console.capture() as text:
                console.print(*tables, sep="\n")
            shown = text.get()
            if not out.isatty():  # rich pads every line to the widest
                shown = "\n".join(line.rstrip(" ") for line in shown.split("\n"))
            print(shown, end="", file=out)
        out.flush()


@contextmanager
def answering() -> Iterator[None]:
    """Print to stdout.

    Raises:
        SsmHdlError: stdout cannot be written.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # Python would complain of it once more at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise cannot_write("the answer to stdout", error) from error


@contextmanager
def progress(description: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, or lines where that is no terminal. It yields a function that takes
    the work done since the last call."""
    with bar(description, total, messages(), transient=True) as done:
        yield done.advance


@contextmanager
def working(name: str, keep: bool = False) -> Iterator[Callable[[str], None]]:
    """What a command is at, with the elapsed time, where its work cannot be counted;
    it yields a function that takes it.

    On a terminal it is a line that stays up to date. Elsewhere it is a line now and then,
    or for everything if they are kept.

    Args:
        name: what is worked at.
        keep: a line for everything, which stays.
    """
    console, lines = messages(), Lines()
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_interactive
    ) as bar:
        task = bar.add_task(name, total=None)

        def tell(what: str) -> None:
            bar.update(task, description=f"{name}: {what}")
            line = what
            if not keep:
                if console.is_interactive or (elapsed := lines.due()) is None:
                    return
                line = f"{name}: {elapsed:3.0f} s, {what}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)

        yield tell


def save_array(path: Path, array: "NDArray[Any]") -> Path:
    """Write an array as .npy."""
    import numpy as np

    from ssm_hdl.files import write_atomically

    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return write_atomically(path, buffer.getvalue())


def table(*columns: str) -> Table:
    """An empty table. A column whose heading starts with ``>`` is aligned to the right;
    wide cells are folded, never cut."""
    grid = Table(
        box=box.SIMPLE_HEAD,
        header_style="bold",
        padding=(0, 1),
        collapse_padding=True,
        show_edge=False,
        pad_edge=False,
    )
    for column in columns:
        right = column.startswith(">")
        grid.add_column(
            column.removeprefix(">"), justify="right" if right else "left", overflow="fold"
        )
    return grid


def in_words(answer: Mapping[str, Any]) -> dict[str, object]:
    """An answer with its scores as people read them: an accuracy in percent, and `F1`."""
    from ssm_hdl.sw.score import TITLES, score_text

    words = dict[str, object]()
    for key, value in answer.items():
        name = key.removeprefix("val_").removeprefix("test_").removesuffix("_before")
        if name in TITLES and isinstance(value, float):
            words[key.replace(name, TITLES[name]).replace("_", " ")] = score_text(name, value)
        else:
            words[key] = value
    return words


def facts(title: str, rows: Mapping[str, object]) -> RenderableType:
    """A heading, and below it names and values."""
    grid = Table.grid(padding=(0, 3))
    for name, value in rows.items():
        grid.add_row(f"  {name}", Text(str(value)))
    return Group(Text(title, style="bold"), grid)
