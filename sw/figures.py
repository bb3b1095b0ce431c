"""The colours of figures, and how they are written."""

import io
from pathlib import Path

from matplotlib.figure import Figure

from ssm_hdl.files import write_atomically

INK, FAINT, GRID, ACCENT = "#1f2933", "#7b8794", "#e4e7eb", "#9a3b52"


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return write_atomically(path, buffer.getvalue())
