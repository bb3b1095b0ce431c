"""What all figures share: colours, axes without a frame,
and files that are written whole or not at all."""

import io
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssm_hdl.errors import UsageError
from ssm_hdl.files import write_atomically

INK, FAINT, GRID, ACCENT = "#1f2933", "#7b8794", "#e4e7eb", "#9a3b52"

SUFFIXES = (".svg", ".png", ".pdf")


def check(path: Path) -> None:
    """Refuse a file whose ending is none of `SUFFIXES`.

    Raises:
        UsageError: it has another ending.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(
            f"cannot draw into {path}; give it one of the endings {', '.join(SUFFIXES)}"
        )


def save(figure: Figure, path: Path, **options: Any) -> Path:
    """Write a figure in the format of the file's ending, with more options of matplotlib.

    Raises:
        SsmHdlError: the ending is none of `SUFFIXES`, or the file cannot be written.
    """
    check(path)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=path.suffix[1:], **{"dpi": 130} | options)
    return write_atomically(path, buffer.getvalue())


def svg(figure: Figure) -> str:
    """A figure as the text of an SVG element, the same every time."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def plain(ax: Axes) -> None:
    """Axes with a grid below the data, and without the frame above and on the right."""
    ax.grid(color=GRID, lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
