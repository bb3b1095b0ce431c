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
from ssm_hdl.sw.models import Model
from ssm_hdl.sw.presets import TrainConfig


@dataclass(frozen=True)
class Epoch:
    """The state of a training run after an epoch.

    Attributes:
        number: of the epoch, from 1.
        loss: mean cross-entropy over its training samples, in nats.
        accuracy: on the validation samples, 0 to 1.
        best: the best accuracy so far.
    """

    number: int
    loss: float
    accuracy: float
    best: float


def train(
    dataset: Dataset,
    config: TrainConfig,
    progress: Console | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    command: str | None = None,
    device: str = "cpu",
) -> Checkpoint:
    """Train a float model and keep the epoch that is best on the validation samples.

    The optimiser is AdamW with a one-cycle schedule. Configuration, data, version of torch and kind of processor determine the
    result.

    Args:
        dataset: the samples.
        config: sizes, rates, seed.
        progress: a console for the progress bar.
        on_epoch: called after each epoch.
        command: recorded in the checkpoint; ``ssm-hdl train NAME`` if left out.
        device: of torch, such as ``cuda``; another device gives other weights.

    Returns:
        The checkpoint with its test accuracy in the metadata. No file is written; ``Checkpoint.save`` writes one.

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
        torch.random.fork_rng(devices=[]),  # leaves the caller's random numbers as they were
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
    """The share of ``split`` that the float model classifies correctly, 0 to 1."""
    inputs, labels = tensors(spec, split)
    return (logits(model, inputs).argmax(1) == labels).double().mean().item()


def _batches(samples: Tensor, size: int) -> Iterator[Tensor]:
    """``samples`` in batches of ``size`` along the first dimension."""
    return (samples[start : start + size] for start in range(0, len(samples), size))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Set the number of torch's threads within a context."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _stepper(model: Model, config: TrainConfig, steps: int) -> Callable[[Tensor, Tensor], float]:
    """A function that takes a batch, does a step of AdamW, with slower dynamics, and returns the loss."""
    dynamics = model.dynamics()
    others = [parameter for parameter in model.parameters() if all(parameter is not one for one in dynamics)]
    optimizer = torch.optim.AdamW(
        [{"params": others, "weight_decay": config.weight_decay}, {"params": dynamics, "weight_decay": 0.0}]
    )
    rates = [config.learning_rate, config.ssm_learning_rate]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps, pct_start=config.warmup_fraction)

    def step(inputs: Tensor, labels: Tensor) -> float:
        loss = functional.cross_entropy(model(inputs), labels, label_smoothing=config.label_smoothing)
        if torch.isfinite(loss):  # otherwise the caller raises an error
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        return loss.item()

    return step
