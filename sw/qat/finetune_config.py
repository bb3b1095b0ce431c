"""The configuration of a fine-tuning."""

import math
from dataclasses import dataclass

from ssm_hdl.errors import UsageError


@dataclass(frozen=True)
class FinetuneConfig:
    """The configuration of a fine-tuning; with the manifest and the data it determines the result.

    Attributes:
        epochs: passes over the training samples.
        images: training samples per epoch, a new choice in every epoch; all if None.
        batch_size: samples per step of the optimiser.
        learning_rate: largest change of a code per step of Adam,
            as a fraction of its tensor's root mean square.
        label_smoothing: probability that the targets spread evenly over all classes.
        seed: of the order of the samples.
    """

    epochs: int = 4
    images: int | None = None
    batch_size: int = 64
    learning_rate: float = 0.003
    label_smoothing: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ("epochs", "batch_size", "learning_rate"):
            if not 0 < getattr(self, field) < math.inf:
                raise UsageError(
                    f"fine-tuning with {field} {getattr(self, field)} cannot work; "
                    "it is a number above 0"
                )
