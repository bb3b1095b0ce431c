"""A description of samples, which checkpoints and manifests keep:
enough to feed a trained model without its data set."""

import json
import math
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, ConfigDict

from ssm_hdl.errors import SsmHdlError, brief
from ssm_hdl.fixed import Format

UNLABELLED = -1
"""The class of a step that has none: it trains nothing and is not scored.
A number for regression is NaN there."""

MAX_NAME = 200
"""Longest name of a file, a class or a channel."""


def _listed(value: object) -> object:
    """A list from its text in a checkpoint: JSON, or a single number alone,
    as older checkpoints have it."""
    if not isinstance(value, str):
        return value
    return json.loads(value) if value.startswith("[") else [value]


def _list(values: tuple[str, ...] | float) -> str:
    return ", ".join(values) if isinstance(values, tuple) else f"{values:g}"


Numbers = Annotated[tuple[float, ...], BeforeValidator(_listed)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


@dataclass(frozen=True)
class InputSpec:
    """What a sample is.

    Attributes:
        name: of the data set.
        input_format: the fixed-point format of a code, the same for all channels,
            such as ``UQ(0, 8)``.
        mean: of each channel, subtracted from the value of a code, code * lsb.
        std: of each channel, divides the difference.
        steps: length of the longest sequence.
        classes: number of classes; 0 if the labels are numbers (regression).
        tokens: size of the vocabulary if the codes are tokens, which a model looks up;
            0 if they are numbers.
        targets: numbers of a label, for regression.
        per_step: there is a label for every step, not one for a sequence.
        scale: of each channel, turns the value of a code into the unit of the data;
            empty if the data are the codes.
        rate: time steps per second; 0 if it is not known.
        class_names: of the classes, in their order; may be empty.
        channel_names: of the channels, in their order; may be empty.
        target_scale: of each target, turns the value of an output of the hardware into the unit of
            the labels; empty for 1.

    Raises:
        SsmHdlError: the fields contradict each other.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    name: str
    input_format: str
    mean: Numbers
    std: Numbers
    steps: int
    classes: int
    tokens: int = 0
    targets: int = 0
    per_step: bool = False
    scale: Numbers = ()
    rate: float = 0.0
    class_names: Names = ()
    channel_names: Names = ()
    target_scale: Numbers = ()

    def __post_init__(self) -> None:
        def check(good: bool, what: str) -> None:
            if not good:
                raise SsmHdlError(f"samples of {brief(self.name)}: {what}")

        Format.parse(self.input_format)
        check(
            self.channels > 0 and len(self.std) == self.channels,
            f"{len(self.mean)} means and {len(self.std)} deviations",
        )
        check(
            len(self.scale) in (0, self.channels),
            f"{len(self.scale)} scales of {self.channels} channels",
        )
        for value in self.mean:
            check(math.isfinite(value), f"a mean of {value}; it is a finite number")
        for what, values in (
            ("deviation", self.std),
            ("scale", self.scale),
            ("target scale", self.target_scale),
        ):
            for value in values:
                check(0 < value < math.inf, f"a {what} of {value}; it is a number above 0")
        check(
            0 <= self.rate < math.inf,
            f"a rate of {self.rate}; it is a number of time steps per second",
        )
        check(
            len(self.channel_names) in (0, self.channels),
            f"{len(self.channel_names)} names of {self.channels} channels",
        )
        check(
            len(self.class_names) in (0, self.classes),
            f"{len(self.class_names)} names of {self.classes} classes",
        )
        check(
            len(self.target_scale) in (0, self.targets),
            f"{len(self.target_scale)} scales of {self.targets} targets",
        )
        # The names of the classes of a text are its characters, a line's end among them.
        for text in (self.name, *self.channel_names, *(() if self.is_text else self.class_names)):
            good = text.isprintable() and 0 < len(text) <= MAX_NAME
            check(
                good,
                f"the name {brief(repr(text))}; a name is 1 to {MAX_NAME} characters that "
                "print on one line",
            )
        check(self.steps > 0, f"a sequence of {self.steps} steps; it has 1 at least")
        check((self.classes > 0) != (self.targets > 0), "they have either classes or targets")

    @property
    def channels(self) -> int:
        """Elements of a time step."""
        return len(self.mean)

    @property
    def outputs(self) -> int:
        """Elements that a model puts out: one per class, or the numbers of a label."""
        return self.classes or self.targets

    @property
    def is_text(self) -> bool:
        """The tokens are the characters of a text, by their names,
        and the label of a step is the next one."""
        characters = [name for name in self.class_names if len(name) == 1]
        return self.per_step and 0 < self.tokens == self.classes == len(characters)

    def normalise(self, codes: NDArray[np.integer]) -> NDArray[Any]:
        """Inputs of the float model, (code * lsb - mean) / std in float32, same shape;
        tokens stay as they are, in int32.

        Args:
            codes: of shape (..., channels); of any shape if there is one channel.
        """
        if self.tokens:
            return codes.astype(np.int32)
        mean, std = (
            np.array(one) if self.channels > 1 else one[0] for one in (self.mean, self.std)
        )
        return ((codes * Format.parse(self.input_format).lsb - mean) / std).astype(np.float32)

    def check_fits(self, model: "InputSpec") -> None:
        """Refuse samples that a model was not trained for.

        Args:
            model: what it was trained on. Names and the rate are compared where both are known.

        Raises:
            SsmHdlError: the samples differ from those; the message names the first difference.
        """
        if self.per_step != model.per_step:
            ours, theirs = (
                f"for each {'step' if one.per_step else 'sequence'}" for one in (self, model)
            )
            raise SsmHdlError(
                f"{self.name} has labels {ours}; the model, trained on {model.name}, "
                f"answers {theirs}"
            )
        for what in ("input_format", "channels", "tokens", "classes", "targets"):
            ours, theirs = getattr(self, what), getattr(model, what)
            if ours != theirs:
                raise SsmHdlError(
                    f"{self.name} has {what} {ours}; the model, trained on {model.name}, "
                    f"has {what} {theirs}"
                )
        for what in ("class_names", "channel_names", "rate"):
            ours, theirs = getattr(self, what), getattr(model, what)
            if ours and theirs and ours != theirs:
                raise SsmHdlError(
                    f"{self.name} has the {what.replace('_', ' ')} {brief(_list(ours))}; "
                    f"the model, trained on {model.name}, has {brief(_list(theirs))}"
                )

    def facts(self) -> dict[str, Any]:
        """The fields that are not at their defaults."""
        values = {field.name: getattr(self, field.name) for field in fields(InputSpec)}
        return {
            field.name: list(value) if isinstance(value := values[field.name], tuple) else value
            for field in fields(InputSpec)
            if field.default is MISSING or values[field.name] != field.default
        }
