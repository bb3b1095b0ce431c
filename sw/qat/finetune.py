"""Fine-tuning (QAT): Adam on the latent codes of a manifest,
with the integer program itself as the forward pass."""

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.errors import UsageError
from ssm_hdl.files import write_atomically
from ssm_hdl.sw.data import Dataset, Split
from ssm_hdl.sw.progress import bar
from ssm_hdl.sw.qat.model import QatModel, outputs
from ssm_hdl.sw.score import main_score, score, score_text
from ssm_hdl.sw.train import Epoch, labelled, loss_of, units
from ssm_hdl.weights import tensors_to_bytes

WARMUP = 0.05
"""Fraction of the steps with a rising rate; then the rate falls as a cosine."""


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


@dataclass(frozen=True)
class Finetuned:
    """The result of a fine-tuning.

    Attributes:
        manifest: of the epoch that is best on the validation samples;
            the initial one if no epoch is better.
        before: accuracy of the initial manifest on the validation samples, 0 to 1;
            R2 if the labels are numbers.
        best: the same of ``manifest``.
    """

    manifest: Manifest
    before: float
    best: float


def accuracy(model: QatModel, split: Split) -> float:
    """The share of ``split`` that the integer program classifies correctly, 0 to 1;
    R2 if the labels are numbers."""
    return score(model.start.values(outputs(model, split.codes, split.lengths)), split.labels)


