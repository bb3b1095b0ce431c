"""S5: the model of "Simplified State Space Layers for Sequence Modeling" (Smith et al., arXiv 2208.04933).

    encoder  Linear(1 -> H), or a table of vectors for tokens
    block    u = norm(x);  x <- x + gate(SSM(u)), several of them
    pool     mean over the steps
    decoder  Linear(H -> classes)

The SSM is in ``s5_ssm.py``. The parameters have the names of the JAX code (lindermanlab/S5); matrices are (out, in), as in torch.
"""

from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.models.base import Config, Model, check, mean_over
from ssm_hdl.sw.models.norm import make_norm
from ssm_hdl.sw.models.s5_ssm import S5SSM, Discretization, Tap


class S5Config(Config):
    """The options of an S5. The last three are for initialisation and training only; checkpoints do not have them.

    Attributes:
        width: H, channels.
        modes: P, complex modes per block.
        layers: number of blocks.
        norm: ``layer`` has a gain, ``layer_bias`` a bias too; ``batch`` has both.
        epsilon: added to the variance.
        gate: with g = GELU(y): ``none`` g; ``half_glu1`` g * sigmoid(W g + b); ``half_glu2`` y * sigmoid(W g + b);
            ``full_glu`` (V g + a) * sigmoid(W g + b).
        gelu: ``tanh``, the approximation of JAX, or ``erf``, the exact one.
        discretization: ``zoh`` or ``bilinear``.
        skip: the edge that the residual adds: the block's ``input`` or its ``norm``, as in s5-pytorch.
        hidden: width of a feed-forward network after every block; 0 for none. It is a norm, a linear layer, value * GELU(gate), a
            linear layer and a residual, as in s5-pytorch.
        clip: limit the real parts of eigenvalues to -1e-4, so that every mode decays.
        blocks: J of the initial HiPPO-N.
        dt_range: smallest and largest initial dt; 1 / dt is the memory of a mode, in steps.
        dropout: probability that a channel is left out for a whole sequence.
    """

    family: ClassVar[str] = "s5"
    width: int
    modes: int
    layers: int = 1
    norm: Literal["layer", "layer_bias", "batch"] = "layer"
    epsilon: float = 1e-6
    gate: Literal["none", "half_glu1", "half_glu2", "full_glu"] = "half_glu1"
    gelu: Literal["tanh", "erf"] = "tanh"
    discretization: Discretization = "zoh"
    skip: Literal["input", "norm"] = "input"
    hidden: int = 0
    clip: bool = True
    blocks: int = Field(default=1, exclude=True)
    dt_range: tuple[float, float] = Field(default=(1e-3, 1e-1), exclude=True)
    dropout: float = Field(default=0.0, exclude=True)

    def build(self, inputs: InputSpec) -> "S5":
        """A new model with random weights."""
        return S5(self, inputs.outputs, inputs.tokens)


class S5Block(nn.Module):
    """Norm, SSM, gate and residual; optionally followed by norm, feed-forward network and residual."""

    def __init__(self, config: S5Config) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.norm = make_norm(config.norm, width, config.epsilon)
        self.seq = S5SSM(width, config.modes, config.blocks, config.dt_range, config.discretization, config.clip)
        if config.gate == "full_glu":
            self.out1 = nn.Linear(width, width)
        if config.gate != "none":
            self.out2 = nn.Linear(width, width)
        if config.hidden:
            self.ff_norm = make_norm(config.norm, width, config.epsilon)
            self.ff_enc = nn.Linear(width, 2 * config.hidden, bias=False)
            self.ff_dec = nn.Linear(config.hidden, width, bias=False)
        self.drop = nn.Dropout1d(config.dropout)

    def forward(self, x: Tensor, tap: Tap) -> Tensor:
        """The block's output (B, L, H) of x (B, L, H)."""
        u = tap("norm", self.norm(x))
        return self._mix(x, u, tap("readout", self.seq(u, tap)), tap)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step: x (B, H) and state (B, P) complex to the block's output (B, H) and the new state."""
        u = self.norm(x)
        y, state = self.seq.step(u, state)
        return self._mix(x, u, y, _pass), state

    def _mix(self, x: Tensor, u: Tensor, y: Tensor, tap: Tap) -> Tensor:
        """The operations after the SSM, all elementwise in time."""
        active = self._drop(tap("gelu", self._gelu(y)))
        out = active if self.config.gate != "half_glu2" else y
        if self.config.gate == "full_glu":
            out = tap("value", self.out1(active))
        if self.config.gate != "none":
            out = tap("glu", out * tap("sigmoid", torch.sigmoid(tap("gate", self.out2(active)))))
        x = tap("residual", (u if self.config.skip == "norm" else x) + self._drop(out))
        if not self.config.hidden:
            return x
        v = tap("ff_norm", self.ff_norm(x))
        value, gate = tap("ff_enc", self.ff_enc(v)).chunk(2, -1)
        product = tap("ff_glu", value * tap("ff_gelu", self._gelu(gate)))
        out = tap("ff_dec", self.ff_dec(product))
        return tap("ff_residual", (v if self.config.skip == "norm" else x) + self._drop(out))

    def _gelu(self, x: Tensor) -> Tensor:
        return functional.gelu(x, approximate="tanh" if self.config.gelu == "tanh" else "none")

    def _drop(self, x: Tensor) -> Tensor:
        """Leave out channels of x (B, L, H) for whole sequences."""
        return cast(Tensor, self.drop(x.mT).mT) if self.training and self.config.dropout else x


