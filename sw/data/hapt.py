"""HAPT: 30 people with a smartphone at the waist, six channels at 50 Hz,
an activity or a postural transition for each step.

UCI, "Smartphone-Based Recognition of Human Activities and Postural Transitions" (Reyes-Ortiz et
al.), CC BY 4.0. Its text files:

| file | a line of it |
|---|---|
| ``RawData/acc_exp01_user01.txt`` | acceleration in g, three axes |
| ``RawData/gyro_exp01_user01.txt`` | turn rate in rad/s, three axes |
| ``RawData/labels.txt`` | experiment, user, class from 1, first and last step |

They are read from their folder. A download is kept as ``hapt.npz``, which is read where it is:
``codes`` (n, 6) as the sensor gave them, ``label`` (n,) from 1, 0 for none, ``user`` (n,)
and ``recording`` (n,).
"""

import io
import math
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.errors import SsmHdlError, brief
from ssm_hdl.files import write_atomically
from ssm_hdl.fixed import SQ
from ssm_hdl.sw.data import arrays as files
from ssm_hdl.sw.data import npz
from ssm_hdl.sw.data.dataset import Dataset, InputSpec
from ssm_hdl.sw.data.download import fetch

ACTIVITIES = ("walking", "upstairs", "downstairs", "sitting", "standing", "laying")
TRANSITIONS = (
    "stand-to-sit",
    "sit-to-stand",
    "sit-to-lie",
    "lie-to-sit",
    "stand-to-lie",
    "lie-to-stand",
)

SPEC = InputSpec(
    "hapt",
    "SQ(16, 0)",
    mean=(583.0, -5.0, 64.0, 37.0, -20.0, -31.0),
    std=(290.0, 270.0, 270.0, 1906.0, 1563.0, 1161.0),
    steps=4096,
    classes=12,
    per_step=True,
    rate=50.0,
    class_names=ACTIVITIES + TRANSITIONS,
    channel_names=("acc-x", "acc-y", "acc-z", "gyro-x", "gyro-y", "gyro-z"),
)
"""A code is what the sensor gives. Windows of 82 s are long enough to see how
somebody came to sit."""

HOP = 2048
"""Steps from one window of the training part to the next."""

SCALES = {"acc": 1 / 720, "gyro": math.radians(0.0175)}
"""Value of a code, by the name of a text file: g, and rad/s (17.5 thousandths of a degree)."""

TEST = (2, 4, 9, 10, 12, 13, 18, 20, 24)
"""Users of the test part, as usual."""

VALIDATION = (5, 16, 27)
"""Users that choose the epoch."""

FOLDER = Path("data/hapt")
"""Default folder, also for the download."""

URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/00341/HAPT%20Data%20Set.zip"
"""Source of the download."""

FILE = "hapt.npz"
"""What a download is kept as."""

ARRAYS = ("codes", "label", "user", "recording")
"""What that holds."""

Array = NDArray[Any]


def load(
    folder: Path | str | None = None,
    progress: bool = False,
    window: int | None = None,
    hop: int | None = None,
    url: str = URL,
) -> Dataset:
    """HAPT, cut into windows. No user is in two parts.

    Args:
        folder: of the text files, or of ``hapt.npz``. Without it ``data/hapt/hapt.npz``,
            made of a download where missing.
        progress: show a progress bar while downloading.
        window: steps of a window; 4096 if None. A window of 40,000 steps holds the
            longest recording.
        hop: steps from one window of the training part to the next; 2048 if None.
            Others never overlap.
        url: of the download.

    Raises:
        SsmHdlError: a file is missing, cannot be downloaded, or is damaged.
    """
    path = Path(folder or FOLDER)
    file = path if path.name == FILE else path / FILE
    if file.is_file():
        arrays = files.read(file)
        if missing := [name for name in ARRAYS if name not in arrays]:
            raise SsmHdlError(
                f"{file} has no array {missing[0]}; name the folder of the text files with --data"
            )
    elif folder is None:
        arrays = download(file, progress, url)
    else:
        arrays = parse(path)
    user = arrays["user"]
    given = {
        "x": arrays["codes"],
        "y": arrays["label"].astype(np.int64) - 1,
        "split": np.where(np.isin(user, TEST), 2, np.isin(user, VALIDATION)),
        "recording": arrays["recording"],
    }
    window = window or SPEC.steps
    return npz.prepare(path, given, SPEC, window, hop or min(HOP, window))


