"""Accuracy on a data set: of the float model, and of the integer program by the golden model."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.fixed import Codes
from ssm_hdl.sim.golden import run
from ssm_hdl.sw.data import Split

if TYPE_CHECKING:
    from ssm_hdl.sw.checkpoint import Checkpoint


@dataclass(frozen=True)
class Evaluation:
    """How well a model does.

    Attributes:
        name: of the model.
        sequences: how many it classified.
        correct: how many of them rightly.
        accuracy: the ratio of the two, 0 to 1.
        classes: its answers, (sequences,), the first largest output of each.
        saturations: saturated elements by operation; none for a float model.
        elements: elements that each of these operations stored.
    """

    name: str
    sequences: int
    correct: int
    accuracy: float
    classes: Codes
    saturations: dict[str, int]
    elements: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """All but the answers themselves, as JSON takes it."""
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
    from ssm_hdl.sw.train import logits, tensors

    outputs = []
    for start in range(0, len(split), 100):
        batch = Split(split.codes[start : start + 100], split.labels[start : start + 100])
        outputs.append(logits(checkpoint.model, tensors(checkpoint.inputs, batch)[0]).numpy())
        if progress is not None:
            progress(len(batch))
    return _evaluation(checkpoint.metadata.get("name", "s4d"), split, np.concatenate(outputs or [np.zeros((0, 1))]))


def evaluate_integer(manifest: Manifest, split: Split, progress: Callable[[int], None] | None = None) -> Evaluation:
    """Classify samples with the golden model.

    Args:
        manifest: an integer program with one output packet a sequence, one element a class.
        split: samples with their labels.
        progress: called with the number of sequences done since the last call.

    Raises:
        SsmHdlError: the program answers every time step, or its samples are others than these.
    """
    if not manifest.output.per_sequence:
        raise SsmHdlError(f"{manifest.name} answers every time step; accuracy needs one answer a sequence, from a pool")
    result = run(manifest, split.codes, progress=progress)
    return _evaluation(manifest.name, split, result.outputs, result.saturations, result.elements)


def _evaluation(
    name: str,
    split: Split,
    outputs: np.ndarray[Any, Any],
    saturations: dict[str, int] | None = None,
    elements: dict[str, int] | None = None,
) -> Evaluation:
    """Outputs (sequences, classes) beside the labels."""
    if not len(split):
        raise SsmHdlError(f"{name} has no samples to classify; ask for one at least")
    classes = outputs.argmax(axis=1)
    correct = int(np.count_nonzero(classes == split.labels))
    return Evaluation(name, len(split), correct, correct / len(split), classes, saturations or {}, elements or {})
