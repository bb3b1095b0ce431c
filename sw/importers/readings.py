"""What the arrays of a checkpoint do not tell: asked for, or measured on labelled samples."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

from ssm_hdl.errors import UsageError
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.data import InputSpec, Split
from ssm_hdl.sw.evaluate import NotFiniteError, evaluate_float
from ssm_hdl.sw.importers.arrays import Unanswered
from ssm_hdl.sw.importers.stacks import POOLED
from ssm_hdl.sw.score import TITLES, main_score, score_text

FEW, SAMPLES = 100, 500
"""Samples that all readings are measured on, and those near the best once more."""

NEAR = 0.2
"""Distance of scores that is four deviations on a hundred samples."""

Reader = Callable[[InputSpec, Mapping[str, Any]], Checkpoint]
"""Reads the checkpoint for these inputs with these options."""


@dataclass(frozen=True)
class Reading:
    """A reading of a checkpoint, measured.

    Attributes:
        options: that the arrays do not tell.
        checkpoint: as read with them.
        score: of the samples, under the name of `main_score`.
        samples: number of them.
    """

    options: Mapping[str, str]
    checkpoint: Checkpoint
    score: float = 0.0
    samples: int = 0


def only(reader: Reader, inputs: InputSpec, options: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint, if the options tell all that the arrays do not.

    Raises:
        UsageError: something is not told; the message asks for all of it.
    """
    questions: list[Unanswered] = []
    while True:
        tried = {question.option: question.choices[0] for question in questions}
        try:
            checkpoint = reader(inputs, {**options, **tried})
        except Unanswered as question:
            if question.option in options:
                raise
            questions.append(question)
            continue
        if not questions:
            return checkpoint
        what = ", and ".join(question.what for question in questions)
        answers = ", ".join(question.answer for question in questions)
        told = f"{questions[0].path}: its arrays do not tell {what}"
        raise UsageError(f"{told}; give {answers}, or labelled samples to measure it with (--data)")


def normalisations(inputs: InputSpec) -> dict[str, InputSpec]:
    """Usual normalisations of the same codes by what they do to a value x,
    in the unit of the data."""
    scale = inputs.scale or (1.0,) * inputs.channels
    # of bytes, whose largest becomes 1
    top = 255 / 256 if inputs.input_format == "UQ(0, 8)" else 1.0
    mapped = {"as of the data set": inputs}
    mapped["none"] = replace(
        inputs, mean=(0.0,) * inputs.channels, std=tuple(top / one for one in scale)
    )
    if top < 1:
        mapped["(x - 0.5) / 0.5"] = replace(
            inputs, mean=(top / 2,) * inputs.channels, std=(top / 2,) * inputs.channels
        )
    return mapped


def measure(
    reader: Reader, inputs: InputSpec, options: Mapping[str, Any], split: Split, normalised: bool
) -> list[Reading]:
    """All readings of a checkpoint on labelled samples, the best first.

    Args:
        reader: of the checkpoint.
        inputs: the samples.
        options: that were given.
        split: samples with their labels.
        normalised: the normalisation was given too.

    Raises:
        UsageError: two readings are equally good, or there are no labels.
        NotFiniteError: no reading has finite outputs.
    """
    candidates, kind = [], main_score(inputs)
    specs = {"given": inputs} if normalised else normalisations(inputs)
    # Some layouts have a usual pooling, which the code that trained it may have changed.
    told = "pooling" in options or inputs.per_step
    starts = [{**options}] if told else [{**options, "pooling": pooling} for pooling in POOLED]
    for (name, spec), start in product(specs.items(), starts):
        for chosen, checkpoint in _answers(partial(reader, spec), start):
            answer = {key: value for key, value in chosen.items() if key not in options}
            candidates.append(Reading(answer | {"normalisation": name}, checkpoint))
    readings = _scored(candidates, split.spread(FEW), kind)
    near = [reading for reading in readings if reading.score >= readings[0].score - NEAR]
    if len(near) > 1 and len(split) > FEW:
        readings = _scored(near, split.spread(SAMPLES), kind) + readings[len(near) :]
    if len(readings) > 1 and readings[0].score == readings[1].score:
        a, b = (
            ", ".join(f"{key} {value}" for key, value in reading.options.items())
            for reading in readings[:2]
        )
        raise UsageError(
            f"{a} and {b} fit equally well ({TITLES[kind]} {score_text(kind, readings[0].score)}); "
            "say which it is, or give more samples"
        )
    return readings


def _scored(candidates: Sequence[Reading], split: Split, kind: str) -> list[Reading]:
    """The readings with their scores on samples, the best first."""
    readings, failure = [], None
    for candidate in candidates:
        try:
            scores = evaluate_float(candidate.checkpoint, split).scores
        except NotFiniteError as error:  # another reading may be right
            failure = error
            continue
        if not scores:
            name = candidate.checkpoint.inputs.name
            raise UsageError(
                f"the samples of {name} have no labels to measure with; "
                "say what the arrays do not tell"
            )
        readings.append(replace(candidate, score=scores[kind], samples=len(split)))
    if failure is not None and not readings:
        raise failure
    return sorted(readings, key=lambda reading: -reading.score)


def _answers(
    read: Callable[[Mapping[str, Any]], Checkpoint], given: dict[str, Any]
) -> Iterator[tuple[dict[str, Any], Checkpoint]]:
    """The checkpoint by every answer to every question."""
    try:
        yield given, read(given)
    except Unanswered as question:
        if question.option in given:
            raise
        for choice in question.choices:
            yield from _answers(read, given | {question.option: choice})
