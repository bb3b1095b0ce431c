"""What training, checkpoints and evaluation need of a model, whatever its family."""

from abc import ABC, abstractmethod
from typing import ClassVar, cast

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.data import InputSpec


class Config(BaseModel):
    """The sizes and the options of a model; the fields are what a checkpoint keeps, but for those that are excluded.

    Attributes:
        family: name of the family, as a checkpoint gives it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    family: ClassVar[str]

    def build(self, inputs: InputSpec) -> "Model":
        """A new model with random weights.

        Raises:
            SsmHdlError: sizes that make no model, or inputs that the family does not take.
        """
        raise NotImplementedError


class Model(nn.Module, ABC):
    """A sequence classifier: ``forward`` is for training; ``step`` recurs, as hardware does, and equals it.

    Attributes:
        config: what it was built from.
        decoder: what the mean over the steps goes into.
    """

    decoder: nn.Linear

    @property
    @abstractmethod
    def config(self) -> Config:
        """What the model was built from."""

    @abstractmethod
    def dynamics(self) -> list[nn.Parameter]:
        """The parameters of the recurrence, which want a lower learning rate and no weight decay."""

    @abstractmethod
    def initial_state(self, batch: int) -> Tensor:
        """The zero state (batch, ...), complex."""

    @abstractmethod
    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One time step, as streaming inference takes it.

        Args:
            x: normalised inputs (B, 1), or tokens.
            state: (B, ...) complex, ``initial_state`` at first.

        Returns:
            The last block's output (B, H), whose mean over the steps goes into ``decoder``, and the next state.
        """

    def forward_recurrent(self, x: Tensor) -> Tensor:
        """Logits (B, classes) of inputs x (B, L, 1), step by step: ``forward`` up to float rounding."""
        state, total = self.initial_state(len(x)), torch.zeros(())
        for x_step in x.unbind(1):
            output, state = self.step(x_step, state)
            total = total + output
        return cast(Tensor, self.decoder(total / x.shape[1]))


def check(what: str, dt_range: tuple[float, float], **sizes: int) -> None:
    """Refuse a model ``what`` that has a size below 1, or steps that cannot be drawn.

    Raises:
        SsmHdlError: the size or the range.
    """
    for name, value in sizes.items():
        if value < 1:
            raise SsmHdlError(f"{what} of {name} {value} is empty; {name} has to be at least 1")
    if not 0 < dt_range[0] <= dt_range[1] < float("inf"):
        raise SsmHdlError(f"dt cannot be drawn from {dt_range}; give a smallest and a largest positive number")
