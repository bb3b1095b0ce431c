"""MNIST: 28 x 28 pixels, read in row order as sequences of 784 steps, from a folder of IDX files,
gzipped or plain.

IDX (yann.lecun.com/exdb/mnist), all big-endian: a 32-bit magic number,
0x0800 + d for bytes in d dimensions; d sizes of 32 bits; the bytes.
"""

import gzip
import hashlib
import math
import struct
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.files import write_atomically
from ssm_hdl.sw.data.dataset import Dataset, InputSpec, Split
from ssm_hdl.sw.data.download import fetch

SPEC = InputSpec(
    "mnist",
    "UQ(0, 8)",
    mean=(0.1307 * 255 / 256,),
    std=(0.3081 * 255 / 256,),
    steps=784,
    classes=10,
)
"""A code is a byte with the value byte / 256. The usual mean 0.1307 and std 0.3081
refer to byte / 255."""

VALIDATION = 5000
"""Samples at the end of the training files that choose the best epoch."""

FOLDER = Path("data/mnist")
"""Default folder of the files, also for downloads."""

URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
"""Source of the downloads."""


class IdxFile(NamedTuple):
    """One of the four files: its name, the SHA-256 of its plain form (gzipped copies differ),
    and the shape of its array."""

    name: str
    sha256: str
    shape: tuple[int, ...]


FILES = (
    IdxFile(
        "train-images-idx3-ubyte",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        (60000, 28, 28),
    ),
    IdxFile(
        "train-labels-idx1-ubyte",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        (60000,),
    ),
    IdxFile(
        "t10k-images-idx3-ubyte",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        (10000, 28, 28),
    ),
    IdxFile(
        "t10k-labels-idx1-ubyte",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        (10000,),
    ),
)


def load(folder: Path | str | None = None, progress: bool = False) -> Dataset:
    """MNIST as 55,000 training, 5,000 validation and 10,000 test samples.

    Args:
        folder: of the four files. Without it they are in ``data/mnist``,
            and are downloaded there when missing.
        progress: show a progress bar while downloading.

    Raises:
        SsmHdlError: a file is missing, cannot be downloaded, or is not the IDX file it should be.
    """
    if folder is None:
        folder = FOLDER
        download(folder, progress)
    train_images, train_labels, test_images, test_labels = (
        _read(Path(folder), file) for file in FILES
    )
    train, test = _split(train_images, train_labels), _split(test_images, test_labels)
    last = len(train) - VALIDATION
    val = Split(train.codes[last:], train.labels[last:])
    return Dataset(**asdict(SPEC), train=train.head(last), val=val, test=test)


def download(folder: Path | str = FOLDER, progress: bool = False, url: str = URL) -> None:
    """Fetch the files that ``folder`` has neither gzipped nor plain. A file is checked,
    then written whole.

    Raises:
        SsmHdlError: no network, or the checksum of a file is wrong.
    """
    for file in FILES:
        if _find(Path(folder), file) is None:
            write_atomically(Path(folder) / f"{file.name}.gz", _fetch(url, file, progress))


def _fetch(url: str, file: IdxFile, progress: bool) -> bytes:
    """Download a gzipped file and check the checksum of its contents."""
    address = f"{url}{file.name}.gz"
    instead = (
        f"put {', '.join(f'{one.name}.gz' for one in FILES)} into a folder and name it with --data"
    )
    received = fetch(address, file.name, instead, progress)
    try:
        digest = hashlib.sha256(gzip.decompress(received)).hexdigest()
    except (OSError, EOFError, zlib.error) as error:
        raise SsmHdlError(f"cannot download {address}: {error}; {instead}") from error
    if digest != file.sha256:
        raise SsmHdlError(
            f"{address} holds other data (SHA-256 {digest}) than {file.name} ({file.sha256}); "
            "get the files elsewhere and name their folder with --data"
        )
    return received


def _find(folder: Path, file: IdxFile) -> Path | None:
    """The gzipped or the plain file, if there is one."""
    paths = (folder / f"{file.name}.gz", folder / file.name)
    return next((path for path in paths if path.is_file()), None)


def _read(folder: Path, file: IdxFile) -> NDArray[np.uint8]:
    """Read one IDX file as an array of its shape."""
    path = _find(folder, file)
    if path is None:
        raise SsmHdlError(
            f"{folder} has no {file.name}.gz and no {file.name}, one of the four IDX files of "
            "MNIST; name their folder with --data, "
            f"or leave --data out to download them to {FOLDER}"
        )
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise SsmHdlError(f"cannot read {path}: {error}; get the file again") from error
    header = struct.pack(f">{1 + len(file.shape)}I", 0x800 + len(file.shape), *file.shape)
    if data[: len(header)] != header:
        raise SsmHdlError(
            f"{path} starts with {data[: len(header)].hex()}, the IDX header of {file.name} is "
            f"{header.hex()} (bytes of shape {file.shape}); get the file again"
        )
    if len(data) != len(header) + math.prod(file.shape):
        raise SsmHdlError(
            f"{path} has {len(data)} bytes, IDX of shape {file.shape} has "
            f"{len(header) + math.prod(file.shape)}; the file is cut off or has more appended; "
            "get it again"
        )
    return np.frombuffer(data, np.uint8, offset=len(header)).reshape(file.shape)


def _split(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> Split:
    """Images as sequences, with their labels checked."""
    if labels.max() >= SPEC.classes:
        raise SsmHdlError(
            f"a label of MNIST is {labels.max()}, the largest is {SPEC.classes - 1}; "
            "get the label files again"
        )
    return Split(images.reshape(len(images), SPEC.steps, 1), labels.astype(np.int64))
