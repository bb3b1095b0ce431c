"""The interface of every data set."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.samples import UNLABELLED, InputSpec

Batch = tuple[NDArray[np.intp], NDArray[np.integer]]
"""Indices of sequences, and their codes."""

__all__ = ["UNLABELLED", "Batch", "Dataset", "InputSpec", "Split"]


@dataclass(frozen=True)
class Split:
    """A part of a data set.

    Attributes:
        codes: input codes (n, steps, channels), integers.
        labels: classes (n,) or (n, steps), int64, where -1 is no class; or numbers (n, targets)
            or (n, steps, targets), float64, where NaN is no number.
        lengths: steps of each sequence (n,), int64, 1 at least; the codes after them are padding.
            All steps if None.
    """

    codes: NDArray[np.integer]
    labels: NDArray[Any]
    lengths: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def per_step(self) -> bool:
        """There is a label for every step."""
        return self.labels.ndim - (self.labels.dtype.kind == "f") == 2

    def inside(self) -> NDArray[np.bool_]:
        """Whether a step is one of the sequence, not padding; (n, steps)."""
        steps = np.arange(self.codes.shape[1])
        return (
            steps < np.full((len(self), 1), len(steps))
            if self.lengths is None
            else steps < self.lengths[:, np.newaxis]
        )

    def batches(self, size: int, steps: int | None = None) -> "list[Batch]":
        """The samples in batches, each of sequences of one length and without padding.

        Args:
            size: most sequences of a batch.
            steps: most steps of a batch of several sequences; no limit if None.
        """
        if steps is not None:
            size = max(1, min(size, steps // self.codes.shape[1]))
        if self.lengths is None:
            groups = [np.arange(len(self))]
        else:
            groups = [np.flatnonzero(self.lengths == length) for length in np.unique(self.lengths)]
        parts = [
            group[start : start + size] for group in groups for start in range(0, len(group), size)
        ]
        parts.sort(key=lambda part: int(part[0]))  # short and long ones in turn
        return [
            (part, self.codes[part, : None if self.lengths is None else self.lengths[part[0]]])
            for part in parts
        ]

    def head(self, count: int | None) -> "Split":
        """The first ``count`` samples; all of them for None."""
        return Split(
            self.codes[:count],
            self.labels[:count],
            None if self.lengths is None else self.lengths[:count],
        )

    def spread(self, count: int) -> "Split":
        """``count`` samples at equal distances,
        so that all classes of a sorted file are among them."""
        index = np.unique(np.linspace(0, len(self) - 1, min(count, len(self))).astype(np.int64))
        return Split(
            self.codes[index],
            self.labels[index],
            None if self.lengths is None else self.lengths[index],
        )


@dataclass(frozen=True, kw_only=True)
class Dataset(InputSpec):
    """A data set in three parts that share no sample; ``test`` is used once, after the training."""

    train: Split
    val: Split
    test: Split

    def all(self) -> Split:
        """All samples: training, validation, test."""
        parts = self.train, self.val, self.test
        lengths = (
            None
            if self.train.lengths is None
            else np.concatenate([part.lengths for part in parts if part.lengths is not None])
        )
        return Split(
            np.concatenate([part.codes for part in parts]),
            np.concatenate([part.labels for part in parts]),
            lengths,
        )

    @property
    def spec(self) -> InputSpec:
        """The same without the samples."""
        return InputSpec(**{field.name: getattr(self, field.name) for field in fields(InputSpec)})
