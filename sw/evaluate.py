"""Scores on samples: of the float model, and of the integer program by the golden model."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.fixed import Codes
from ssm_hdl.samples import UNLABELLED, InputSpec
from ssm_hdl.sim.golden import Result, run
from ssm_hdl.sw.data import Split
from ssm_hdl.sw.data.dataset import Batch
from ssm_hdl.sw.score import bits_per_step, by_target, recalls, scores
from ssm_hdl.workers import pool

if TYPE_CHECKING:
    from ssm_hdl.sw.checkpoint import Checkpoint


BATCH, STEPS = 100, 2**17
"""Most sequences of a batch, and most steps of several."""

Progress = Callable[[int], None]
"""Called with the number of sequences done since the last call."""


class NotFiniteError(SsmHdlError):
    """A float model has outputs that are not finite."""


@dataclass(frozen=True)
class Evaluation:
    """What a model puts out, and its scores.

    Attributes:
        name: of the model.
        outputs: (sequences, outputs) or (sequences, steps, outputs),
            zeros after the end of a sequence: codes of an integer program, values of a float model.
        values: of the outputs, numbers in the unit of the labels.
        labels: of the samples, as in `Split`.
        scores: of `ssm_hdl.sw.score.scores`, and ``bits_per_character`` of a text;
            empty without labels.
        saturations: saturated elements by operation; empty for a float model.
        elements: stored elements by operation.
    """

    name: str
    outputs: NDArray[Any]
    values: NDArray[Any]
    labels: NDArray[Any]
    scores: dict[str, float]
    saturations: dict[str, int]
    elements: dict[str, int]

    @property
    def sequences(self) -> int:
        """Number of sequences."""
        return len(self.outputs)

    @property
    def labelled(self) -> int:
        """Number of labels that were scored."""
        if self.labels.dtype.kind == "f":
            return int((~np.isnan(self.labels).any(-1)).sum())
        return int((self.labels != UNLABELLED).sum())

    @property
    def accuracy(self) -> float:
        """The share of correct classes, 0 to 1."""
        return self.scores["accuracy"]

    @property
    def classes(self) -> Codes:
        """The answers, (sequences,) or (sequences, steps); of equal outputs the first counts."""
        return np.asarray(self.outputs.argmax(-1))

    @property
    def correct(self) -> int:
        """Number of correct classes."""
        return int(np.count_nonzero((self.classes == self.labels) & (self.labels != UNLABELLED)))

    def to_json(self) -> dict[str, Any]:
        """Counts and scores, for JSON."""
        counts = {"name": self.name, "sequences": self.sequences, "labelled": self.labelled}
        parts: dict[str, Any] = {}
        if "accuracy" in self.scores:
            parts = {"correct": self.correct, "recall": recalls(self.values, self.labels)}
        elif self.scores:
            parts = {"targets": by_target(self.values, self.labels)}
        return (
            counts
            | parts
            | self.scores
            | {"saturations": self.saturations, "elements": self.elements}
        )


def evaluate_float(
    checkpoint: "Checkpoint", split: Split, progress: Progress | None = None
) -> Evaluation:
    """Run samples through the float model, by convolution.

    Args:
        checkpoint: the model.
        split: samples with their labels.
        progress: called with the number of sequences done since the last call.

    Raises:
        NotFiniteError: outputs are infinite or not a number, so a score would mean nothing.
    """
    import torch

    from ssm_hdl.sw.train import logits

    def values(codes: NDArray[np.integer]) -> NDArray[Any]:
        return np.asarray(
            logits(checkpoint.model, torch.from_numpy(checkpoint.inputs.normalise(codes))).numpy()
        )

    name = checkpoint.metadata.get("name", "model")
    outputs = outputs_of(name, split, values, progress)
    if count := int((~np.isfinite(outputs)).sum()):
        raise NotFiniteError(
            f"{count:,} of {outputs.size:,} outputs of {name} are not finite numbers; "
            "it cannot be scored"
        )
    return Evaluation(
        name,
        outputs,
        outputs,
        split.labels,
        _scores(checkpoint.inputs, outputs, split.labels),
        {},
        {},
    )


def evaluate_integer(
    manifest: Manifest, split: Split, processes: int = 1, progress: Progress | None = None
) -> Evaluation:
    """Run samples through the golden model.

    Args:
        manifest: an integer program.
        split: samples with their labels.
        processes: of the golden model. More than one are spawned if there are several batches,
            so the caller's main module has to be importable, as always with ``multiprocessing``.
        progress: called with the number of sequences done since the last call.

    Raises:
        SsmHdlError: the samples or their labels do not fit the program,
            or ``processes`` is below 1.
    """
    if manifest.output.per_sequence == split.per_step:
        puts, labels = ("a sequence", "each step")[:: 1 if manifest.output.per_sequence else -1]
        raise SsmHdlError(
            f"{manifest.name} has one answer for {puts}, and the samples have a label for {labels}"
        )
    if processes < 1:
        raise SsmHdlError(f"{processes} processes do no work; give 1 or more")
    manifest.check_samples(split.codes)
    parts = split.batches(BATCH, STEPS)
    results = list[Result]()

    def codes() -> Iterator[Codes]:
        for result in _run(manifest, [codes for _, codes in parts], processes):
            results.append(result)
            yield result.outputs

    outputs = gather(manifest.name, split, parts, codes(), progress)
    values = manifest.values(outputs)
    return Evaluation(
        manifest.name,
        outputs,
        values,
        split.labels,
        _scores(manifest.graph.samples, values, split.labels),
        {name: sum(result.saturations[name] for result in results) for name in manifest.nodes},
        {name: sum(result.elements[name] for result in results) for name in manifest.nodes},
    )


def _scores(
    samples: InputSpec | None, outputs: NDArray[Any], labels: NDArray[Any]
) -> dict[str, float]:
    """All scores; of a text also ``bits_per_character``."""
    figures = scores(outputs, labels)
    text = (
        {"bits_per_character": bits_per_step(outputs, labels)}
        if figures and samples is not None and samples.is_text
        else {}
    )
    return figures | text


def _run(
    manifest: Manifest, batches: list[NDArray[np.integer]], processes: int
) -> Iterator[Result]:
    """The golden model's results, batch by batch and in order."""
    if min(processes, len(batches)) <= 1:
        yield from (run(manifest, batch) for batch in batches)
        return
    with pool(min(processes, len(batches))) as workers:
        yield from workers.map(run, repeat(manifest), batches)


def outputs_of(
    name: str,
    split: Split,
    run: Callable[[NDArray[np.integer]], NDArray[Any]],
    progress: Progress | None = None,
) -> NDArray[Any]:
    """What ``run`` makes of samples, in batches of one length each; arguments as of `gather`."""
    parts = split.batches(BATCH, STEPS)
    return gather(name, split, parts, (run(codes) for _, codes in parts), progress)


def gather(
    name: str,
    split: Split,
    parts: list[Batch],
    results: Iterator[NDArray[Any]],
    progress: Progress | None = None,
) -> NDArray[Any]:
    """The outputs of all batches, in the order of the samples."""
    if not len(split):
        raise SsmHdlError(
            f"{name} has no samples to run; ask for one at least, or for another part (--split)"
        )
    whole = np.zeros(0)
    for (index, _), result in zip(parts, results, strict=True):
        if not whole.size:
            whole = np.zeros(
                (len(split), *split.codes.shape[1 : result.ndim - 1], result.shape[-1]),
                result.dtype,
            )
        if result.ndim == 3:
            whole[index, : result.shape[1]] = result
        else:
            whole[index] = result
        if progress is not None:
            progress(len(index))
    return whole
