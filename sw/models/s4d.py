"""S4D. One layer: the model of "Quantizing Small-Scale State-Space Models for Edge AI" (Zhao et
al., arXiv 2506.12480).

    encoder  Linear(1 -> H)
    block    x <- x + GLU(Linear_{H->2H}(GELU(SSM(x))))        GLU(a, g) = a * sigmoid(g)
    pool     mean over the steps
    decoder  Linear(H -> classes)

The SSMs of the H channels are in ``s4d_ssm.py``. The parameters have the names and shapes of the
minimal S4D of state-spaces/s4 (``s4d.py``), so its checkpoints can be loaded.

A deep S4D is a `Stack` of the same SSMs.
"""

from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw.data import InputSpec
from ssm_hdl.sw.models.base import Config, Model, Size, check, mean_over
from ssm_hdl.sw.models.deep import Epsilon
from ssm_hdl.sw.models.s4d_ssm import S4DSSM
from ssm_hdl.sw.models.stack import StackConfig

LAYER = "s4_layers.0"
"""The one block, in the names of the parameters."""


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
