"""Fine-tuning (QAT): Adam on the latent codes of a manifest,
with the integer program itself as the forward pass."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.errors import UsageError
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.data import Dataset, InputSpec, Split
from ssm_hdl.sw.progress import bar
from ssm_hdl.sw.qat.finetune_config import FinetuneConfig
from ssm_hdl.sw.qat.finetune_run import Run
from ssm_hdl.sw.qat.model import QatModel, outputs
from ssm_hdl.sw.score import bits_per_step, epoch_score, score, score_text
from ssm_hdl.sw.train import Epoch, labelled, units


@dataclass(frozen=True)
class Finetuned:
    """The result of a fine-tuning.

    Attributes:
        manifest: of the epoch that is best on the validation samples;
            the initial one if no epoch is better.
        before: `epoch_score` of the initial manifest on the validation samples.
        best: the same of ``manifest``.
    """

    manifest: Manifest
    before: float
    best: float


def quality(model: QatModel, samples: InputSpec, split: Split) -> float:
    """What is most in the best epoch: `epoch_score` of ``split``, negative for bits."""
    values = model.start.values(outputs(model, split.codes, split.lengths))
    labels = split.labels
    return -bits_per_step(values, labels) if samples.is_text else score(values, labels)


def _check_teacher(teacher: Checkpoint, dataset: Dataset, config: FinetuneConfig) -> None:
    """Raise an error if the teacher reads other samples, or answers in another way."""
    if config.label_smoothing:
        raise UsageError(
            f"label_smoothing {config.label_smoothing} is for labels, and a teacher is learnt in "
            "their place; leave out one of them"
        )
    fields = ("input_format", "scale", "channels", "tokens", "outputs", "per_step", "class_names")
    for field in fields:
        own, wanted = getattr(teacher.inputs, field), getattr(dataset.spec, field)
        if own != wanted:
            raise UsageError(
                f"the teacher {teacher.metadata.get('name', 'checkpoint')} has {field} {own}, and "
                f"{dataset.name} has {wanted}; name the checkpoint that the manifest was made from"
            )


def finetune(
    manifest: Manifest,
    dataset: Dataset,
    config: FinetuneConfig,
    run_file: Path | None = None,
    progress: Console | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    teacher: Checkpoint | None = None,
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
        teacher: a float model whose outputs are learnt in place of the labels (distillation,
            arXiv 1503.02531): of classes their probabilities, of numbers the numbers.

    Raises:
        SsmHdlError: manifest or teacher do not answer as these samples are labelled,
            the loss diverges, the teacher's outputs are not finite,
            or ``run_file`` belongs to another run.
    """
    if manifest.output.per_sequence == dataset.per_step or manifest.output.size != dataset.outputs:
        raise SsmHdlError(
            f"{manifest.name} does not put out {dataset.outputs} numbers for each "
            f"{'step' if dataset.per_step else 'sequence'}, as the labels of {dataset.name} need"
        )
    manifest.check_samples(dataset.train.codes[:1])
    if teacher is not None:
        _check_teacher(teacher, dataset, config)
    samples = labelled(dataset.train, dataset.name)
    codes, labels = samples.codes, torch.from_numpy(samples.labels)
    # Of numbers the loss is in variances: guessing the mean has the loss 1.
    spread = None if dataset.classes else torch.from_numpy(units(samples.labels)[1])
    guessing = math.log(dataset.classes) if dataset.classes else 1.0
    what, sign = epoch_score(dataset), -1 if dataset.is_text else 1
    images = min(config.images or len(codes), len(codes))
    steps = math.ceil(images / config.batch_size)
    run = Run(manifest, config, dataset, steps, spread, teacher)
    if run_file is not None and run_file.exists():
        run.load(run_file)
    else:
        run.before = run.best = quality(run.model, dataset, dataset.val)
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
                total += run.step(codes[chosen], labels[batch], lengths) * len(batch)
                done.advance()
            run.check(total / images, guessing)
            reached = run.finish(number, quality(run.model, dataset, dataset.val))
            if run_file is not None:
                run.save(run_file)
            epoch = Epoch(number, total / images, sign * reached, sign * run.best)
            texts = score_text(what, epoch.accuracy), score_text(what, epoch.best)
            done.describe(
                "epoch {}  loss {:.4f}  val {} (best {})".format(number, epoch.loss, *texts)
            )
            if on_epoch is not None:
                on_epoch(epoch)
    run.restore()
    return Finetuned(run.model.manifest(), sign * run.before, sign * run.best)
