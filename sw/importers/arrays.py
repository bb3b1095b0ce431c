"""The arrays of a public checkpoint, checked one by one."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import torch
from torch import Tensor

from ssm_hdl.errors import SsmHdlError, UsageError, brief, listing


class Arrays:
    """Arrays by name, with a record of those in use.

    Attributes:
        path: of the file, for the messages.
        tensors: all arrays.
    """

    def __init__(self, path: Path, tensors: Mapping[str, Tensor]) -> None:
        self.path, self.tensors, self._taken = path, dict(tensors), set[str]()

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def fail(self, what: str) -> NoReturn:
        """Refuse the checkpoint."""
        raise SsmHdlError(f"{self.path} {what}")

    def first(self, *names: str) -> str:
        """The first of ``names`` that there is, or else the last, which will be missed then."""
        return next((name for name in names if name in self.tensors), names[-1])

    def shape(self, name: str, meaning: str) -> tuple[int, ...]:
        """The shape of an array that the sizes of the model are read from.

        Args:
            name: of the array.
            meaning: what the shape should be, such as ``(H, N, 2)``.

        Raises:
            SsmHdlError: there is no such array, or it has another number of dimensions.
        """
        actual = tuple(self.tensors[name].shape) if name in self.tensors else None
        if actual is None or len(actual) != meaning.count(",") + (not meaning.endswith(",)")):
            state = "is missing" if actual is None else f"has shape {actual}"
            self.fail(f"has another layout: {brief(name)} {state}, it should have shape {meaning}")
        return actual

    def take(self, name: str, *shape: int, is_complex: bool = False, why: str = "") -> Tensor:
        """An array of a given shape, of real or of complex numbers; 16-bit ones in 32 bits.

        Further dimensions of 1 at the end are left out: a convolution over one step is a dense.

        Args:
            name: of the array.
            shape: that it should have.
            is_complex: whether its numbers are complex.
            why: it should have the shape, for the message.

        Raises:
            SsmHdlError: it is missing, has another shape or kind of numbers,
                or holds values that are not finite numbers.
        """
        if name not in self.tensors:
            left = sorted(self.tensors.keys() - self._taken)
            fitting = [other for other in left if self._fits(other, shape)]
            old, new = fitting[0] if len(fitting) == 1 else "NAME", name
            # then the bias has the same prefixes
            if re.split("[./]", old)[-1] == (part := re.split("[./]", new)[-1]):
                old, new = (text.removesuffix(part)[:-1] for text in (old, new))
            self.fail(
                f"lacks {brief(name)} of shape {shape}; if it is there by another name, "
                f"give --map {brief(old)}={brief(new)}; there are {listing(left)}"
            )
        tensor = self.tensors[name]
        if self._fits(name, shape):
            tensor = tensor.reshape(shape)
        if tuple(tensor.shape) != shape:
            fault = f"{brief(name)} has shape {tuple(tensor.shape)}, it should have {shape}"
            raise SsmHdlError(f"{self.path}: {fault}" + (f": {why}" if why else ""))
        if not (tensor.is_complex() if is_complex else tensor.is_floating_point()):
            kind = "complex" if is_complex else "real floating-point"
            raise SsmHdlError(
                f"{self.path}: {brief(name)} is {tensor.dtype}; {kind} numbers are wanted; "
                "save them"
            )
        if tensor.dtype == torch.complex32:
            tensor = tensor.to(torch.complex64)
        tensor = tensor.float() if tensor.element_size() < 4 else tensor
        if not torch.isfinite(tensor).all():
            count = int((~torch.isfinite(tensor)).sum())
            fault = f"{brief(name)} has {count} values that are not finite"
            raise SsmHdlError(
                f"{self.path}: {fault}; its training diverged, or the file is damaged"
            )
        self._taken.add(name)
        return tensor

    def _fits(self, name: str, shape: tuple[int, ...]) -> bool:
        actual = tuple(self.tensors[name].shape)
        return actual[: len(shape)] == shape and set(actual[len(shape) :]) <= {1}

    def bias(self, weight: str, size: int) -> Tensor:
        """The bias beside a weight; zeros where there is none."""
        name = re.sub(r"\w+$", "bias", weight)
        return self.take(name, size) if name in self.tensors else torch.zeros(size)

    def refuse(self, option: str, given: object, why: str) -> None:
        """Refuse an option that would change nothing.

        Raises:
            UsageError: it was given.
        """
        if given is not None:
            raise UsageError(f"{self.path} {why}; leave --{option.replace('_', '-')} out")

    def all_taken(self, layout: str) -> None:
        """Refuse arrays that were not used; counters, which are integers without a dimension,
        may be left.

        Raises:
            SsmHdlError: names the first unused array.
        """
        for name in sorted(self.tensors.keys() - self._taken):
            if self.tensors[name].ndim or self.tensors[name].is_floating_point():
                self.fail(
                    f"has {brief(name)}, which a model of layout {layout} that can be imported "
                    "does not have; if that is another name of a part it has, give --map OLD=NEW; "
                    f"if no output needs it, --map {brief(name)}="
                )

    def ask(self, option: str, given: str | None, choices: Sequence[str], what: str) -> str:
        """The value of an option that says ``what`` the arrays do not tell.

        Raises:
            Unanswered: it was not given, or is none of ``choices``.
        """
        if given is None or given not in choices:
            raise Unanswered(self.path, what, option, choices, given)
        return given


class Unanswered(UsageError):
    """A question about a checkpoint.

    Attributes:
        path: of the checkpoint.
        what: its arrays do not tell.
        option: that answers it.
        choices: its values.
    """

    def __init__(
        self, path: Path, what: str, option: str, choices: Sequence[str], given: str | None
    ) -> None:
        self.path, self.what, self.option, self.choices = path, what, option, choices
        value = "" if given is None else f" {given} is no choice;"
        super().__init__(f"{path}:{value} its arrays do not tell {what}; give {self.answer}")

    @property
    def answer(self) -> str:
        """The option with its values, as a message names it."""
        return f"--{self.option.replace('_', '-')} {' or '.join(self.choices)}"
