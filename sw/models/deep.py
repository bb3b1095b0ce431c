"""What deep models share.

encoder  Linear(channels -> H), or a table of vectors for tokens
blocks   several of them
norm_f   a norm, or none
pool     over the steps, or none
decoder  Linear(H -> classes)
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.models.base import Config, Model, Size, pool, pooling_for
from ssm_hdl.sw.models.norm import make_norm

Tap = Callable[[str, Tensor], Tensor]
"""Called with the name and the value of every activation;
returns the value that the model continues with."""


Epsilon = Annotated[float, Field(gt=0, le=1)]
"""Added to a variance or a mean square; with 0 a constant has no finite norm."""


def pass_on(name: str, value: Tensor) -> Tensor:
    """A tap that changes nothing."""
    return value


class DeepConfig(Config):
    """The options of every deep model. ``dt_range`` is for training only;
    checkpoints do not have it.

    Attributes:
        width: H, channels between the blocks.
        modes: of a block, or of each of its channels.
        layers: number of blocks.
        epsilon: see `Epsilon`.
        final_norm: there is a norm after the last block.
        pooling: ``mean`` of the steps, their ``last``, the largest of each channel (``max``),
            or ``none``: an answer per step.
        dt_range: smallest and largest initial dt; 1 / dt is the memory of a mode, in steps.
    """

    width: Size
    modes: Size
    layers: Annotated[int, Field(le=1024)] = 1
    epsilon: Epsilon = 1e-5
    final_norm: bool = False
    pooling: Literal["mean", "last", "max", "none"] = "mean"
    dt_range: tuple[float, float] = Field(default=(1e-3, 1e-1), exclude=True)

    def assemble(self, classes: int, tokens: int, channels: int) -> "DeepModel[Any, Any]":
        """A new model with random weights."""
        raise NotImplementedError

    def build(self, inputs: InputSpec) -> "DeepModel[Any, Any]":
        """A new model with random weights; it answers at every step if the samples
        have a label there.

        Raises:
            UsageError: ``pooling`` was given, and the samples need another.
        """
        pooling = pooling_for(inputs, self.pooling, "pooling" in self.model_fields_set)
        resolved = self.model_copy(update={"pooling": pooling})
        return resolved.assemble(inputs.outputs, inputs.tokens, inputs.channels)


class Recurrent(Protocol):
    """A block, a module. A tap has the names of its activations; without one, none are seen."""

    def __call__(self, x: Tensor, tap: Tap | None) -> Tensor:
        """The output (B, L, H) of x (B, L, H)."""

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step: x (B, H) and state (B, ...) to the output (B, H) and the new state."""


C = TypeVar("C", bound=DeepConfig)
B = TypeVar("B", bound=Recurrent)


class DeepModel(Model, Generic[C, B]):
    """A model of blocks.

    Args:
        config: sizes and options.
        classes: outputs of the decoder.
        tokens: size of the vocabulary of the inputs; 0 if they are numbers.
        channels: elements of an input.
        block: makes a block.
        norm: kind of the norm after the last block.
    """

    def __init__(
        self,
        config: C,
        classes: int,
        tokens: int,
        channels: int,
        block: Callable[[C], nn.Module],
        norm: str,
    ) -> None:
        super().__init__()
        self._config, self.classes, self.tokens = config, classes, tokens
        self.encoder = (
            nn.Embedding(tokens, config.width) if tokens else nn.Linear(channels, config.width)
        )
        self.layers = nn.ModuleList([block(config) for _ in range(config.layers)])
        self.norm_f = make_norm(norm if config.final_norm else "none", config.width, config.epsilon)
        self.decoder = nn.Linear(config.width, classes)

    @property
    def config(self) -> C:
        """Its sizes and options."""
        return self._config

    @property
    def blocks(self) -> list[B]:
        """The blocks, from the input to the output."""
        return cast(list[B], list(self.layers))

    def forward(self, x: Tensor, tap: Tap | None = None, lengths: Tensor | None = None) -> Tensor:
        """Logits (B, classes), or (B, L, classes) without pooling,
        of normalised inputs or tokens x (B, L, channels).

        Args:
            x: the inputs.
            tap: called with the name and the value of every activation; its result replaces the
                value. A name is the edge and the number of the block from 0, such as ``norm_0``.
            lengths: steps of each sequence (B,); all of them if None.
        """
        see = tap or pass_on
        x = see("encoder", self._encode(x))
        for number, block in enumerate(self.blocks):
            x = block(x, tap and partial(_numbered, tap, number))
        if self.config.final_norm:
            x = see("norm_f", self.norm_f(x))
        if self.config.pooling != "none":
            x = see("pool", self.pool(x, lengths))
        return see("decoder", self.decoder(x))

    def pool(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The packet (B, H) that the decoder reads, of x (B, L, H); x itself without pooling."""
        return pool(x, self.config.pooling, lengths)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One time step: x (B, channels) and state (B, layers, ...)
        to the output of ``norm_f`` (B, H) and the next state."""
        x, states = self._encode(x), []
        for number, block in enumerate(self.blocks):
            x, after = block.step(x, state[:, number])
            states.append(after)
        return self.norm_f(x), torch.stack(states, 1)

    def _encode(self, x: Tensor) -> Tensor:
        """The encoder's output (..., H) of x (..., channels)."""
        return cast(Tensor, self.encoder(x[..., 0] if self.tokens else x))


def _numbered(tap: Tap, number: int, name: str, value: Tensor) -> Tensor:
    """The tap of the block of this number."""
    return tap(f"{name}_{number}", value)
