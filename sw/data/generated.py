"""Data sets that a program generates once and then reads from a file."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.files import write_atomically
from ssm_hdl.samples import UNLABELLED
from ssm_hdl.sw.data.arrays import read
from ssm_hdl.sw.data.dataset import Dataset, InputSpec, Split

Advance = Callable[[int], None]
"""Called with the number of samples made since the last call."""

Samples = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Codes (n, steps, 1) and labels (n,) or (n, steps)."""

TOKENS = 2**24
"""Most tokens of a part whose samples are longer than usual."""


def fewer(sizes: tuple[int, int, int], steps: int) -> tuple[int, int, int]:
    """Samples of the three parts if they are longer than usual: no part takes more memory than 2^24 tokens."""
    first, second, third = (min(size, max(1, TOKENS // steps)) for size in sizes)
    return first, second, third


def uniform(source: random.Random, count: int, below: int) -> NDArray[np.uint8]:
    """Random numbers (count,) from 0 up to, but without, ``below``, which is 256 at most."""
    return (np.frombuffer(source.randbytes(2 * count), np.uint16).astype(np.uint32) * below >> 16).astype(np.uint8)


def load(
    spec: InputSpec,
    sizes: tuple[int, int, int],
    make: Callable[..., Samples],
    folder: Path | str | None,
    seed: int,
    progress: bool,
) -> Dataset:
    """Read a data set from its file, which is generated first where it is missing.

    Args:
        spec: description of a sample.
        sizes: samples for training, validation and test.
        make: generates a number of samples, the same ones every time; called with the count, ``seed`` and ``progress``.
        folder: of the file; ``data/NAME`` if None.
        seed: of the samples; the files of others than 0 are in a folder each.
        progress: show a progress bar while they are made.

    Raises:
        SsmHdlError: the file is damaged or holds another data set, or it cannot be written.
    """
    total = sum(sizes)
    # The name holds steps and count, so that other sizes get files of their own.
    where = Path(folder or Path("data") / spec.name) / (f"seed-{seed}" if seed else "")
    path = where / f"{spec.name}-{spec.steps}-{total}.npz"
    if not path.is_file():
        with _bar(spec.name, total, progress) as advance:
            codes, labels = make(total, seed=seed, progress=advance)
        buffer = BytesIO()
        np.savez_compressed(buffer, codes=codes, labels=labels)
        write_atomically(path, buffer.getvalue())
    codes, labels = _read(path, spec, total)
    first, second = sizes[0], sizes[0] + sizes[1]
    parts = (slice(first), slice(first, second), slice(second, total))
    train, val, test = (Split(codes[part], labels[part]) for part in parts)
    return Dataset(**asdict(spec), train=train, val=val, test=test)


def _read(path: Path, spec: InputSpec, total: int) -> Samples:
    """Read samples from a file and check their shapes and ranges."""
    try:
        arrays = read(path)
    except SsmHdlError as error:
        raise SsmHdlError(f"{error}; delete it, and it is made again") from error
    codes, labels = (arrays.get(name, np.zeros(0)) for name in ("codes", "labels"))
    shape, labelled = (total, spec.steps, 1), (total, spec.steps)[: 1 + spec.per_step]
    fits = codes.shape == shape and codes.dtype == np.uint8 and labels.shape == labelled and labels.dtype == np.int64
    if not fits or labels.min() < (UNLABELLED if spec.per_step else 0) or labels.max() >= spec.classes:
        raise SsmHdlError(f"{path} holds other samples than {total} of {spec.name}; delete it, and it is made again")
    return codes, labels


@contextmanager
def _bar(name: str, total: int, progress: bool) -> Iterator[Advance]:
    """A progress bar while samples are made."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, disable=not progress) as bar:
        task = bar.add_task(f"making {name}", total=total)
        yield lambda done: bar.advance(task, done)
