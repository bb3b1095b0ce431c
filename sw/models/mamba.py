"""Mamba: "Linear-Time Sequence Modeling with Selective State Spaces" (Gu and Dao,
arXiv 2312.00752).

    encoder  Linear(channels -> D), or a table of vectors for tokens
    block    x <- x + mixer(RMSNorm(x))                                    several of them
    norm_f   RMSNorm, or none
    pool     over the steps, or none
    decoder  Linear(D -> classes)

The mixer has E = expand D channels of N real modes, and dt is of rank R:

    [x, z] = in_proj(u)                   (2 E, D)
    x      = SiLU(conv1d(x))              causal, of each channel by itself
    r, B, C = x_proj(x)                   (R + 2 N, E)
    dt     = softplus(dt_proj(r))         (E, R), with a bias
    h'     = exp(dt A) o h + (dt x) B     A = -exp(A_log) (E, N)
    y      = sum_n C_n h'_n + D x
    out    = out_proj(y * SiLU(z))        (D, E)

Parameters have the names and the shapes of mamba_ssm. A language model is a model of tokens with a
label for each step.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ssm_hdl.errors import UsageError
from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.models.base import Size, check
from ssm_hdl.sw.models.deep import DeepConfig, DeepModel, Tap, pass_on
from ssm_hdl.sw.models.norm import make_norm
from ssm_hdl.sw.models.selective import readout, select, states

SMALLEST_DT = 1e-4
"""Of mamba_ssm: no initial dt is below it."""


class MambaConfig(DeepConfig):
    """The options of a Mamba. Width and modes are D and N, of each channel of a block;
    the last norm is an RMSNorm.

    Attributes:
        expand: channels of a block by those between the blocks.
        rank: R of dt; 0 for D / 16, rounded up.
        taps: of the convolution.
        norm: of the blocks: ``rms`` or ``none``.
        residual: a block adds its input.
        tied: the decoder has the table of the encoder as its matrix, and no bias.
    """

    family: ClassVar[str] = "mamba"
    title: ClassVar[str] = "a Mamba"
    modes: Size = 16
    expand: Annotated[int, Field(le=64)] = 2
    rank: Annotated[Size, Field(ge=0)] = 0
    taps: Annotated[int, Field(le=64)] = 4
    norm: Literal["rms", "none"] = "rms"
    final_norm: bool = True
    residual: bool = True
    tied: bool = False

    @property
    def inner(self) -> int:
        """E, channels of a block."""
        return self.expand * self.width

    @property
    def dt_rank(self) -> int:
        """R, resolved."""
        return self.rank or math.ceil(self.width / 16)

    def assemble(self, classes: int, tokens: int, channels: int) -> "Mamba":
        """A new model with random weights."""
        return Mamba(self, classes, tokens, channels)

    def build(self, inputs: InputSpec) -> "DeepModel[Any, Any]":
        """A new model with random weights.

        Raises:
            UsageError: as of a deep model; or ``tied``, and tokens are not the classes.
        """
        if self.tied and inputs.tokens != inputs.outputs:
            raise UsageError(
                f"{inputs.name} has {inputs.tokens} tokens and {inputs.outputs} outputs; "
                "a tied decoder needs equally many"
            )
        return super().build(inputs)


class Mixer(nn.Module):
    """The mixer of a block, initialised as in mamba_ssm."""

    def __init__(self, config: MambaConfig) -> None:
        super().__init__()
        inner, rank, modes = config.inner, config.dt_rank, config.modes
        self.sizes = rank, modes, modes
        self.in_proj = nn.Linear(config.width, 2 * inner, bias=False)
        self.conv1d = nn.Conv1d(inner, inner, config.taps, groups=inner)
        self.x_proj = nn.Linear(inner, rank + 2 * modes, bias=False)
        self.dt_proj = nn.Linear(rank, inner)
        self.out_proj = nn.Linear(inner, config.width, bias=False)
        self.A_log = nn.Parameter(torch.log(torch.arange(1.0, modes + 1)).repeat(inner, 1))
        self.D = nn.Parameter(torch.ones(inner))
        low, high = math.log(config.dt_range[0]), math.log(config.dt_range[1])
        dt = torch.exp(torch.rand(inner) * (high - low) + low).clamp(min=SMALLEST_DT)
        with torch.no_grad():
            nn.init.uniform_(self.dt_proj.weight, -(rank**-0.5), rank**-0.5)
            self.dt_proj.bias.copy_(dt + torch.log(-torch.expm1(-dt)))  # softplus of it is dt
            self.out_proj.weight.div_(math.sqrt(config.layers))

    def a(self) -> Tensor:
        """A (E, N)."""
        return -torch.exp(self.A_log)

    def dynamics(self) -> list[nn.Parameter]:
        """The parameters that mamba_ssm exempts from weight decay."""
        return [self.A_log, self.D, self.dt_proj.bias]

    def forward(self, u: Tensor, tap: Tap | None) -> Tensor:
        """The output (B, L, D) of u (B, L, D). With a tap,
        all states are held in memory at once."""
        see = tap or pass_on
        x, z = self._open(u, see)
        taps, steps = self.conv1d.weight.shape[-1], x.shape[1]
        padded = functional.pad(x, (0, 0, taps - 1, 0))
        x, dt, v, b, c = self._project([padded[:, k : k + steps] for k in range(taps)], see)
        if tap is None:
            return self._close(x, select(dt, self.a(), v, b, c), z, see)
        h = see("state", states(dt, self.a(), v, b))
        return self._close(x, readout(h, c), z, see)

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step: u (B, D) and state (B, E, N + taps - 1), of modes and inputs,
        to the output (B, D) and the new state."""
        x, z = self._open(u, pass_on)
        modes = self.A_log.shape[1]
        h, window = state[..., :modes], torch.cat([state[..., modes:], x[..., None]], -1)
        x, dt, v, b, c = self._project(window.unbind(-1), pass_on)
        h = torch.exp(dt[..., None] * self.a()) * h + v[..., None] * b[..., None, :]
        return self._close(x, readout(h, c), z, pass_on), torch.cat([h, window[..., 1:]], -1)

    def _open(self, u: Tensor, see: Tap) -> tuple[Tensor, Tensor]:
        """The input of the convolution and the gate, each (..., E)."""
        x, z = self.in_proj(u).chunk(2, -1)
        return see("inner", x), see("gate", z)

    def _project(
        self, window: Sequence[Tensor], see: Tap
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """What the scan takes: x, dt, the drive dt x (..., E), and B and C (..., N),
        of the last inputs, the oldest first."""
        # A few products of whole arrays are faster than torch's convolution.
        conv = cast(Tensor, self.conv1d.bias)
        for past, weight in zip(window, self.conv1d.weight[:, 0].unbind(1), strict=True):
            conv = conv + past * weight
        x = see("active", functional.silu(see("conv", conv)))
        rank, b, c = self.x_proj(x).split(self.sizes, -1)
        rank, b, c = see("rank", rank), see("b", b), see("c", c)
        dt = functional.softplus(see("dt", self.dt_proj(rank)))
        # the integers take the decay from the rate, and the drive from the step
        if see is not pass_on:
            # a step that underflows to 0 has no logarithm
            positive = dt.clamp(min=torch.finfo(dt.dtype).tiny)
            rate = see("rate", torch.log2(positive / math.log(2)))
            step = see("step", dt)
            return x, torch.exp2(rate) * math.log(2), see("drive", step * x), b, c
        return x, dt, dt * x, b, c

    def _close(self, x: Tensor, scan: Tensor, z: Tensor, see: Tap) -> Tensor:
        """The operations after the scan."""
        y = see("sum", see("scan", scan) + see("skip", self.D * x))
        return see("out", self.out_proj(see("gated", y * see("opened", functional.silu(z)))))


class Block(nn.Module):
    """Norm, mixer, residual."""

    def __init__(self, config: MambaConfig) -> None:
        super().__init__()
        self.config = config
        self.norm = make_norm(config.norm, config.width, config.epsilon)
        self.mixer = Mixer(config)

    def forward(self, x: Tensor, tap: Tap | None) -> Tensor:
        """The block's output (B, L, D) of x (B, L, D)."""
        see = tap or pass_on
        u = see("norm", self.norm(x)) if self.config.norm != "none" else x
        out = self.mixer(u, tap)
        return see("residual", x + out) if self.config.residual else out

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step: x (B, D) and the mixer's state to the block's output (B, D)
        and the new state."""
        out, state = self.mixer.step(self.norm(x), state)
        return x + out if self.config.residual else out, state


class Tied(nn.Module):
    """A decoder with the table of the encoder as its matrix. A checkpoint holds the table once."""

    bias = None

    def __init__(self, encoder: nn.Embedding) -> None:
        super().__init__()
        self.__dict__["encoder"] = encoder  # not as a child, whose parameters would be saved twice

    @property
    def weight(self) -> Tensor:
        """The table (tokens, D)."""
        return cast(nn.Embedding, self.__dict__["encoder"]).weight

    def forward(self, x: Tensor) -> Tensor:
        """Logits (..., tokens) of x (..., D)."""
        return functional.linear(x, self.weight)


class Mamba(DeepModel[MambaConfig, Block]):
    """The whole model. The tap ``state`` is (B, L, E, N), and ``rate`` is log2(dt log2 e).

    Args:
        config: sizes and options.
        classes: outputs of the decoder.
        tokens: size of the vocabulary of the inputs; 0 if they are numbers.
        channels: elements of an input.

    Raises:
        SsmHdlError: a size below 1, or a bad ``dt_range``.
    """

    def __init__(
        self, config: MambaConfig, classes: int = 10, tokens: int = 0, channels: int = 1
    ) -> None:
        sizes = {
            name: getattr(config, name) for name in ("width", "layers", "modes", "expand", "taps")
        }
        check(config.title, config.dt_range, classes=classes, **sizes)
        super().__init__(config, classes, tokens, channels, Block, "rms")
        if tokens:
            nn.init.normal_(self.encoder.weight, std=0.02)
        if config.tied:
            self.decoder = cast(nn.Linear, Tied(cast(nn.Embedding, self.encoder)))

    def dynamics(self) -> list[nn.Parameter]:
        """A, D and the bias of dt of all blocks."""
        return [parameter for block in self.blocks for parameter in block.mixer.dynamics()]

    def discrete(self) -> dict[str, Tensor]:
        """A of every block; the decay depends on the input."""
        return {f"A of layer {k}": block.mixer.a() for k, block in enumerate(self.blocks)}

    def initial_state(self, batch: int) -> Tensor:
        """The zero states (batch, layers, E, N + taps - 1)."""
        config = self.config
        return self.encoder.weight.new_zeros(
            batch, config.layers, config.inner, config.modes + config.taps - 1
        )
