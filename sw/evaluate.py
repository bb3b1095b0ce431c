"""Accuracy on a data set: of the float model, and of the integer program by the golden model."""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.fixed import Codes
from ssm_hdl.sim.golden import Result, run
from ssm_hdl.sw.data import Split

if TYPE_CHECKING:
    from ssm_hdl.sw.checkpoint import Checkpoint


BATCH = 100
"""Sequences per batch."""


@dataclass(frozen=True)
class Evaluation:
    """The accuracy of a model.

    Attributes:
        name: of the model.
        sequences: number of sequences classified.
        correct: number of correct classes among them.
        accuracy: the ratio of the two, 0 to 1.
        classes: the model's answers, (sequences,); of equal outputs the first counts.
        saturations: saturated elements by operation; empty for a float model.
        elements: stored elements by operation.
    """

    name: str
    sequences: int
    correct: int
    accuracy: float
    classes: Codes
    saturations: dict[str, int]
    elements: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """All fields but ``classes``, for JSON."""
        fields = asdict(self)
        del fields["classes"]
        return fields


def evaluate_float(checkpoint: "Checkpoint", split: Split, progress: Callable[[int], None] | None = None) -> Evaluation:
    """Classify samples with the float model, by convolution.

    Args:
        checkpoint: the model.
        split: samples with their labels.
        progress: called with the number of sequences done since the last call.
    """
    import torch

    from ssm_hdl.sw.train import logits

    outputs = []
    for batch in _batches(split.codes):
        outputs.append(logits(checkpoint.model, torch.from_numpy(checkpoint.inputs.normalise(batch))).numpy())
        if progress is not None:
            progress(len(batch))
    return _evaluation(checkpoint.metadata.get("name", "s4d"), split, outputs)


def evaluate_integer(
    manifest: Manifest, split: Split, processes: int = 1, progress: Callable[[int], None] | None = None
) -> Evaluation:
    """Classify samples with the golden model.

    Args:
        manifest: an integer program with one output packet per sequence, one element per class.
        split: samples with their labels.
        processes: of the golden model. More than one are spawned if there are several batches, so the caller's main module
            has to be importable, as always with ``multiprocessing``.
        progress: called with the number of sequences done since the last call.

    Raises:
        SsmHdlError: the program answers every time step, the samples do not fit it, or ``processes`` is below 1.
    """
    if not manifest.output.per_sequence:
        raise SsmHdlError(f"{manifest.name} answers every time step; accuracy needs one answer a sequence, from a pool")
    if processes < 1:
        raise SsmHdlError(f"{processes} processes do no work; give 1 or more")
    manifest.check_samples(split.codes)
    results = []
    for result in _run(manifest, split.codes, processes):
        results.append(result)
        if progress is not None:
            progress(len(result.outputs))
    return _evaluation(
        manifest.name,
        split,
        [result.outputs for result in results],
        {name: sum(result.saturations[name] for result in results) for name in manifest.nodes},
        {name: sum(result.elements[name] for result in results) for name in manifest.nodes},
    )


def _run(manifest: Manifest, codes: NDArray[np.integer], processes: int) -> Iterator[Result]:
    """The golden model's results, batch by batch and in order."""
    batches = _batches(codes)
    if min(processes, len(batches)) <= 1:
        yield from (run(manifest, batch) for batch in batches)
        return
    context = multiprocessing.get_context("spawn")  # a fork could hang on a lock of another thread
    with ProcessPoolExecutor(min(processes, len(batches)), context) as pool:
        yield from pool.map(run, repeat(manifest), batches)


def _batches(codes: NDArray[np.integer]) -> list[NDArray[np.integer]]:
    return [codes[start : start + BATCH] for start in range(0, len(codes), BATCH)]


def _evaluation(
    name: str,
    split: Split,
    outputs: list[NDArray[Any]],
    saturations: dict[str, int] | None = None,
    elements: dict[str, int] | None = None,
) -> Evaluation:
    """Compare batches of outputs (sequences, classes) with the labels."""
    if not len(split):
        raise SsmHdlError(f"{name} has no samples to classify; ask for one at least")
    classes = np.concatenate(outputs).argmax(axis=1)
    correct = int(np.count_nonzero(classes == split.labels))
    return Evaluation(name, len(split), correct, correct / len(split), classes, saturations or {}, elements or {})
