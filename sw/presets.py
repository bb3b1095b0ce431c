"""The models that ``ssm-hdl train`` knows by name, with their training configurations."""

from collections.abc import Iterator

from ssm_hdl.errors import UsageError
from ssm_hdl.sw.models.mamba import MambaConfig
from ssm_hdl.sw.models.s4d import DeepS4DConfig, S4DConfig
from ssm_hdl.sw.models.s5 import S5Config
from ssm_hdl.sw.train_config import TrainConfig

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


def preset(name: str) -> TrainConfig:
    """The configuration called ``name``.

    Raises:
        SsmHdlError: no configuration has this name.
    """
    if name not in PRESETS:
        raise UsageError(f"no model is called {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]
