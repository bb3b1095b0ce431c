"""Lowering of an S4D to a manifest: of one layer, with its channels equalised,
and of a deep one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ssm_hdl import SQ, UQ
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.data import Split
from ssm_hdl.sw.models.s4d import S4D
from ssm_hdl.sw.models.s4d_ssm import S4DSSM
from ssm_hdl.sw.models.stack import Block
from ssm_hdl.sw.quantize.calibrate import Calibration, calibrate
from ssm_hdl.sw.quantize.draft import Draft, Lowered, gelu, numpy
from ssm_hdl.sw.quantize.equalise import MIXING, equalise
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.quantize.lowering import Layer, Lowering
from ssm_hdl.sw.quantize.modes import Modes, balance
from ssm_hdl.sw.quantize.recipe import Recipe
from ssm_hdl.sw.quantize.rows import Rows
from ssm_hdl.sw.quantize.stack import StackLowering, affine
from ssm_hdl.sw.quantize.transition import real_pairs, store

STREAM = ("encoder", "glu", "residual", "norm", "carry")
"""Edges from layer to layer. One format holds all channels, and the largest may be many times the
others; a norm hides that in training. Few multipliers read them, so more bits are cheap."""


class S4DLowering(Lowering):
    """An S4D of one layer on its way to integers; its channels are equalised first.

    Args:
        checkpoint: the model.
        samples: to calibrate with.
        recipe: widths and rule.
        known: `observe` of the checkpoint on these samples; many recipes can share it.
        progress: called with the number of sequences done since the last call.
    """

    calibrations = 2
    layers = (Layer("pixel", "readout", ("readout", "mixing", "decoder")),)

    def __init__(
        self,
        checkpoint: Checkpoint,
        samples: Split,
        recipe: Recipe,
        known: Calibration | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(checkpoint, recipe)
        model, inputs = checkpoint.require(S4D), checkpoint.inputs
        first = known or calibrate(model.trace, inputs, samples, progress)
        self.equalised = equalise(model, inputs, first, recipe)
        self.model = self.equalised.model
        # With known states, the second run leaves out its slow part;
        # the states just scale with the channels.
        trace = self.model.trace if known else lambda x: _trace(self.model, x)
        self.calibration = calibrate(trace, inputs, samples, progress)
        if known is not None:
            self.calibration = self.calibration.with_states(known, self.equalised.scale)

    @classmethod
    def observe(cls, checkpoint: Checkpoint, samples: Split) -> Calibration:
        """The calibration that does not depend on the recipe."""
        model = checkpoint.require(S4D)
        return calibrate(lambda x: _trace(model, x), checkpoint.inputs, samples)

    @classmethod
    def layers_of(cls, checkpoint: Checkpoint) -> Sequence[Layer]:
        """The only layer."""
        return cls.layers

    def wanted(self, x: torch.Tensor) -> dict[str, Floats]:
        """The activations of the equalised model."""
        return {name: values.double().numpy() for name, values in self.model.trace(x).items()}

    def lower(self, fitted: Mapping[str, Rows]) -> Lowered:
        """The integer program."""
        model, recipe, width = self.model, self.recipe, self.model.width
        draft = Draft(recipe, self.calibration.edges, fitted, self.memory)
        encoder = self.encode(draft, model.encoder, "pixel")
        gelued = draft.table(
            "gelu", "gelu", bank(self, draft, "", model.layer, encoder, self.calibration)
        )
        parameters = dict(model.named_parameters())
        weight, bias = (
            numpy(parameters[f"{MIXING}.weight"])[..., 0],
            numpy(parameters[f"{MIXING}.bias"]),
        )
        mixing = draft.dense(
            "mixing", gelued, weight[np.newaxis], bias[np.newaxis], format=self.equalised.mixing
        )
        value = draft.add("slice", "value", input=mixing, start=0, size=width)
        gate = draft.add("slice", "gate", input=mixing, start=width, size=width)
        sigmoid = draft.table(
            "sigmoid", "sigmoid", gate, "mixing", format=UQ(0, recipe.activations["sigmoid"])
        )
        glu = draft.add("multiply", "glu", inputs=[value, sigmoid])
        residual = draft.add("add", "residual", inputs=[encoder, glu])
        decoder = self.decode(draft, model.decoder, residual)
        return draft.lowered(
            self.checkpoint, f"S4D, H = {width}, N = {model.modes}", "pixel", decoder
        )


class DeepS4DLowering(StackLowering):
    """A deep S4D on its way to integers."""

    denses = ("readout",)
    folds_offset = False

    @classmethod
    def widths(cls, recipe: Recipe) -> Recipe:
        """With the width of the stream for its edges that have none of their own."""
        activations = recipe.activations
        if not activations.stream:
            return recipe
        wider = {name: activations.stream for name in STREAM if getattr(activations, name) is None}
        return recipe.model_copy(update={"activations": activations.model_copy(update=wider)})

    @property
    def sizes(self) -> str:
        """The family and its width."""
        return f"S4D, H = {self.model.config.width}, N"

    @classmethod
    def trace_ssm(
        cls, seen: dict[str, torch.Tensor], k: str, block: Block, u: torch.Tensor, states: bool
    ) -> None:
        """Statistics of the states, of the normalised input if the readout has the
        gain of the norm."""
        assert isinstance(block.seq, S4DSSM)
        if states:
            folded = block.config.order == "prenorm" and not cls._carries(
                block, affine(block.norm)[2]
            )
            seen[f"ssm_{k}"] = block.seq.states(seen.get(f"norm_{k}", u) if folded else u)

    def ssm(
        self, draft: Draft, k: str, block: Block, source: str, gain: Floats, offset: Floats
    ) -> str:
        """Append scan and readout."""
        assert isinstance(block.seq, S4DSSM)
        return bank(self, draft, f"_{k}", block.seq, source, self.calibration, gain)


def bank(
    lowering: Lowering,
    draft: Draft,
    suffix: str,
    seq: S4DSSM,
    source: str,
    calibration: Calibration,
    norm: Floats | float = 1.0,
) -> str:
    """Append scan and read-out, 2 Re(C Bbar h) + D u. The skip D u is an extra mode per channel,
    with its pole at 0.

    Args:
        lowering: gives recipe, length and margins.
        draft: to append to.
        suffix: of the names.
        seq: the SSMs.
        source: their input, u = norm * source.
        calibration: with the states for the input ``source``.
        norm: gain (H,), which the read-out takes.
    """
    u, state, recipe = draft.formats[source], SQ(1, lowering.recipe.state - 1), lowering.recipe
    readout = f"readout{suffix}"
    a, a_bar = numpy(seq.kernel.a()), numpy(seq.kernel.discrete()[0])
    abar = store(np.pad(a_bar, ((0, 0), (0, 1))), recipe.transition, recipe.delta)
    peak, power = calibration.states[f"ssm{suffix}"]
    gain = _with_skip(2 * numpy(seq.kernel.c()) * (a_bar - 1) / a, numpy(seq.D))
    modes = Modes(
        transition=abar.values,
        gain=gain * np.reshape(norm, (-1, 1)),
        peak=_with_skip(peak * lowering.margin(readout)[:, np.newaxis], u.max * u.lsb),
        power=_with_skip(power, calibration.edges[source].mean(np.square)),
        steps=lowering.checkpoint.inputs.steps,
    )
    exponent = balance(modes, state, u.f_bits - abar.f_bits - state.f_bits, u, recipe)
    scan = draft.scan(f"ssm{suffix}", source, abar, exponent, state)
    weight = np.ldexp(real_pairs(modes.gain), -exponent[..., np.newaxis]).reshape(
        len(exponent), 1, -1
    )
    return draft.dense(
        readout,
        scan,
        weight,
        np.zeros((len(exponent), 1)),
        pairs=True,
        format=draft.edge(readout, function=gelu),
    )


def _trace(model: S4D, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """The trace of an S4D of one layer, with statistics of its states."""
    seen = model.trace(x, states=True)
    h = torch.view_as_real(seen["ssm"])
    return seen | {
        "ssm": torch.stack(
            [h.abs().amax((0, 1, 4)).double(), h.square().sum((1, 4)).double().sum(0)]
        )
    }


def _with_skip(modes: Floats, skip: Floats | float) -> Any:
    """Values of all modes (H, N + 1): the trained modes (H, N), then the skip (H,)."""
    return np.concatenate([modes, np.broadcast_to(skip, len(modes))[:, np.newaxis]], axis=1)
