"""The interface of every data set."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssm_hdl.fixed import Format


@dataclass(frozen=True)
class Split:
    """A part of a data set.

    Attributes:
        codes: input codes (n, steps, 1), uint8.
        labels: classes (n,), int64.
    """

    codes: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def head(self, count: int | None) -> "Split":
        """The first ``count`` samples; all of them for None."""
        return Split(self.codes[:count], self.labels[:count])


@dataclass(frozen=True)
class InputSpec:
    """A description of a sample: enough to feed a trained model without its data set.

    Attributes:
        name: of the data set.
        input_format: the fixed-point format of a code, such as ``UQ(0, 8)``.
        mean: subtracted from the value of a code, code * lsb.
        std: divides the difference.
        steps: length of a sequence.
        classes: number of labels.
        tokens: size of the vocabulary if the codes are tokens, which a model looks up; 0 if they are numbers.
    """

    name: str
    input_format: str
    mean: float
    std: float
    steps: int
    classes: int
    tokens: int = 0

    def normalise(self, codes: NDArray[np.integer]) -> NDArray[Any]:
        """Inputs of the float model, (code * lsb - mean) / std in float32, same shape; tokens stay as they are, in int32."""
        if self.tokens:
            return codes.astype(np.int32)
        values = codes * Format.parse(self.input_format).lsb
        return ((values - self.mean) / self.std).astype(np.float32)


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
