"""The interface of a model for training, checkpoints and evaluation, the same for every family."""

from abc import ABC, abstractmethod
from typing import Annotated, ClassVar, cast

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from ssm_hdl.errors import SsmHdlError, UsageError
from ssm_hdl.sw.data import InputSpec

Size = Annotated[int, Field(le=16384)]
"""A size of a model; a larger one is a mistake, and would take all memory.
`check` refuses those below 1."""


class Config(BaseModel):
    """The sizes and the options of a model. A checkpoint holds all fields but the excluded ones.

    Attributes:
        family: name of the family in a checkpoint.
        title: of a model in messages, with its article.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    family: ClassVar[str]
    title: ClassVar[str]

    def build(self, inputs: InputSpec) -> "Model":
        """A new model with random weights.

        Raises:
            SsmHdlError: invalid sizes, or inputs that the family does not take.
        """
        raise NotImplementedError


class Model(nn.Module, ABC):
    """A sequence classifier. ``forward`` is for training; ``step`` is the recurrence,
    as in hardware, and gives the same.

    Attributes:
        config: sizes and options.
        decoder: the last layer.
    """

    decoder: nn.Linear

    @property
    @abstractmethod
    def config(self) -> Config:
        """Sizes and options of the model."""

    @abstractmethod
    def dynamics(self) -> list[nn.Parameter]:
        """The parameters of the recurrence,
        which need a lower learning rate and no weight decay."""

    @torch.no_grad()
    def trace(self, x: Tensor) -> dict[str, Tensor]:
        """Every activation of inputs x (B, L, channels) by its name,
        in the order of the data flow."""
        seen: dict[str, Tensor] = {}
        self.forward(x, lambda name, value: seen.setdefault(name, value))
        return seen

    @abstractmethod
    def initial_state(self, batch: int) -> Tensor:
        """The zero state (batch, ...)."""

    @abstractmethod
    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One time step, as streaming inference takes it.

        Args:
            x: normalised inputs (B, channels), or tokens.
            state: (B, ...), ``initial_state`` at first.

        Returns:
            The last block's output (B, H), which is pooled over the steps and goes into
            ``decoder``, and the next state.
        """

    @abstractmethod
    def discrete(self) -> dict[str, Tensor]:
        """The coefficients of the recurrence by their names in messages."""

    def pool(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The packet (B, H) that the decoder reads, of all outputs x (B, L, H): their mean."""
        return mean_over(x, 1, lengths)

    def forward_recurrent(self, x: Tensor) -> Tensor:
        """Logits of inputs x (B, L, channels), step by step: ``forward`` up to float rounding."""
        state, outputs = self.initial_state(len(x)), []
        for x_step in x.unbind(1):
            output, state = self.step(x_step, state)
            outputs.append(output)
        return cast(Tensor, self.decoder(self.pool(torch.stack(outputs, 1))))


def mean_over(x: Tensor, dim: int, lengths: Tensor | None = None) -> Tensor:
    """The mean of x over its steps, which are its dimension ``dim``;
    of sequence b the first ``lengths[b]``, all for None."""
    if lengths is None:
        return x.mean(dim)
    shape = [1] * x.ndim
    shape[dim] = -1
    inside = torch.arange(x.shape[dim], device=x.device).view(shape) < lengths.view(
        -1, *[1] * (x.ndim - 1)
    )
    return (x * inside).sum(dim) / lengths.view(-1, *[1] * (x.ndim - 2))


def pool(x: Tensor, pooling: str, lengths: Tensor | None = None) -> Tensor:
    """The packets (B, H) of x (B, L, H), of sequence b the first ``lengths[b]`` steps;
    x itself for ``none``."""
    if pooling == "none":
        return x
    if pooling == "mean":
        return mean_over(x, 1, lengths)
    ends = torch.full((len(x),), x.shape[1], device=x.device) if lengths is None else lengths
    if pooling == "last":
        return x[torch.arange(len(x), device=x.device), ends - 1]
    inside = torch.arange(x.shape[1], device=x.device)[:, None] < ends[:, None, None]
    return x.masked_fill(~inside, -torch.inf).amax(1)


def pooling_for(inputs: InputSpec, pooling: str, given: bool) -> str:
    """The pooling of a model for these samples: ``none`` if they have a label for each step,
    unless another one was given.

    Raises:
        UsageError: the samples need another one.
    """
    pooling = "none" if inputs.per_step and not given else pooling
    if (pooling == "none") != inputs.per_step:
        label, choice = ("step", "none") if inputs.per_step else ("sequence", "mean, last or max")
        raise UsageError(
            f"{inputs.name} has a label for each {label}, and pooling {pooling} does not; "
            f"choose {choice}"
        )
    return pooling


def check(what: str, dt_range: tuple[float, float], **sizes: int) -> None:
    """Refuse a model ``what`` with a size below 1, or with an invalid range of dt.

    Raises:
        SsmHdlError: names the size or the range.
    """
    for name, value in sizes.items():
        if value < 1:
            raise SsmHdlError(f"{what} of {name} {value} is empty; {name} has to be at least 1")
    if not 0 < dt_range[0] <= dt_range[1] < float("inf"):
        raise SsmHdlError(
            f"dt cannot be drawn from {dt_range}; give a smallest and a largest positive number"
        )