class S5(Model):
    """The whole model.

    Args:
        config: sizes and options.
        classes: outputs of the decoder.
        tokens: size of the vocabulary of the inputs; 0 if they are numbers.

    Raises:
        SsmHdlError: a size below 1, modes that do not divide into the blocks of HiPPO-N, or a bad ``dt_range``.
    """

    def __init__(self, config: S5Config, classes: int = 10, tokens: int = 0) -> None:
        super().__init__()
        sizes = {"width": config.width, "modes": config.modes, "layers": config.layers, "blocks": config.blocks}
        check("an S5", config.dt_range, **sizes, classes=classes)
        if config.modes % config.blocks:
            raise SsmHdlError(f"{config.modes} modes cannot be divided into {config.blocks} blocks; choose a divisor")
        self._config, self.classes, self.tokens = config, classes, tokens
        self.encoder = nn.Embedding(tokens, config.width) if tokens else nn.Linear(1, config.width)
        self.layers = nn.ModuleList([S5Block(config) for _ in range(config.layers)])
        self.decoder = nn.Linear(config.width, classes)

    @property
    def config(self) -> S5Config:
        """Its sizes and options."""
        return self._config

    def dynamics(self) -> list[nn.Parameter]:
        """Lambda, B and dt of all blocks, the same group as in the paper's optimiser."""
        return [parameter for block in self.blocks for parameter in _dynamics(block.seq)]

    @property
    def blocks(self) -> list[S5Block]:
        """The blocks, from the input to the output."""
        return [cast(S5Block, block) for block in self.layers]

    def forward(self, x: Tensor, tap: Tap | None = None, lengths: Tensor | None = None) -> Tensor:
        """Logits (B, classes) of normalised inputs or tokens x (B, L, 1).

        Args:
            x: the inputs.
            tap: called with the name and the value of every activation; its result replaces the value. A name is the edge and the
                number of the block from 0, such as ``norm_0``. ``drive`` and ``state`` are (B, L, 2 P), real parts before
                imaginary ones.
            lengths: steps of each sequence (B,); all of them if None.
        """
        see = tap or _pass
        x = see("encoder", self._encode(x))
        for number, block in enumerate(self.blocks):
            # The default binds the number of this block; a plain closure would see the last one.
            x = block(x, lambda name, value, number=number: see(f"{name}_{number}", value))
        return see("decoder", self.decoder(see("pool", mean_over(x, 1, lengths))))

    @torch.no_grad()
    def trace(self, x: Tensor) -> dict[str, Tensor]:
        """Every activation of inputs x (B, L, 1) by its name, in the order of the data flow."""
        seen: dict[str, Tensor] = {}
        self.forward(x, lambda name, value: seen.setdefault(name, value))
        return seen

    def initial_state(self, batch: int) -> Tensor:
        """The zero states (batch, layers, P), complex."""
        return torch.zeros_like(torch.stack([block.seq.discrete()[0] for block in self.blocks])).repeat(batch, 1, 1)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One time step: x (B, 1) and state (B, layers, P) to the last block's output (B, H) and the next state."""
        x, states = self._encode(x), []
        for number, block in enumerate(self.blocks):
            x, after = block.step(x, state[:, number])
            states.append(after)
        return x, torch.stack(states, 1)

    def _encode(self, x: Tensor) -> Tensor:
        """The encoder's output (..., H) of x (..., 1)."""
        return cast(Tensor, self.encoder(x[..., 0] if self.tokens else x))


def _pass(name: str, value: Tensor) -> Tensor:
    return value


def _dynamics(seq: S5SSM) -> list[nn.Parameter]:
    return [seq.Lambda_re, seq.Lambda_im, seq.B, seq.log_step]
