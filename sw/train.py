"""Training of the float models."""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor
from torch.nn import functional

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.data import Dataset, InputSpec, Split
from ssm_hdl.sw.models import Config, Model
from ssm_hdl.sw.models.s4d import S4DConfig
from ssm_hdl.sw.models.s5 import S5Config


@dataclass(frozen=True)
class TrainConfig:
    """What a training run depends on, besides the data.

    Attributes:
        name: of the model; the command that repeats the run is ``ssm-hdl train NAME``.
        dataset: the data set that the model is meant for.
        model: its family, sizes and options.
        epochs: passes over the training data.
        batch_size: samples a step of the optimiser.
        learning_rate: highest of the one-cycle schedule.
        ssm_learning_rate: the same for the dynamics of the model, which take no weight decay either.
        weight_decay: of AdamW.
        label_smoothing: probability that the targets give to all classes alike.
        warmup_fraction: part of the steps with a rising rate.
        threads: of torch while training, whatever the machine has: sums in another order end in other weights. One is
            fastest for small models.
        seed: of the initial weights and the order of the samples.
    """

    name: str
    dataset: str
    model: Config
    epochs: int
    batch_size: int
    learning_rate: float
    ssm_learning_rate: float
    weight_decay: float = 0.01
    label_smoothing: float = 0.0
    warmup_fraction: float = 0.1
    threads: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ("epochs", "batch_size", "threads", "learning_rate", "ssm_learning_rate"):
            if not getattr(self, field) > 0:
                raise SsmHdlError(f"training with {field} {getattr(self, field)} does nothing; it has to be above 0")


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
        threads=1,
    ),
    TrainConfig(
        name="s4d-16h",
        dataset="mnist",
        model=S4DConfig(width=16, modes=32),
        epochs=40,
        batch_size=64,
        learning_rate=1e-2,
        ssm_learning_rate=4e-3,
    ),
    TrainConfig(
        name="s4d-64h",
        dataset="mnist",
        model=S4DConfig(width=64, modes=32),
        epochs=16,
        batch_size=64,
        learning_rate=5e-3,
        ssm_learning_rate=2e-3,
        threads=1,
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
        threads=1,
    ),
    TrainConfig(
        name="s5-mnist",
        dataset="mnist",
        model=S5Config(width=32, modes=16, layers=4),
        epochs=20,
        batch_size=64,
        learning_rate=8e-3,
        ssm_learning_rate=2e-3,
        threads=1,
    ),
    TrainConfig(
        name="s5-mnist-full",
        dataset="mnist",
        model=S5Config(width=96, modes=64, layers=4, dropout=0.1),
        epochs=150,
        batch_size=50,
        learning_rate=4e-3,
        ssm_learning_rate=1e-3,
    ),
    TrainConfig(
        name="s5-listops",
        dataset="listops",
        model=S5Config(width=32, modes=32, layers=4, blocks=4, dt_range=(1e-2, 1.0)),
        epochs=16,
        batch_size=64,
        learning_rate=6e-3,
        ssm_learning_rate=2e-3,
        threads=1,
    ),
)

PRESETS = {config.name: config for config in _CONFIGS}
"""The models that are trained by name."""


@dataclass(frozen=True)
class Epoch:
    """How far a training is.

    Attributes:
        number: of the epoch that is over, from 1.
        loss: mean cross-entropy over its training samples, in nats.
        accuracy: on the validation samples after it, 0 to 1.
        best: the best of these so far.
    """

    number: int
    loss: float
    accuracy: float
    best: float


