"""The models that ``ssm-hdl train`` knows by name, with their training configurations."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pydantic import ValidationError

from ssm_hdl.errors import UsageError, problems
from ssm_hdl.sw.models import Config
from ssm_hdl.sw.models.mamba import MambaConfig
from ssm_hdl.sw.models.s4d import DeepS4DConfig, S4DConfig
from ssm_hdl.sw.models.s5 import S5Config


@dataclass(frozen=True)
class TrainConfig:
    """The configuration of a training run; with the data it determines the result.

    Attributes:
        name: of the model; the command that repeats the run is ``ssm-hdl train NAME``.
        dataset: the data set that the model is meant for; ``OWN`` for samples in a file.
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


OWN = "your own"
"""In place of a data set: the samples are in a file."""

_CONFIGS = (
    TrainConfig(
        name="digits",
        dataset="digits",
        model=S4DConfig(width=8, modes=8, dt_range=(1e-2, 1.0)),
        epochs=250,
        batch_size=32,
        learning_rate=2e-2,
        ssm_learning_rate=1e-2,
        label_smoothing=0.1,
    ),
    TrainConfig(
        name="s4d-16h",
        dataset="mnist",
        model=S4DConfig(width=16, modes=32),
        epochs=40,
        learning_rate=1e-2,
        ssm_learning_rate=4e-3,
        threads=2,
    ),
    TrainConfig(
        name="s4d-64h",
        dataset="mnist",
        model=S4DConfig(width=64, modes=32),
        epochs=16,
        learning_rate=5e-3,
        ssm_learning_rate=2e-3,
    ),
    TrainConfig(
        name="s4d-deep-digits",
        dataset="digits",
        model=DeepS4DConfig(width=8, modes=8, layers=2, dt_range=(1e-2, 1.0)),
        epochs=60,
        batch_size=32,
        learning_rate=2e-2,
        ssm_learning_rate=1e-2,
        label_smoothing=0.1,
    ),
    TrainConfig(
        name="s4d-deep-16h",
        dataset="mnist",
        model=DeepS4DConfig(width=16, modes=16, layers=4, norm="layer"),
        epochs=20,
        learning_rate=1e-2,
        ssm_learning_rate=2e-3,
    ),
    TrainConfig(
        name="s5-digits",
        dataset="digits",
        model=S5Config(width=8, modes=8, layers=2, dt_range=(1e-2, 1.0)),
        epochs=100,
        batch_size=32,
        learning_rate=2e-2,
        ssm_learning_rate=5e-3,
        label_smoothing=0.1,
    ),
    TrainConfig(
        name="s5-mnist",
        dataset="mnist",
        model=S5Config(width=32, modes=16, layers=4),
        epochs=20,
        learning_rate=8e-3,
        ssm_learning_rate=2e-3,
    ),
    TrainConfig(
        name="s5-mnist-16h",
        dataset="mnist",
        model=S5Config(width=16, modes=16, layers=4, norm="batch"),
        epochs=16,
        learning_rate=8e-3,
        ssm_learning_rate=2e-3,
    ),
    TrainConfig(
        name="s5-mnist-full",
        dataset="mnist",
        model=S5Config(width=96, modes=64, layers=4, dropout=0.1),
        epochs=150,
        batch_size=50,
        learning_rate=4e-3,
        ssm_learning_rate=1e-3,
        threads=2,
    ),
    TrainConfig(
        name="s5-listops",
        dataset="listops",
        model=S5Config(width=32, modes=32, layers=4, blocks=4, dt_range=(1e-2, 1.0)),
        epochs=16,
        learning_rate=6e-3,
        ssm_learning_rate=2e-3,
    ),
    TrainConfig(
        name="small",
        dataset=OWN,
        model=DeepS4DConfig(width=8, modes=8, norm="batch", dt_range=(1e-2, 1.0)),
        epochs=40,
        batch_size=32,
        learning_rate=1e-2,
        ssm_learning_rate=4e-3,
    ),
    TrainConfig(
        name="har",
        dataset="hapt",
        model=S5Config(
            width=24,
            modes=16,
            layers=3,
            norm="batch",
            pooling="none",
            dt_range=(1e-3, 0.3),
            dropout=0.1,
        ),
        epochs=30,
        batch_size=4,
        learning_rate=8e-3,
        ssm_learning_rate=2e-3,
        weight_decay=0.05,
        label_smoothing=0.1,
        rotation=0.2,
    ),
    TrainConfig(
        name="mamba-digits",
        dataset="digits",
        model=MambaConfig(width=8, modes=4, layers=2, dt_range=(1e-2, 1.0)),
        epochs=60,
        batch_size=32,
        learning_rate=1e-2,
        ssm_learning_rate=1e-2,
        label_smoothing=0.1,
    ),
    TrainConfig(
        name="mamba-mnist",
        dataset="mnist",
        model=MambaConfig(width=32, layers=2),
        epochs=10,
        learning_rate=8e-3,
        ssm_learning_rate=8e-3,
    ),
    TrainConfig(
        name="mamba-har",
        dataset="hapt",
        model=MambaConfig(width=24, modes=8, layers=2),
        epochs=30,
        batch_size=4,
        learning_rate=8e-3,
        ssm_learning_rate=8e-3,
        weight_decay=0.05,
        label_smoothing=0.1,
        rotation=0.2,
    ),
    TrainConfig(
        name="mamba-text",
        dataset=OWN,
        model=MambaConfig(width=64, layers=2),
        epochs=20,
        batch_size=16,
        learning_rate=1e-2,
        ssm_learning_rate=1e-2,
    ),
    TrainConfig(
        name="mamba-induction",
        dataset="induction",
        model=MambaConfig(width=32, layers=2, pooling="last"),
        epochs=2,
        batch_size=32,
        learning_rate=5e-3,
        ssm_learning_rate=5e-3,
        curriculum=(8, 16, 32, 64, 128),
    ),
    TrainConfig(
        name="mamba-copying",
        dataset="copying",
        model=MambaConfig(width=32, layers=2),
        epochs=20,
        batch_size=16,
        learning_rate=5e-3,
        ssm_learning_rate=5e-3,
    ),
    TrainConfig(
        name="s4d-deep-copying",
        dataset="copying",
        model=DeepS4DConfig(width=64, modes=32, layers=2, norm="layer", dt_range=(1e-3, 0.3)),
        epochs=6,
        batch_size=16,
        learning_rate=5e-3,
        ssm_learning_rate=2e-3,
    ),
    TrainConfig(
        name="s5-copying",
        dataset="copying",
        model=S5Config(width=64, modes=64, layers=2, dt_range=(1e-3, 0.3)),
        epochs=6,
        batch_size=16,
        learning_rate=5e-3,
        ssm_learning_rate=2e-3,
    ),
)

PRESETS = {config.name: config for config in _CONFIGS}
"""The configurations by name."""


COLUMNS = ("preset", "model", "layers", "width", "modes", "data")
"""Columns of the table of presets."""


def rows() -> Iterator[tuple[str, ...]]:
    """The table of presets."""
    for config in _CONFIGS:
        model = config.model
        # an S4D has one layer
        sizes = (getattr(model, name, 1) for name in ("layers", "width", "modes"))
        yield config.name, model.title.partition(" ")[2], *map(str, sizes), config.dataset


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


def preset(name: str) -> TrainConfig:
    """The configuration called ``name``.

    Raises:
        SsmHdlError: no configuration has this name.
    """
    if name not in PRESETS:
        raise UsageError(f"no model is called {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]
