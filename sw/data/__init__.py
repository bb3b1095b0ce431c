"""Data sets as sequences of integer codes: the model is trained on the same codes that the hardware takes."""

from pathlib import Path

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.data import digits, listops, mnist, pathfinder
from ssm_hdl.sw.data.dataset import Dataset, InputSpec, Split

SPECS = {spec.name: spec for spec in (digits.SPEC, mnist.SPEC, listops.SPEC, pathfinder.SPEC)}
"""The samples of each data set, described without their data."""

__all__ = ["SPECS", "Dataset", "InputSpec", "Split", "load"]


def load(name: str, folder: Path | str | None = None, progress: bool = False) -> Dataset:
    """The data set ``name``.

    Args:
        name: ``digits`` (comes with scikit-learn), ``mnist``, ``listops`` or ``pathfinder`` (both generated).
        folder: of the IDX files of MNIST, or of a generated data set. Without it, files are in ``data/NAME``, downloaded or
            generated there first where they are missing.
        progress: show a progress bar while downloading or generating.

    Raises:
        SsmHdlError: no such data set, or its files are missing or damaged.
    """
    loaders = {"mnist": mnist.load, "listops": listops.load, "pathfinder": pathfinder.load}
    if name in loaders:
        return loaders[name](folder, progress)
    if name != "digits":
        raise SsmHdlError(f"no data set is called {name!r}; there are {', '.join(sorted(SPECS))}")
    if folder is not None:
        raise SsmHdlError(f"digits comes with scikit-learn and is not read from {folder}; leave the folder out")
    return digits.load()
