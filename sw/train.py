"""Training of the float models."""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor
from torch.nn import functional

from ssm_hdl.errors import SsmHdlError, UsageError
from ssm_hdl.samples import UNLABELLED
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.data import Dataset, InputSpec, Split
from ssm_hdl.sw.models import Model
from ssm_hdl.sw.progress import bar
from ssm_hdl.sw.score import main_score, score, score_text
from ssm_hdl.sw.train_config import TrainConfig


@dataclass(frozen=True)
class Epoch:
    """The state of a training run after an epoch.

    Attributes:
        number: of the epoch, from 1.
        loss: mean over its training samples: cross-entropy in nats,
            or squared error in variances of the labels.
        accuracy: on the validation samples, 0 to 1; R2 if the labels are numbers,
            and bits per character if a text is fine-tuned.
        best: the best so far.
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
    first: Sequence[Dataset] = (),
) -> Checkpoint:
    """Train a float model and keep the epoch that is best on the validation samples.

    The optimiser is AdamW with a one-cycle schedule. Configuration, data,
    version of torch and kind of processor determine the result.

    Args:
        dataset: the samples.
        config: sizes, rates, seed.
        progress: a console for the progress bar.
        on_epoch: called after each epoch.
        command: recorded in the checkpoint; ``ssm-hdl train NAME`` if left out.
        device: of torch, such as ``cuda``; another device gives other weights.
        first: data sets of a curriculum: their training samples are taken before, an epoch each.

    Returns:
        The checkpoint with its accuracy, or R2, on the test samples. No file is written;
        ``Checkpoint.save`` writes one.

    Raises:
        SsmHdlError: the data set is not the one of the configuration, or the loss diverges.
    """
    if dataset.name != config.dataset:
        raise SsmHdlError(f"{config.name} is trained on {config.dataset}, not on {dataset.name}")
    samples, val = (
        labelled(dataset.train, dataset.name),
        labelled(dataset.val, f"the validation part of {dataset.name}"),
    )
    center, spread = units(samples.labels if dataset.targets else np.zeros((1, 1)))
    # numbers are learnt in units of their own, which the decoder takes up at the end
    if dataset.targets:
        samples, val = (
            replace(part, labels=(part.labels - center) / spread) for part in (samples, val)
        )
    epochs = [*(labelled(one.train, one.name) for one in first), *[samples] * config.epochs]
    steps = sum(math.ceil(len(part) / config.batch_size) for part in epochs)
    order = torch.Generator().manual_seed(config.seed)
    best, best_state = -math.inf, dict[str, Tensor]()
    with (
        torch.random.fork_rng(devices=[]),  # leaves the caller's random numbers as they were
        threads(config.threads),
        bar(config.name, steps, progress) as done,
    ):
        torch.manual_seed(config.seed)
        model = config.model.build(dataset).to(device)
        step, what = _stepper(model, config, steps), main_score(dataset)
        for number, part in enumerate(epochs, 1):
            total, (inputs, labels) = 0.0, tensors(dataset, part)
            model.train()
            for batch in _batches(torch.randperm(len(labels), generator=order), config.batch_size):
                lengths = (
                    None
                    if part.lengths is None
                    else torch.from_numpy(part.lengths)[batch].to(device)
                )
                loss = step(
                    rotated(inputs[batch], dataset, config.rotation).to(device),
                    labels[batch].to(device),
                    lengths,
                )
                if not math.isfinite(loss):
                    raise SsmHdlError(
                        f"training {config.name} diverged in epoch {number} (loss {loss}); lower "
                        f"learning_rate {config.learning_rate} or ssm_learning_rate "
                        f"{config.ssm_learning_rate}"
                    )
                total += loss * len(batch)
                done.advance()
            model.eval()
            reached = accuracy(model, dataset, val)
            if reached > best:
                best, best_state = reached, copy.deepcopy(model.state_dict())
            epoch = Epoch(number, total / len(labels), reached, best)
            texts = score_text(what, reached), score_text(what, best)
            done.describe(
                "epoch {}  loss {:.4f}  val {} (best {})".format(number, epoch.loss, *texts)
            )
            if on_epoch is not None:
                on_epoch(epoch)
        model.load_state_dict(best_state)
        model.to("cpu")
    if dataset.targets:
        with torch.no_grad():
            model.decoder.weight.mul_(torch.from_numpy(spread)[:, np.newaxis])
            model.decoder.bias.mul_(torch.from_numpy(spread)).add_(torch.from_numpy(center))
    return Checkpoint(
        model,
        dataset.spec,
        {
            "name": config.name,
            **(
                {what: f"{accuracy(model, dataset, dataset.test):.4f}"} if len(dataset.test) else {}
            ),
            f"val_{what}": f"{best:.4f}",
            "command": command or f"ssm-hdl train {config.name}",
            "seed": str(config.seed),
        },
    )


def tensors(spec: InputSpec, split: Split) -> tuple[Tensor, Tensor]:
    """Normalised inputs (n, steps, channels) float32, or tokens, and the labels of ``split``,
    int64 or float32."""
    labels = torch.from_numpy(split.labels)
    return (
        torch.from_numpy(spec.normalise(split.codes)),
        labels.float() if labels.is_floating_point() else labels,
    )


def rotated(inputs: Tensor, spec: InputSpec, deviation: float) -> Tensor:
    """Normalised inputs (n, steps, channels), the axes of each sequence turned like a sensor
    worn in another way.

    Args:
        inputs: normalised; channels are vectors of three axes, as of acceleration and turn rate.
        spec: their normalisation, which is not the same for all axes.
        deviation: of the angle about each axis, in radians; 0 leaves the inputs as they are.

    Raises:
        SsmHdlError: the number of channels is no multiple of three.
    """
    if not deviation:
        return inputs
    count, channels = len(inputs), inputs.shape[-1]
    if channels % 3:
        raise UsageError(
            f"{spec.name} has {channels} channels, which are no vectors of three axes; "
            "choose another preset"
        )
    mean, std = torch.tensor(spec.mean), torch.tensor(spec.std)
    axes = deviation * torch.randn(count, 1, 3)
    turns = torch.linalg.matrix_exp(
        torch.linalg.cross(axes.expand(count, 3, 3), torch.eye(3).expand(count, 3, 3))
    )
    vectors = (inputs * std + mean).reshape(count, -1, channels // 3, 3)
    turned: Tensor = (vectors @ turns[:, None]).reshape(inputs.shape)
    return (turned - mean) / std


def labelled(split: Split, name: str) -> Split:
    """The sequences with a label at least.

    Raises:
        SsmHdlError: there is none; the message names the samples.
    """
    known = (
        ~np.isnan(split.labels) if split.labels.dtype.kind == "f" else split.labels != UNLABELLED
    )
    chosen = np.flatnonzero(known.reshape(len(split), math.prod(known.shape[1:])).any(1))
    if not len(chosen):
        raise SsmHdlError(
            f"{name} has no sample with a label; give it more samples, or another split"
        )
    return Split(
        split.codes[chosen],
        split.labels[chosen],
        None if split.lengths is None else split.lengths[chosen],
    )


@torch.no_grad()
def logits(
    model: Model, inputs: Tensor, batch_size: int = 100, lengths: Tensor | None = None
) -> Tensor:
    """Outputs (n, outputs) or (n, steps, outputs) of normalised inputs (n, steps, channels),
    a batch at a time."""
    device = model.decoder.weight.device
    outputs = []
    for batch in _batches(torch.arange(len(inputs)), batch_size):
        among = {} if lengths is None else {"lengths": lengths[batch].to(device)}
        outputs.append(model(inputs[batch].to(device), **among).cpu())
    return torch.cat(outputs)


def accuracy(model: Model, spec: InputSpec, split: Split) -> float:
    """The share of ``split`` that the float model classifies correctly, 0 to 1;
    R2 if the labels are numbers."""
    inputs, _ = tensors(spec, split)
    lengths = None if split.lengths is None else torch.from_numpy(split.lengths)
    return score(logits(model, inputs, lengths=lengths).double().numpy(), split.labels)


def loss_of(outputs: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """The mean loss over all labels that there are.

    Args:
        outputs: (..., outputs).
        labels: classes (...), int64; or numbers (..., outputs).
        label_smoothing: probability that the targets spread evenly over all classes.
    """
    if labels.is_floating_point():
        known = ~labels.isnan()
        return functional.mse_loss(outputs[known], labels[known])
    return functional.cross_entropy(
        outputs.flatten(0, -2),
        labels.flatten(),
        ignore_index=UNLABELLED,
        label_smoothing=label_smoothing,
    )


def units(labels: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and deviation of each number of a label;
    a number that never changes has the deviation 1."""
    numbers = labels.reshape(-1, labels.shape[-1]).astype(np.float64)
    spread = np.nanstd(numbers, 0)
    return np.nanmean(numbers, 0), np.where(spread > 0, spread, 1.0)


