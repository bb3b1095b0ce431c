"""S4D. One layer: the model of "Quantizing Small-Scale State-Space Models for Edge AI" (Zhao et
al., arXiv 2506.12480).

    encoder  Linear(1 -> H)
    block    x <- x + GLU(Linear_{H->2H}(GELU(SSM(x))))        GLU(a, g) = a * sigmoid(g)
    pool     mean over the steps
    decoder  Linear(H -> classes)

Each of the H channels has its own SSM of N complex modes: A = -exp(log_A_real) + i A_imag, B = 1,
zero-order hold with step dt:

    Abar = exp(dt A),  Bbar = (Abar - 1) / A
    x'   = Abar x + Bbar u
    y    = 2 Re(sum_n C_n x'_n) + D u

The factor 2 stands for the conjugate half that is not stored. The parameters have the names and the
shapes of the minimal S4D of state-spaces/s4 (``s4d.py``), so its checkpoints can be loaded.

A deep S4D is a `Stack` of the same SSMs.
"""

import math
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.models.base import Config, Model, Size, check, mean_over
from ssm_hdl.sw.models.convolution import convolve
from ssm_hdl.sw.models.deep import Epsilon, Tap
from ssm_hdl.sw.models.stack import StackConfig

LAYER = "s4_layers.0"
"""The one block, in the names of the parameters."""


class S4DKernel(nn.Module):
    """The coefficients of H SSMs of N modes, initialised as S4D-Lin (arXiv 2206.11893):
    A_n = -1/2 + i pi n.

    Args:
        width: H.
        modes: N, complex modes per channel; a mode represents itself and its conjugate.
        dt_range: smallest and largest initial dt, drawn log-uniformly.
    """

    def __init__(self, width: int, modes: int, dt_range: tuple[float, float]) -> None:
        super().__init__()
        low, high = math.log(dt_range[0]), math.log(dt_range[1])
        self.C = nn.Parameter(torch.randn(width, modes, 2) * math.sqrt(0.5))
        self.log_dt = nn.Parameter(torch.rand(width) * (high - low) + low)
        self.log_A_real = nn.Parameter(torch.full((width, modes), math.log(0.5)))
        self.A_imag = nn.Parameter(math.pi * torch.arange(modes).repeat(width, 1).to(self.C.dtype))

    def c(self) -> Tensor:
        """C (H, N), complex."""
        return torch.view_as_complex(self.C)

    def a(self) -> Tensor:
        """A (H, N), complex, in continuous time."""
        return torch.complex(-torch.exp(self.log_A_real), self.A_imag)

    def exponent(self) -> Tensor:
        """A dt (H, N), complex."""
        return self.a() * torch.exp(self.log_dt)[:, None]

    def discrete(self) -> tuple[Tensor, Tensor]:
        """(Abar, Bbar), each (H, N) complex, by zero-order hold."""
        a_bar = torch.exp(self.exponent())
        return a_bar, (a_bar - 1) / self.a()

    def forward(self, steps: int) -> Tensor:
        """The impulse response 2 Re(sum_n C_n Bbar_n Abar_n^l), shape (H, steps).

        The power l is split into l = i S + j, with S the root of ``steps``, rounded up:
        2 S exponentials per mode, not S^2.
        """
        # Rows of `high` are the powers i S, columns of the other factor the powers j:
        # their product is an (S, S) grid of l.
        a_dt = self.exponent()
        root = math.isqrt(steps - 1) + 1
        powers = torch.arange(root, device=a_dt.device) * a_dt[..., None]
        high = (self.c() * self.discrete()[1])[..., None] * torch.exp(powers * root)
        response = high.transpose(1, 2) @ torch.exp(powers)
        return 2 * response.real.reshape(len(a_dt), -1)[:, :steps]