def preset(name: str) -> TrainConfig:
    """The configuration called ``name``.

    Raises:
        SsmHdlError: there is none.
    """
    if name not in PRESETS:
        raise SsmHdlError(f"no model is called {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name]


def train(
    dataset: Dataset,
    config: TrainConfig,
    progress: Console | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    command: str | None = None,
    device: str = "cpu",
) -> Checkpoint:
    """Train a float model and keep the epoch that is best on the validation samples.

    AdamW with a one-cycle schedule. Configuration, data, version of torch and kind of processor determine
    the result.

    Args:
        dataset: what to train on.
        config: sizes, rates, seed.
        progress: a console for the progress bar.
        on_epoch: called after each epoch.
        command: recorded in the checkpoint; ``ssm-hdl train NAME`` if left out.
        device: of torch, such as ``cuda``; another one ends in other weights.

    Returns:
        The checkpoint, its test accuracy in the metadata; nothing is written (``Checkpoint.save`` does).

    Raises:
        SsmHdlError: the data set is not the one of the configuration, or the loss diverges.
    """
    if dataset.name != config.dataset:
        raise SsmHdlError(f"{config.name} is trained on {config.dataset}, not on {dataset.name}")
    inputs, labels = tensors(dataset, dataset.train)
    steps = config.epochs * math.ceil(len(labels) / config.batch_size)
    order = torch.Generator().manual_seed(config.seed)
    best, best_state = -1.0, dict[str, Tensor]()
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with (
        torch.random.fork_rng(devices=[]),
        _threads(config.threads),
        Progress(*columns, console=progress, disable=progress is None) as bar,
    ):
        torch.manual_seed(config.seed)
        model = config.model.build(dataset).to(device)
        step = _stepper(model, config, steps)
        task = bar.add_task(config.name, total=steps)
        for number in range(1, config.epochs + 1):
            total = 0.0
            model.train()
            for batch in _batches(torch.randperm(len(labels), generator=order), config.batch_size):
                loss = step(inputs[batch].to(device), labels[batch].to(device))
                if not math.isfinite(loss):
                    raise SsmHdlError(
                        f"training {config.name} diverged in epoch {number} (loss {loss}); "
                        f"lower learning_rate {config.learning_rate} or ssm_learning_rate {config.ssm_learning_rate}"
                    )
                total += loss * len(batch)
                bar.advance(task)
            model.eval()
            reached = accuracy(model, dataset, dataset.val)
            if reached > best:
                best, best_state = reached, copy.deepcopy(model.state_dict())
            epoch = Epoch(number, total / len(labels), reached, best)
            bar.update(task, description=f"epoch {number}  loss {epoch.loss:.4f}  val {reached:.2%} (best {best:.2%})")
            if on_epoch is not None:
                on_epoch(epoch)
        model.load_state_dict(best_state)
        model.to("cpu")
    return Checkpoint(
        model,
        dataset.spec,
        {
            "name": config.name,
            "accuracy": f"{accuracy(model, dataset, dataset.test):.4f}",
            "val_accuracy": f"{best:.4f}",
            "command": command or f"ssm-hdl train {config.name}",
            "seed": str(config.seed),
        },
    )


def tensors(spec: InputSpec, split: Split) -> tuple[Tensor, Tensor]:
    """Normalised inputs (n, steps, 1) float32, or tokens, and labels (n,) int64 of ``split``."""
    return torch.from_numpy(spec.normalise(split.codes)), torch.from_numpy(split.labels)


@torch.no_grad()
def logits(model: Model, inputs: Tensor, batch_size: int = 100) -> Tensor:
    """Logits (n, classes) of normalised inputs (n, steps, 1), a batch at a time."""
    device = model.decoder.weight.device
    return torch.cat([model(batch.to(device)).cpu() for batch in _batches(inputs, batch_size)])


def accuracy(model: Model, spec: InputSpec, split: Split) -> float:
    """The part of ``split`` that the float model classifies correctly, 0 to 1."""
    inputs, labels = tensors(spec, split)
    return (logits(model, inputs).argmax(1) == labels).double().mean().item()


def _batches(samples: Tensor, size: int) -> Iterator[Tensor]:
    """``samples`` cut along the first dimension."""
    return (samples[start : start + size] for start in range(0, len(samples), size))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """As many threads of torch, for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _stepper(model: Model, config: TrainConfig, steps: int) -> Callable[[Tensor, Tensor], float]:
    """A step of AdamW, with slower dynamics, as a function of a batch that returns the loss."""
    dynamics = model.dynamics()
    others = [parameter for parameter in model.parameters() if all(parameter is not one for one in dynamics)]
    optimizer = torch.optim.AdamW(
        [{"params": others, "weight_decay": config.weight_decay}, {"params": dynamics, "weight_decay": 0.0}]
    )
    rates = [config.learning_rate, config.ssm_learning_rate]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps, pct_start=config.warmup_fraction)

    def step(inputs: Tensor, labels: Tensor) -> float:
        loss = functional.cross_entropy(model(inputs), labels, label_smoothing=config.label_smoothing)
        if torch.isfinite(loss):
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        return loss.item()

    return step