def _batches(samples: Tensor, size: int) -> Iterator[Tensor]:
    """``samples`` in batches of ``size`` along the first dimension."""
    return (samples[start : start + size] for start in range(0, len(samples), size))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Set the number of torch's threads within a context."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _stepper(
    model: Model, config: TrainConfig, steps: int
) -> Callable[[Tensor, Tensor, Tensor | None], float]:
    """A function that takes a batch, does a step of AdamW, with slower dynamics,
    and returns the loss."""
    dynamics = model.dynamics()
    others = [
        parameter
        for parameter in model.parameters()
        if all(parameter is not one for one in dynamics)
    ]
    optimizer = torch.optim.AdamW(
        [
            {"params": others, "weight_decay": config.weight_decay},
            {"params": dynamics, "weight_decay": 0.0},
        ]
    )
    rates = [config.learning_rate, config.ssm_learning_rate]
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rates, total_steps=steps, pct_start=config.warmup_fraction
    )

    def step(inputs: Tensor, labels: Tensor, lengths: Tensor | None) -> float:
        outputs = model(inputs) if lengths is None else model(inputs, lengths=lengths)
        loss = loss_of(outputs, labels, config.label_smoothing)
        if torch.isfinite(loss):  # otherwise the caller raises an error
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        return loss.item()

    return step