def is_kept(path: Path) -> bool:
    """Whether a file is a download that was kept; a file of somebody's own may have the same name,
    and has ``x``."""
    return path.name == FILE and "x" not in files.read(path)


def download(file: Path, progress: bool = False, url: str = URL) -> dict[str, Array]:
    """Fetch the archive of UCI, and keep its recordings in a file of NumPy.

    Raises:
        SsmHdlError: no network, or another archive.
    """
    instead = "put RawData of UCI's HAPT into a folder and name that with --data"
    try:
        archive = zipfile.ZipFile(io.BytesIO(fetch(url, "HAPT", instead, progress)))
        labels = [name for name in archive.namelist() if name.endswith("RawData/labels.txt")]
        if not labels:
            raise zipfile.BadZipFile("there is no RawData/labels.txt")
        arrays = parse(zipfile.Path(archive, labels[0].removesuffix("labels.txt")))
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise SsmHdlError(f"{url} is not the archive of HAPT: {error}; {instead}") from error
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **dict[str, Any](arrays))
    write_atomically(file, buffer.getvalue())
    return arrays


def parse(folder: Path | zipfile.Path) -> dict[str, Array]:
    """The arrays of all recordings, from UCI's text files in a folder or in its ``RawData``.

    Raises:
        SsmHdlError: a file is missing, or a line is not as it should be.
    """
    if (folder / "RawData").is_dir():
        folder = folder / "RawData"
    labels = _numbers(folder / "labels.txt", 5, np.int64)
    recordings, columns = (
        np.unique(labels[:, :2], axis=0).tolist(),
        dict[str, list[Array]]({name: [] for name in ARRAYS}),
    )
    for experiment, user in recordings:
        name = f"exp{experiment:02}_user{user:02}.txt"
        sensors = [
            _numbers(folder / f"{sensor}_{name}", 3) / scale for sensor, scale in SCALES.items()
        ]
        steps = len(sensors[0])
        if len(sensors[1]) != steps:
            raise SsmHdlError(
                f"{folder}: acc_{name} has {steps:,} lines and gyro_{name} {len(sensors[1]):,}; "
                "get them again"
            )
        codes, label = np.rint(np.concatenate(sensors, 1)), np.zeros(steps, np.int64)
        if not (np.abs(codes + 0.5) < -SQ(16, 0).min).all():
            raise SsmHdlError(
                f"{folder}: {name} of acc or gyro has values beyond the 16 bits of the sensor; "
                "get it again"
            )
        for _, _, kind, first, last in labels[
            (labels[:, :2] == (experiment, user)).all(1)
        ].tolist():
            if not (1 <= kind <= SPEC.classes and 0 <= first <= last < steps):
                raise SsmHdlError(
                    f"{folder / 'labels.txt'}: class {kind}, steps {first} to {last} of {name}; "
                    f"classes are 1 to {SPEC.classes}, and it has {steps:,} steps"
                )
            label[first : last + 1] = kind
        for column, values in zip(
            ARRAYS, (codes.astype(np.int16), label, user, experiment - 1), strict=True
        ):
            columns[column].append(np.full(steps, values) if isinstance(values, int) else values)
    return {
        column: np.concatenate(parts).astype(np.int16 if column == "codes" else np.uint8)
        for column, parts in columns.items()
    }


def _numbers(
    path: Path | zipfile.Path, count: int, kind: type[np.number[Any]] = np.float64
) -> Array:
    """The lines of a text file, ``count`` finite numbers each."""
    try:
        # an empty file warns
        with (
            path.open("r", encoding="utf-8-sig") as stream,
            warnings.catch_warnings(action="ignore"),
        ):
            numbers = np.loadtxt(stream, kind, ndmin=2)
    except (OSError, KeyError) as error:
        raise SsmHdlError(
            f"cannot read {path}, one of the text files of HAPT; "
            "name the folder of its RawData with --data"
        ) from error
    except ValueError as error:
        raise SsmHdlError(f"{path} is damaged: {brief(str(error), 200)}; get it again") from error
    if numbers.shape[1:] != (count,) or not np.isfinite(numbers).all():
        raise SsmHdlError(
            f"{path} is damaged: lines of {count} finite numbers are wanted, "
            f"shape is {numbers.shape}; get it again"
        )
    return numbers