class S4DSSM(nn.Module):
    """H SSMs side by side, with their skip."""

    def __init__(self, width: int, modes: int, dt_range: tuple[float, float]) -> None:
        super().__init__()
        self.kernel = S4DKernel(width, modes, dt_range)
        self.D = nn.Parameter(torch.randn(width))

    def dynamics(self) -> list[nn.Parameter]:
        """The parameters of A and dt."""
        return [self.kernel.log_dt, self.kernel.log_A_real, self.kernel.A_imag]

    def exponent(self) -> Tensor:
        """A dt (H, N), complex."""
        return self.kernel.exponent()

    def discrete(self) -> tuple[Tensor, Tensor]:
        """(Abar, Bbar), each (H, N) complex."""
        return self.kernel.discrete()

    def forward(self, u: Tensor, tap: Tap) -> Tensor:
        """The readout (B, L, H) of u (B, L, H)."""
        return self.convolve(u.mT).mT

    def convolve(self, u: Tensor) -> Tensor:
        """Y (B, H, L) of u (B, H, L): the SSM as one long convolution, by FFT."""
        return convolve(u, self.kernel(u.shape[-1])) + self.D[:, None] * u

    def step(self, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step of the SSM: u (B, H) and state (B, H, N) complex to y (B, H)
        and the new state."""
        a_bar, b_bar = self.kernel.discrete()
        state = a_bar * state + b_bar * u[..., None]
        return 2 * (self.kernel.c() * state).sum(-1).real + self.D * u, state

    @torch.no_grad()
    def states(self, u: Tensor) -> Tensor:
        """Of the states h' = Abar h + u for u (B, L, H): the largest |Re| or |Im|,
        and the sum of |h|^2; (2, H, N)."""
        a_bar = self.kernel.discrete()[0]
        state = a_bar.new_zeros(len(u), *a_bar.shape)
        peak, power = torch.zeros(a_bar.shape), torch.zeros(a_bar.shape, dtype=torch.float64)
        for step in u.unbind(1):
            state = a_bar * state + step[..., None]
            parts = torch.view_as_real(state)
            peak = torch.maximum(peak, parts.abs().amax((0, 3)))
            power += parts.square().sum((0, 3))
        return torch.stack([peak.double(), power])


class S4DLayer(S4DSSM):
    """One block without its residual: SSM, GELU, mixing, GLU. Tensors are channels first,
    (B, H, L)."""

    def __init__(self, width: int, modes: int, dt_range: tuple[float, float]) -> None:
        super().__init__(width, modes, dt_range)
        self.output_linear = nn.Sequential(nn.Conv1d(width, 2 * width, kernel_size=1))

    def mix(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """GELU (B, H, L), value (B, H, L) and gate (B, H, L) of the readout y (B, H, L)."""
        activation = functional.gelu(y)
        value, gate = self.output_linear(activation).chunk(2, dim=1)
        return activation, value, gate


class S4DConfig(Config):
    """The options of an S4D.

    Attributes:
        width: H, channels.
        modes: N, complex modes per channel.
        dt_range: smallest and largest initial dt.
    """

    family: ClassVar[str] = "s4d"
    title: ClassVar[str] = "an S4D"
    width: Size
    modes: Size
    dt_range: tuple[float, float] = Field(default=(1e-3, 1e-1), exclude=True)

    def build(self, inputs: InputSpec) -> "S4D":
        """A new model with random weights."""
        if inputs.tokens or inputs.channels > 1 or inputs.per_step:
            raise SsmHdlError(
                "an S4D of one layer takes one number per step and answers once per sequence, "
                f"and {inputs.name} differs; train a deep S4D or an S5 on it"
            )
        return S4D(self.width, self.modes, inputs.outputs, self.dt_range)


class DeepS4DConfig(StackConfig):
    """The options of a deep S4D, by default as in ``example.py`` of state-spaces/s4."""

    family: ClassVar[str] = "s4d_deep"
    title: ClassVar[str] = "a deep S4D"
    norm: Literal["none", "layer", "layer_bias", "batch"] = "layer_bias"
    epsilon: Epsilon = 1e-5
    gate: Literal["none", "half_glu1", "half_glu2", "full_glu", "glu"] = "glu"
    gelu: Literal["tanh", "erf"] = "erf"

    def ssm(self) -> S4DSSM:
        """A new SSM for a block."""
        return S4DSSM(self.width, self.modes, self.dt_range)


class S4D(Model):
    """The model of one layer; ``forward`` convolves, for training.

    Args:
        width: H, channels.
        modes: N, complex modes per channel.
        classes: outputs of the decoder.
        dt_range: smallest and largest initial dt; 1 / dt is the memory of a channel, in steps.

    Raises:
        SsmHdlError: a size below 1, or an invalid range.
    """

    def __init__(
        self,
        width: int = 16,
        modes: int = 32,
        classes: int = 10,
        dt_range: tuple[float, float] = (1e-3, 1e-1),
    ) -> None:
        super().__init__()
        check("an S4D", dt_range, width=width, modes=modes, classes=classes)
        self.width, self.modes, self.classes = width, modes, classes
        self.encoder = nn.Linear(1, width)
        self.s4_layers = nn.ModuleList([S4DLayer(width, modes, dt_range)])
        self.decoder = nn.Linear(width, classes)

    @property
    def config(self) -> S4DConfig:
        """Its sizes."""
        return S4DConfig(width=self.width, modes=self.modes)

    def dynamics(self) -> list[nn.Parameter]:
        """The parameters of A and dt."""
        return self.layer.dynamics()

    def discrete(self) -> dict[str, Tensor]:
        """A dt, Abar and Bbar."""
        return {"A dt": self.layer.exponent(), "Abar": self.a_bar, "Bbar": self.b_bar}

    @property
    def layer(self) -> S4DLayer:
        """The one block."""
        return cast(S4DLayer, self.s4_layers[0])

    @property
    def a_bar(self) -> Tensor:
        """Abar (H, N), complex, detached."""
        return self.layer.kernel.discrete()[0].detach()

    @property
    def b_bar(self) -> Tensor:
        """Bbar (H, N), complex, detached."""
        return self.layer.kernel.discrete()[1].detach()

    @property
    def c(self) -> Tensor:
        """C (H, N), complex, detached; the readout takes 2 Re(C x)."""
        return self.layer.kernel.c().detach()

    @property
    def d(self) -> Tensor:
        """D (H), detached."""
        return self.layer.D.detach()

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (B, classes) of normalised inputs x (B, L, 1),
        of which sequence b has ``lengths[b]`` steps; by convolution."""
        encoded = self._encode(x)
        _, value, gate = self.layer.mix(self.layer.convolve(encoded))
        return cast(
            Tensor, self.decoder(mean_over(encoded + value * torch.sigmoid(gate), -1, lengths))
        )

    def initial_state(self, batch: int) -> Tensor:
        """The zero state (batch, H, N), complex."""
        return torch.zeros_like(self.a_bar).repeat(batch, 1, 1)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One time step: x (B, 1) and state (B, H, N) to the block's output (B, H)
        and the next state."""
        encoded = self.encoder(x)
        y, state = self.layer.step(encoded, state)
        _, value, gate = self.layer.mix(y[..., None])
        return encoded + (value * torch.sigmoid(gate))[..., 0], state

    @torch.no_grad()
    def trace(self, x: Tensor, states: bool = False) -> dict[str, Tensor]:
        """Every intermediate activation of normalised inputs x (B, L, 1), for calibration.

        Args:
            x: normalised inputs (B, L, 1).
            states: also ``ssm``; it is N times larger than the others.

        Returns:
            In the order of the data flow: ``encoder`` (B, L, H); ``ssm`` (B, L, H, N), complex;
            ``readout``, ``gelu`` (B, L, H); ``mixing`` (B, L, 2H); ``value``, ``gate``,
            ``sigmoid``, ``glu``, ``residual`` (B, L, H); ``pool`` (B, H); ``decoder`` (B, classes).
            Bbar is left out of ``ssm``, so h' = Abar h + u.
        """
        encoded = self._encode(x)
        readout = self.layer.convolve(encoded)
        activation, value, gate = self.layer.mix(readout)
        sigmoid = torch.sigmoid(gate)
        residual = encoded + value * sigmoid
        pool = residual.mean(-1)
        taps = {"encoder": encoded.mT}
        if states:
            taps["ssm"] = torch.stack(
                [self._states(u, channel) for channel, u in enumerate(encoded.unbind(1))], 2
            )
        taps |= {
            "readout": readout.mT,
            "gelu": activation.mT,
            "mixing": torch.cat([value, gate], 1).mT,
        }
        taps |= {
            "value": value.mT,
            "gate": gate.mT,
            "sigmoid": sigmoid.mT,
            "glu": (value * sigmoid).mT,
        }
        return taps | {"residual": residual.mT, "pool": pool, "decoder": self.decoder(pool)}

    def _encode(self, x: Tensor) -> Tensor:
        """The encoder's output, channels first (B, H, L)."""
        return functional.linear(x, self.encoder.weight, self.encoder.bias).mT

    def _states(self, u: Tensor, channel: int) -> Tensor:
        """States h' = Abar h + u (B, L, N), complex, of one channel's input u (B, L)."""
        a_bar = self.a_bar[channel]
        states = torch.empty(*u.shape, self.modes, dtype=a_bar.dtype)
        state = torch.zeros(len(u), self.modes, dtype=a_bar.dtype)
        for t in range(u.shape[1]):
            state = a_bar * state + u[:, t, None]
            states[:, t] = state
        return states
