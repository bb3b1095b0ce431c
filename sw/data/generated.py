"""Data sets that a program generates once and then reads from a file."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.files import write_atomically
from ssm_hdl.samples import UNLABELLED
from ssm_hdl.sw.data.arrays import read
from ssm_hdl.sw.data.dataset import Dataset, InputSpec, Split
from ssm_hdl.sw.progress import bar, messages

Advance = Callable[[int], None]
"""Called with the number of samples made since the last call."""

Samples = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Codes (n, steps, 1) and labels (n,) or (n, steps)."""

TOKENS = 2**24
"""Most tokens of a part whose samples are longer than usual."""


class Source(Protocol):
    """A module that generates samples."""

    @property
    def SPEC(self) -> InputSpec:
        """Description of a sample."""

    @property
    def SIZES(self) -> tuple[int, int, int]:
        """Samples for training, validation and test."""

    @property
    def generate(self) -> Callable[..., Samples]:
        """Generates samples, the same ones every time: of a count, with ``seed``, ``progress`` and,
        if others, ``steps``."""


def uniform(source: random.Random, count: int, below: int) -> NDArray[np.uint8]:
    """Random numbers (count,) from 0 up to, but without, ``below``, which is 256 at most."""
    return (
        np.frombuffer(source.randbytes(2 * count), np.uint16).astype(np.uint32) * below >> 16
    ).astype(np.uint8)


def load(
    source: Source,
    folder: Path | str | None = None,
    progress: bool = False,
    steps: int | None = None,
    sizes: tuple[int, int, int] | None = None,
    seed: int = 0,
) -> Dataset:
    """Read a data set from its file, which is generated first (in minutes) where it is missing.

    Args:
        source: generates the samples.
        folder: of the file; ``data/NAME`` if None.
        progress: show a progress bar while they are made.
        steps: of a sequence, if not the usual ones; no part has more than 2^24 tokens then.
        sizes: samples for training, validation and test.
        seed: another one makes other samples; the files of others than 0 are in a folder each.

    Raises:
        SsmHdlError: too few steps, or the file is damaged or holds another data set,
            or it cannot be written.
    """
    spec, counts, options = source.SPEC, tuple[int, ...](sizes or source.SIZES), dict[str, int]()
    if steps is not None:
        spec, options = replace(spec, steps=steps), {"steps": steps}
        counts = tuple(min(count, max(1, TOKENS // steps)) for count in counts)
    total = sum(counts)
    # The name holds steps and count, so that other sizes get files of their own.
    where = Path(folder or Path("data") / spec.name) / (f"seed-{seed}" if seed else "")
    path = where / f"{spec.name}-{spec.steps}-{total}.npz"
    if not path.is_file():
        with _bar(spec.name, total, progress) as advance:
            codes, labels = source.generate(total, seed=seed, progress=advance, **options)
        buffer = BytesIO()
        np.savez_compressed(buffer, codes=codes, labels=labels)
        write_atomically(path, buffer.getvalue())
    codes, labels = _read(path, spec, total)
    first, second = counts[0], counts[0] + counts[1]
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
    fits = (
        codes.shape == shape
        and codes.dtype == np.uint8
        and labels.shape == labelled
        and labels.dtype == np.int64
    )
    if (
        not fits
        or labels.min() < (UNLABELLED if spec.per_step else 0)
        or labels.max() >= spec.classes
    ):
        raise SsmHdlError(
            f"{path} holds other samples than {total} of {spec.name}; delete it, "
            "and it is made again"
        )
    return codes, labels


@contextmanager
def _bar(name: str, total: int, progress: bool) -> Iterator[Advance]:
    """A progress bar while samples are made."""
    with bar(f"making {name}", total, messages() if progress else None) as made:
        yield made.advance
