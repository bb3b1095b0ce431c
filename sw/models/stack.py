"""Deep models: a stack of blocks around a diagonal SSM.

    encoder  Linear(channels -> H), or a table of vectors for tokens
    block    prenorm:  x <- x + gate(SSM(norm(x)))              several of them
             postnorm: x <- norm(x + gate(SSM(x)))
    norm_f   another norm, or none
    pool     over the steps
    decoder  Linear(H -> classes)

The families differ in the SSM only, ``seq`` of a block: `S5SSM` in ``s5_ssm.py``, `S4DSSM` in
``s4d_ssm.py``. Parameters have the names of the JAX code of S5 (lindermanlab/S5);
matrices are (out, in), as in torch.
"""

from typing import Annotated, Literal, Protocol, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.models.base import Size, check
from ssm_hdl.sw.models.deep import DeepConfig, DeepModel, Epsilon, Tap, pass_on
from ssm_hdl.sw.models.norm import make_norm


class SSM(Protocol):
    """The SSM of a block, a module."""

    def __call__(self, u: Tensor, tap: Tap) -> Tensor:
        """The readout (B, L, H) of u (B, L, H), with the skip D u."""

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step: u (B, H) and state (B, ...) complex to the readout (B, H) and the new state."""

    def exponent(self) -> Tensor:
        """A dt, of the shape of a state, complex."""

    def discrete(self) -> tuple[Tensor, Tensor]:
        """Abar, of the shape of a state, and Bbar; complex."""

    def dynamics(self) -> list[nn.Parameter]:
        """The parameters of the recurrence."""


class StackConfig(DeepConfig):
    """The options of a stack; modes are complex. ``dropout`` is for training only;
    checkpoints do not have it.

    Attributes:
        norm: ``layer`` has a gain, ``layer_bias`` a bias too; ``batch`` has both.
        order: ``prenorm`` or ``postnorm``.
        gate: with g = GELU(y): ``none`` g; ``half_glu1`` g * sigmoid(W g + b); ``half_glu2`` y *
            sigmoid(W g + b); ``full_glu`` (V g + a) * sigmoid(W g + b); ``glu`` the same,
            with V and W in one matrix.
        gelu: ``tanh``, the approximation of JAX, or ``erf``, the exact one.
        skip: the edge that the residual adds: the block's ``input`` or its ``norm``,
            as in s5-pytorch.
        hidden: width of a feed-forward network after every block; 0 for none. It is a norm,
            a linear layer, value * GELU(gate), a linear layer and a residual, as in s5-pytorch.
        dropout: probability that a channel is left out for a whole sequence.
    """

    norm: Literal["none", "layer", "layer_bias", "batch"] = "layer"
    order: Literal["prenorm", "postnorm"] = "prenorm"
    epsilon: Epsilon = 1e-6
    gate: Literal["none", "half_glu1", "half_glu2", "full_glu", "glu"] = "half_glu1"
    gelu: Literal["tanh", "erf"] = "tanh"
    skip: Literal["input", "norm"] = "input"
    hidden: Annotated[Size, Field(ge=0)] = 0
    dropout: float = Field(default=0.0, ge=0, lt=1, exclude=True)

    def ssm(self) -> SSM:
        """A new SSM for a block."""
        raise NotImplementedError

    def assemble(self, classes: int, tokens: int, channels: int) -> "Stack":
        """A new model with random weights."""
        return Stack(self, classes, tokens, channels)


class Block(nn.Module):
    """SSM, gate, residual, and a norm before or after them; optionally followed by norm,
    feed-forward network and residual."""

    def __init__(self, config: StackConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.norm = make_norm(config.norm, width, config.epsilon)
        self.seq: SSM = config.ssm()
        if config.gate == "full_glu":
            self.out1 = nn.Linear(width, width)
        if config.gate == "glu":
            self.out = nn.Linear(width, 2 * width)
        elif config.gate != "none":
            self.out2 = nn.Linear(width, width)
        if config.hidden:
            self.ff_norm = make_norm(config.norm, width, config.epsilon)
            self.ff_enc = nn.Linear(width, 2 * config.hidden, bias=False)
            self.ff_dec = nn.Linear(config.hidden, width, bias=False)
        self.drop = nn.Dropout1d(config.dropout)

    def forward(self, x: Tensor, tap: Tap | None) -> Tensor:
        """The block's output (B, L, H) of x (B, L, H)."""
        tap = tap or pass_on
        u = self._before(x, tap)
        return self._mix(x, u, tap("readout", self.seq(u, tap)), tap)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step: x (B, H) and state (B, ...) complex to the block's output (B, H)
        and the new state."""
        u = self._before(x, pass_on)
        y, state = self.seq.step(u, state)
        return self._mix(x, u, y, pass_on), state

    def _before(self, x: Tensor, tap: Tap) -> Tensor:
        """The input of the SSM."""
        return tap("norm", self.norm(x)) if self.config.order == "prenorm" else x

    def _mix(self, x: Tensor, u: Tensor, y: Tensor, tap: Tap) -> Tensor:
        """The operations after the SSM, all elementwise in time."""
        config = self.config
        active = self._drop(tap("gelu", self._gelu(y)))
        out = active if config.gate != "half_glu2" else y
        if config.gate == "full_glu":
            out = tap("value", self.out1(active))
        if config.gate == "glu":
            out, gate = tap("mixing", self.out(active)).chunk(2, -1)
            out, gate = tap("value", out), tap("gate", gate)
        elif config.gate != "none":
            gate = tap("gate", self.out2(active))
        if config.gate != "none":
            out = tap("glu", out * tap("sigmoid", torch.sigmoid(gate)))
        x = tap("residual", (u if config.skip == "norm" else x) + self._drop(out))
        if config.order == "postnorm":
            return tap("norm", self.norm(x))
        if not config.hidden:
            return x
        v = tap("ff_norm", self.ff_norm(x))
        value, gate = tap("ff_enc", self.ff_enc(v)).chunk(2, -1)
        product = tap("ff_glu", value * tap("ff_gelu", self._gelu(gate)))
        out = tap("ff_dec", self.ff_dec(product))
        return tap("ff_residual", (v if config.skip == "norm" else x) + self._drop(out))

    def _gelu(self, x: Tensor) -> Tensor:
        return functional.gelu(x, approximate="tanh" if self.config.gelu == "tanh" else "none")

    def _drop(self, x: Tensor) -> Tensor:
        """Leave out channels of x (B, L, H) for whole sequences."""
        return cast(Tensor, self.drop(x.mT).mT) if self.training and self.config.dropout else x


class Stack(DeepModel[StackConfig, Block]):
    """The whole model. The taps ``drive`` and ``state`` are (B, L, 2 P),
    real parts before imaginary ones.

    Args:
        config: sizes and options.
        classes: outputs of the decoder.
        tokens: size of the vocabulary of the inputs; 0 if they are numbers.
        channels: elements of an input.

    Raises:
        SsmHdlError: a size below 1, options that exclude each other, or a bad ``dt_range``.
    """

    def __init__(
        self, config: StackConfig, classes: int = 10, tokens: int = 0, channels: int = 1
    ) -> None:
        check(
            config.title,
            config.dt_range,
            width=config.width,
            modes=config.modes,
            layers=config.layers,
            classes=classes,
        )
        if config.final_norm and config.norm == "none":
            raise SsmHdlError(
                "a norm after the last block is of the kind of the others; choose a norm"
            )
        if config.order == "postnorm" and (
            config.norm == "none" or config.skip == "norm" or config.hidden
        ):
            raise SsmHdlError(
                "postnorm goes with a norm, and without skip norm and a feed-forward network; "
                "choose prenorm"
            )
        super().__init__(config, classes, tokens, channels, Block, config.norm)

    def dynamics(self) -> list[nn.Parameter]:
        """The parameters of the recurrences of all blocks."""
        return [parameter for block in self.blocks for parameter in block.seq.dynamics()]

    def discrete(self) -> dict[str, Tensor]:
        """A dt, Abar and Bbar of every block."""
        values = {}
        for k, block in enumerate(self.blocks):
            for name, value in zip(
                ("A dt", "Abar", "Bbar"), (block.seq.exponent(), *block.seq.discrete()), strict=True
            ):
                values[f"{name} of layer {k}"] = value
        return values

    def initial_state(self, batch: int) -> Tensor:
        """The zero states (batch, layers, ...), complex."""
        states = torch.zeros_like(torch.stack([block.seq.discrete()[0] for block in self.blocks]))
        return states.expand(batch, *states.shape)
