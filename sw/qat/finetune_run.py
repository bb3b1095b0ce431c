"""The state of a fine-tuning: latent codes, Adam, and the file of a run that may be continued."""

import hashlib
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.files import write_atomically
from ssm_hdl.fixed import Codes
from ssm_hdl.samples import UNLABELLED
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.data import Dataset
from ssm_hdl.sw.evaluate import NotFiniteError
from ssm_hdl.sw.qat.finetune_config import FinetuneConfig
from ssm_hdl.sw.qat.model import QatModel
from ssm_hdl.sw.train import logits, loss_of
from ssm_hdl.weights import tensors_to_bytes

WARMUP = 0.05
"""Fraction of the steps with a rising rate; then the rate falls as a cosine."""


class Run:
    """The state of a fine-tuning: everything that a continued run needs.

    Args:
        manifest: the initial one.
        config: rates, seed.
        dataset: a continued run has the same samples.
        steps: of the optimiser in an epoch.
        spread: deviations of the labels, if they are numbers.
        teacher: whose outputs the manifest learns; the labels if None.

    Attributes:
        model: the integer program with its latent codes.
        epoch: epochs done.
        before: `ssm_hdl.sw.qat.finetune.quality` of the initial manifest
            on the validation samples.
        best: the best one.
    """

    def __init__(
        self,
        manifest: Manifest,
        config: FinetuneConfig,
        dataset: Dataset,
        steps: int,
        spread: Tensor | None,
        teacher: Checkpoint | None = None,
    ) -> None:
        self.model, self.config, self.total = QatModel(manifest), config, config.epochs * steps
        self.teacher = teacher
        self.lsb, self.spread = (
            torch.from_numpy(manifest.values(np.ones(1))),
            1.0 if spread is None else spread,
        )
        self.key = _key(manifest, config, dataset, teacher)
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

    def step(self, codes: Codes, labels: Tensor, lengths: NDArray[np.int64] | None = None) -> float:
        """One step of Adam; the loss in nats, or in variances of the labels."""
        values = self.model(torch.from_numpy(codes).double(), lengths) * self.lsb / self.spread
        loss = self._loss(values, labels, self._answers(codes, lengths))
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.schedule.step()
        # a code that is not a number would address the tables of the compiled loops
        if not all(latent.isfinite().all() for latent in self.latents.values()):
            raise self._diverged(f"codes that are not finite after a loss of {loss.item():.3g}")
        self.first = loss.item() if self.first is None else self.first
        return float(loss.item())

    def _answers(self, codes: Codes, lengths: NDArray[np.int64] | None) -> Tensor | None:
        """What the teacher says."""
        if self.teacher is None:
            return None
        inputs = torch.from_numpy(self.teacher.inputs.normalise(codes))
        ends = None if lengths is None else torch.from_numpy(lengths)
        answers = logits(self.teacher.model, inputs, lengths=ends).double()
        if count := int((~answers.isfinite()).sum()):
            raise NotFiniteError(
                f"{count:,} of {answers.numel():,} outputs of the teacher "
                f"{self.teacher.metadata.get('name', 'checkpoint')} are not finite numbers; "
                "it cannot teach, name another checkpoint"
            )
        return answers

    def _loss(self, values: Tensor, labels: Tensor, answers: Tensor | None) -> Tensor:
        """The loss where there are labels; what is learnt there are the answers, if there are."""
        if labels.is_floating_point():
            learnt = labels if answers is None else torch.where(labels.isnan(), labels, answers)
            return loss_of(values, learnt / self.spread)
        if answers is None:
            return loss_of(values, labels, self.config.label_smoothing)
        known = labels != UNLABELLED
        return functional.cross_entropy(values[known], answers[known].softmax(-1))

    def check(self, loss: float, guessing: float) -> None:
        """Raise an error if the loss of an epoch exceeds twice the first loss and guessing;
        saturating codes never give NaN."""
        if not loss <= 2 * max(guessing, self.first or 0.0):
            raise self._diverged(f"a mean loss of {loss:.3g}, where guessing has {guessing:.3g}")

    def _diverged(self, what: str) -> SsmHdlError:
        return SsmHdlError(
            f"fine-tuning diverged in epoch {self.epoch + 1}: {what}; begin again (--again) "
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
                f"{path} keeps a run from another manifest, with other samples or options, "
                "and stays as it is; finish it with those, begin again (--again), "
                "or write elsewhere (--out)"
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


def _key(
    manifest: Manifest, config: FinetuneConfig, dataset: Dataset, teacher: Checkpoint | None
) -> str:
    """A digest of all that a run depends on."""
    digest = hashlib.sha256(manifest.to_yaml().encode() + tensors_to_bytes(manifest.tensors))
    digest.update(json.dumps(asdict(config)).encode())
    for split in (dataset.train, dataset.val):
        for array in (split.codes, split.labels, split.lengths):
            digest.update(b"" if array is None else np.ascontiguousarray(array).data)
    if teacher is not None:
        digest.update(teacher.to_bytes())
    return digest.hexdigest()
