"""``python docs/notebooks/run.py FILE``: run a notebook in the root of the repository,
and keep its outputs in it."""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]


def run(path: Path, slow: bool = True) -> nbformat.NotebookNode:
    """Run the cells of a notebook.

    Args:
        path: of the file.
        slow: run cells with the tag ``slow`` too.

    Raises:
        CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    if not slow:
        notebook.cells = [
            cell for cell in notebook.cells if "slow" not in cell.metadata.get("tags", ())
        ]
    NotebookClient(notebook, timeout=1800, resources={"metadata": {"path": str(ROOT)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of day
    return notebook


if __name__ == "__main__":
    name = Path(sys.argv[1])
    nbformat.write(run(name), name)