def finetune(
    manifest: Manifest,
    dataset: Dataset,
    config: FinetuneConfig,
    run_file: Path | None = None,
    progress: Console | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> Finetuned:
    """Train the codes of a manifest.

    Args:
        manifest: from PTQ; its formats, exponents and transition stay.
        dataset: its training samples train the codes, its validation samples choose the epoch.
        config: rates, seed.
        run_file: saves the run after every epoch. If the file exists, the run continues from it,
            to the same codes as without the stop.
        progress: a console for the progress bar.
        on_epoch: called after each epoch.

    Raises:
        SsmHdlError: the manifest does not take these samples or answers every step,
            the loss diverges, or ``run_file`` belongs to another run.
    """
    if manifest.output.per_sequence == dataset.per_step or manifest.output.size != dataset.outputs:
        raise SsmHdlError(
            f"{manifest.name} does not put out {dataset.outputs} numbers for each "
            f"{'step' if dataset.per_step else 'sequence'}, as the labels of {dataset.name} need"
        )
    manifest.check_samples(dataset.train.codes[:1])
    samples = labelled(dataset.train, dataset.name)
    codes, labels = samples.codes, torch.from_numpy(samples.labels)
    # Of numbers the loss is in variances: guessing the mean has the loss 1.
    spread = None if dataset.classes else torch.from_numpy(units(samples.labels)[1])
    guessing, what = math.log(dataset.classes) if dataset.classes else 1.0, main_score(dataset)
    images = min(config.images or len(codes), len(codes))
    steps = math.ceil(images / config.batch_size)
    run = _Run(manifest, config, steps, spread)
    if run_file is not None and run_file.exists():
        run.load(run_file)
    else:
        run.before = run.best = accuracy(run.model, dataset.val)
    with bar(manifest.name, config.epochs * steps, progress, done=run.epoch * steps) as done:
        for number in range(run.epoch + 1, config.epochs + 1):
            total = 0.0
            # A seed per epoch, so that a continued run sees the same order.
            order = torch.randperm(
                len(codes), generator=torch.Generator().manual_seed(config.seed * 100_003 + number)
            )[:images]
            for start in range(0, images, config.batch_size):
                batch = order[start : start + config.batch_size]
                chosen = batch.numpy()
                lengths = None if samples.lengths is None else samples.lengths[chosen]
                total += run.step(
                    torch.from_numpy(codes[chosen]).double(), labels[batch], lengths
                ) * len(batch)
                done.advance()
            run.check(total / images, guessing)
            reached = run.finish(number, accuracy(run.model, dataset.val))
            if run_file is not None:
                run.save(run_file)
            epoch = Epoch(number, total / images, reached, run.best)
            texts = score_text(what, reached), score_text(what, run.best)
            done.describe(
                "epoch {}  loss {:.4f}  val {} (best {})".format(number, epoch.loss, *texts)
            )
            if on_epoch is not None:
                on_epoch(epoch)
    run.restore()
    return Finetuned(run.model.manifest(), run.before, run.best)


class _Run:
    """The state of a fine-tuning: everything that a continued run needs."""

    def __init__(
        self, manifest: Manifest, config: FinetuneConfig, steps: int, spread: Tensor | None
    ) -> None:
        self.model, self.config, self.total = QatModel(manifest), config, config.epochs * steps
        self.lsb, self.spread = (
            torch.from_numpy(manifest.values(np.ones(1))),
            1.0 if spread is None else spread,
        )
        text = manifest.to_yaml().encode() + tensors_to_bytes(manifest.tensors)
        self.key = hashlib.sha256(text + json.dumps(asdict(config)).encode()).hexdigest()
        self.latents = dict(self.model.latents.items())
        # Adam moves a parameter by the rate, whatever its gradient:
        # codes need rates in proportion to their size.
        self.rates = {
            name: float(latent.detach().square().mean().sqrt().clamp(min=1))
            for name, latent in self.latents.items()
        }
        groups = [
            {"params": [latent], "lr": config.learning_rate * self.rates[name]}
            for name, latent in self.latents.items()
        ]
        self.optimizer = torch.optim.Adam(groups)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)
        self.epoch, self.before, self.best = 0, 0.0, 0.0
        self.first: float | None = None
        self.best_latents = {name: latent.detach().clone() for name, latent in self.latents.items()}

    def _rate(self, step: int) -> float:
        warm = max(1.0, WARMUP * self.total)
        return min((step + 1) / warm, 0.5 + 0.5 * math.cos(math.pi * min(1.0, step / self.total)))

    def step(self, inputs: Tensor, labels: Tensor, lengths: NDArray[np.int64] | None) -> float:
        """One step of Adam; the loss in nats, or in variances of the labels."""
        values = self.model(inputs, lengths) * self.lsb / self.spread
        loss = loss_of(
            values,
            labels / self.spread if labels.is_floating_point() else labels,
            self.config.label_smoothing,
        )
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        self.first = loss.item() if self.first is None else self.first
        return float(loss.item())

    def check(self, loss: float, guessing: float) -> None:
        """Raise an error if the loss of an epoch exceeds twice the first loss and guessing;
        saturating codes never give NaN."""
        if not loss <= 2 * max(guessing, self.first or 0.0):
            raise SsmHdlError(
                f"fine-tuning diverged in epoch {self.epoch + 1}: a mean loss of {loss:.3g}, where "
                f"guessing has {guessing:.3g}; begin again (--again) "
                f"with a learning_rate below {self.config.learning_rate}"
            )

    def finish(self, epoch: int, reached: float) -> float:
        """End an epoch and keep the best latents so far."""
        self.epoch = epoch
        if reached > self.best:
            self.best = reached
            self.best_latents = {
                name: latent.detach().clone() for name, latent in self.latents.items()
            }
        return reached

    def restore(self) -> None:
        """Return to the best latents."""
        with torch.no_grad():
            for name, latent in self.latents.items():
                latent.copy_(self.best_latents[name])

    def save(self, path: Path) -> None:
        """Write the run, whole or not at all."""
        tensors: dict[str, Tensor] = {}
        for name, latent in self.latents.items():
            state = self.optimizer.state[latent]
            tensors |= {f"latent.{name}": latent.detach(), f"best.{name}": self.best_latents[name]}
            tensors |= {f"mean.{name}": state["exp_avg"], f"square.{name}": state["exp_avg_sq"]}
        facts = {"epoch": self.epoch, "steps": self.schedule.last_epoch, "first": self.first}
        facts |= {"before": self.before, "best": self.best}
        write_atomically(path, save(tensors, metadata={"key": self.key, "run": json.dumps(facts)}))

    def load(self, path: Path) -> None:
        """Continue from a file of `save`.

        Raises:
            SsmHdlError: it is damaged, or of another manifest or configuration.
        """
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        except (SafetensorError, OSError) as error:
            raise SsmHdlError(
                f"{path} is damaged or not a kept run ({error}); remove it to begin again"
            ) from error
        if metadata.get("key") != self.key:
            raise SsmHdlError(
                f"{path} keeps a run from another manifest or with other options, and stays as it "
                "is; finish it with those, begin again (--again), or write elsewhere (--out)"
            )
        facts: dict[str, Any] = json.loads(metadata["run"])
        self.epoch, self.before, self.best = facts["epoch"], facts["before"], facts["best"]
        self.first = facts["first"]
        with torch.no_grad():
            for name, latent in self.latents.items():
                latent.copy_(tensors[f"latent.{name}"])
                self.best_latents[name] = tensors[f"best.{name}"]
                self.optimizer.state[latent] = {
                    "step": torch.tensor(float(facts["steps"])),
                    "exp_avg": tensors[f"mean.{name}"],
                    "exp_avg_sq": tensors[f"square.{name}"],
                }
        # a schedule starts at step 0, so set the step and the rates by hand
        self.schedule.last_epoch = facts["steps"]
        for group, base in zip(self.optimizer.param_groups, self.schedule.base_lrs, strict=True):
            group["lr"] = base * self._rate(facts["steps"])
