"""Data sets as sequences of integer codes: the model is trained on the same codes that
the hardware takes."""

from pathlib import Path

from ssm_hdl.errors import UsageError
from ssm_hdl.sw.data import (
    copying,
    digits,
    generated,
    hapt,
    induction,
    listops,
    mnist,
    npz,
    pathfinder,
    text,
)
from ssm_hdl.sw.data.dataset import Dataset, InputSpec, Split

_MODULES = (digits, mnist, listops, pathfinder, induction, copying, hapt)
SPECS: dict[str, InputSpec] = {module.SPEC.name: module.SPEC for module in _MODULES}
"""The samples of each data set, described without their data."""

_GENERATED: dict[str, generated.Source] = {
    "listops": listops,
    "pathfinder": pathfinder,
    "induction": induction,
    "copying": copying,
}

__all__ = ["SPECS", "Dataset", "InputSpec", "Split", "is_file", "load", "load_for"]


def is_file(path: Path) -> bool:
    """Whether it is a file with samples, an .npz file or a text, by its name."""
    return path.suffix == ".npz" or text.is_text(path)


def load(
    name: str,
    folder: Path | str | None = None,
    progress: bool = False,
    window: int | None = None,
    hop: int | None = None,
) -> Dataset:
    """The data set ``name``.

    Args:
        name: ``digits`` (comes with scikit-learn), ``mnist``, ``hapt``, one that is generated
            (``listops``, ``pathfinder``, ``induction``, ``copying``), an .npz file,
            or a text (.txt or .txt.gz).
        folder: of the files of MNIST or HAPT, or of a generated data set. Without it, files are in
            ``data/NAME``, downloaded or generated there first where they are missing.
            An .npz file or a text replaces the data set.
        progress: show a progress bar while downloading or generating.
        window: steps of the windows that a recording or a text is cut into,
            or of a sequence of ``induction`` or ``copying``.
        hop: steps from one window to the next.

    Raises:
        SsmHdlError: no such data set, or its files are missing or damaged.
    """
    path = Path(folder or name)
    if folder or name not in SPECS:
        _refuse_other(path)
    if hapt.is_kept(path) or (name == "hapt" and path.suffix != ".npz"):
        return hapt.load(path if folder or path.suffix == ".npz" else None, progress, window, hop)
    if path.suffix == ".npz":
        return npz.load(path, None, window, hop)
    if text.is_text(path):
        return text.load(path, None, window, hop)
    if name in ("induction", "copying") and not hop:
        return generated.load(_GENERATED[name], folder, progress, window)
    if window or hop:
        raise UsageError(
            f"--window and --hop cut a recording in an .npz file; {name} has sequences already"
        )
    if name in _GENERATED:
        return generated.load(_GENERATED[name], folder, progress)
    if name == "mnist":
        return mnist.load(folder, progress)
    if name != "digits":
        raise UsageError(
            f"no data set is called {name!r}; there are {', '.join(sorted(SPECS))}, "
            "or give an .npz file or a text"
        )
    if folder is not None:
        raise UsageError(
            f"digits comes with scikit-learn and is not read from {folder}; leave the folder out"
        )
    return digits.load()


def _refuse_other(path: Path) -> None:
    if path.is_file() and not is_file(path):
        raise UsageError(
            f"{path} is no .npz file; read it in Python and write x and y with numpy.savez "
            "(docs/data.md)"
        )


def load_for(
    inputs: InputSpec,
    data: Path | str | None = None,
    progress: bool = False,
    window: int | None = None,
) -> Dataset:
    """Samples for a model, checked to be of the kind that it was trained on.

    Args:
        inputs: what it was trained on.
        data: folder of that data set, an .npz file, or a text.
        progress: show a progress bar while downloading or generating.
        window: as in `load`; the model's if None.

    Raises:
        SsmHdlError: there are no such samples, or they differ from what the model was trained on.
    """
    _refuse_other(Path(data or ""))
    if data is not None and Path(data).suffix == ".npz" and not hapt.is_kept(Path(data)):
        return npz.load(data, inputs, window)
    if data is not None and text.is_text(Path(data)):
        return text.load(data, inputs, window)
    if inputs.name not in SPECS:
        like = "FILE.txt" if inputs.is_text else "FILE.npz"
        raise UsageError(
            f"the model was trained on {inputs.name}; name that file, or one like it, "
            f"with --data {like}"
        )
    dataset = load(inputs.name, data, progress, window)
    dataset.check_fits(inputs)
    return dataset
