"""The interface of every data set."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.samples import UNLABELLED, InputSpec

__all__ = ["UNLABELLED", "Dataset", "InputSpec", "Split"]


@dataclass(frozen=True)
class Split:
    """A part of a data set.

    Attributes:
        codes: input codes (n, steps, channels), integers.
        labels: classes (n,) or (n, steps), int64, where -1 is no class; or numbers (n, targets) or (n, steps, targets), float64,
            where NaN is no number.
        lengths: steps of each sequence (n,), int64, 1 at least; the codes after them are padding. All steps if None.
    """

    codes: NDArray[np.integer]
    labels: NDArray[Any]
    lengths: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def head(self, count: int | None) -> "Split":
        """The first ``count`` samples; all of them for None."""
        return Split(self.codes[:count], self.labels[:count], None if self.lengths is None else self.lengths[:count])


@dataclass(frozen=True, kw_only=True)
class Dataset(InputSpec):
    """A data set in three parts that share no sample; ``test`` is used once, after the training."""

    train: Split
    val: Split
    test: Split

    @property
    def spec(self) -> InputSpec:
        """The same without the samples."""
        return InputSpec(**{field.name: getattr(self, field.name) for field in fields(InputSpec)})
