"""The configuration of a training run, and the options of its model that a user may change."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from ssm_hdl.errors import UsageError, problems
from ssm_hdl.sw.models import Config


@dataclass(frozen=True)
class TrainConfig:
    """The configuration of a training run; with the data it determines the result.

    Attributes:
        name: of the model; the command that repeats the run is ``ssm-hdl train NAME``.
        dataset: the data set that the model is meant for; ``presets.OWN`` for samples in a file.
        model: its family, sizes and options.
        epochs: passes over the training data.
        learning_rate: highest rate of the one-cycle schedule.
        ssm_learning_rate: the same for the dynamics of the model, which have no weight decay.
        batch_size: samples per step of the optimiser.
        weight_decay: of AdamW.
        label_smoothing: probability that the targets spread evenly over all classes.
        rotation: deviation of a random rotation of each training sequence about each axis,
            in radians: the sensor is worn in another way. Channels are vectors of three axes.
        warmup_fraction: fraction of the steps with a rising rate.
        curriculum: steps of generated sequences that are trained on first, an epoch each.
            Long distances are learnt in minutes after short ones, and hardly without.
        threads: of torch. A fixed number, because sums in another order give other weights;
            1 is fastest for small models.
        seed: of the initial weights and the order of the samples.
    """

    name: str
    dataset: str
    model: Config
    epochs: int
    learning_rate: float
    ssm_learning_rate: float
    batch_size: int = 64
    weight_decay: float = 0.01
    label_smoothing: float = 0.0
    rotation: float = 0.0
    warmup_fraction: float = 0.1
    curriculum: tuple[int, ...] = ()
    threads: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ("epochs", "batch_size", "threads", "learning_rate", "ssm_learning_rate"):
            if not 0 < getattr(self, field) < math.inf:
                raise UsageError(
                    f"training with {field} {getattr(self, field)} cannot work; "
                    "it is a number above 0"
                )


def change(config: TrainConfig, options: Sequence[str]) -> TrainConfig:
    """The configuration with other options of its model, each ``NAME=VALUE``.

    Raises:
        SsmHdlError: the model has no such option, or it does not take the value.
    """
    fields = type(config.model).model_fields
    values = {name: getattr(config.model, name) for name in config.model.model_fields_set}
    given = set[str]()
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise UsageError(
                f"--set {option} is not of the form NAME=VALUE, such as --set width=32"
            )
        if name not in fields:
            raise UsageError(
                f"--set {option}: a model of {config.name} has no option {name!r}; "
                f"there are {', '.join(fields)}"
            )
        if name in given:
            raise UsageError(f"--set {option}: {name} is set already; keep one")
        given.add(name)
        values[name] = value.split(",") if "," in value else value
    try:
        return replace(config, model=type(config.model).model_validate(values))
    except ValidationError as error:
        first = problems(error, values)[0]
        option = next(option for option in options if option.partition("=")[0] == first.where[0])
        raise UsageError(f"--set {option}: {first.text}") from error
