"""Lowering of an S4D to a manifest."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ssm_hdl import SQ, UQ
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.models.s4d import S4D
from ssm_hdl.sw.quantize.calibrate import Calibration, calibrate
from ssm_hdl.sw.quantize.draft import Draft, Lowered, gelu, numpy
from ssm_hdl.sw.quantize.equalise import MIXING, equalise
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.quantize.lowering import Layer, Lowering
from ssm_hdl.sw.quantize.modes import Modes, balance
from ssm_hdl.sw.quantize.recipe import Recipe
from ssm_hdl.sw.quantize.rows import Rows
from ssm_hdl.sw.quantize.transition import real_pairs, store


class S4DLowering(Lowering):
    """An S4D on its way to integers; its channels are equalised first.

    Args:
        checkpoint: the model.
        codes: input codes (n, steps, 1) to calibrate with.
        recipe: widths and rule.
        known: `observe` of the checkpoint on these samples; many recipes can share it.
        progress: called with the number of sequences done since the last call.
    """

    calibrations = 2
    layers = (Layer("pixel", "readout", ("readout", "mixing", "decoder")),)

    def __init__(
        self,
        checkpoint: Checkpoint,
        codes: NDArray[np.integer],
        recipe: Recipe,
        known: Calibration | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(checkpoint, recipe)
        model, inputs = checkpoint.require(S4D), checkpoint.inputs
        first = known or calibrate(model.trace, inputs, codes, progress)
        self.equalised = equalise(model, inputs, first, recipe)
        self.model = self.equalised.model
        # With known states, the second run leaves out its slow part; the states just scale with the channels.
        self.calibration = calibrate(partial(self.model.trace, states=known is None), inputs, codes, progress)
        if known is not None:
            self.calibration = self.calibration.with_states(known, self.equalised.scale)

    @classmethod
    def observe(cls, checkpoint: Checkpoint, codes: NDArray[np.integer]) -> Calibration:
        """The calibration that does not depend on the recipe."""
        return calibrate(partial(checkpoint.require(S4D).trace, states=True), checkpoint.inputs, codes)

    @classmethod
    def layers_of(cls, checkpoint: Checkpoint) -> Sequence[Layer]:
        """The only layer."""
        return cls.layers

    def wanted(self, x: torch.Tensor) -> dict[str, Floats]:
        """The activations of the equalised model."""
        return {name: values.double().numpy() for name, values in self.model.trace(x).items()}

    def lower(self, fitted: Mapping[str, Rows]) -> Lowered:
        """The integer program."""
        model, inputs, recipe, width = self.model, self.checkpoint.inputs, self.recipe, self.model.width
        draft = Draft(recipe, self.calibration.edges, fitted)
        shift = (inputs.steps - 1).bit_length()  # 2**shift: the number of steps, or the next power of two
        weight, bias = numpy(model.encoder.weight) / inputs.std, numpy(model.encoder.bias)
        encoder = draft.dense("encoder", "pixel", weight[np.newaxis], (bias - weight[:, 0] * inputs.mean)[np.newaxis])
        gelued = draft.table("gelu", "gelu", self._ssm(draft, encoder))
        parameters = dict(model.named_parameters())
        weight, bias = numpy(parameters[f"{MIXING}.weight"])[..., 0], numpy(parameters[f"{MIXING}.bias"])
        mixing = draft.dense("mixing", gelued, weight[np.newaxis], bias[np.newaxis], format=self.equalised.mixing)
        value = draft.add("slice", "value", input=mixing, start=0, size=width)
        gate = draft.add("slice", "gate", input=mixing, start=width, size=width)
        sigmoid = draft.table("sigmoid", "sigmoid", gate, "mixing", format=UQ(0, recipe.activations["sigmoid"]))
        glu = draft.add("multiply", "glu", inputs=[value, sigmoid])
        residual = draft.add("add", "residual", inputs=[encoder, glu])
        pool = draft.add("pool", "pool", input=residual, shift=shift, format=draft.edge("pool", recipe.pool))
        weight, bias = numpy(model.decoder.weight) * (2.0**shift / inputs.steps), numpy(model.decoder.bias)
        output = draft.edge("decoder", recipe.output)
        decoder = draft.dense("decoder", pool, weight[np.newaxis], bias[np.newaxis], format=output)
        return draft.lowered(self.checkpoint, f"S4D, H = {width}, N = {model.modes}", "pixel", decoder)

    def _ssm(self, draft: Draft, encoder: str) -> str:
        """Scan and read-out, 2 Re(C Bbar h) + D u. The skip D u is an extra mode per channel, with its pole at 0."""
        u, state, recipe, model = draft.formats[encoder], SQ(1, self.recipe.state - 1), self.recipe, self.model
        a, a_bar = numpy(model.layer.kernel.a()), numpy(model.a_bar)
        abar = store(np.pad(a_bar, ((0, 0), (0, 1))), recipe.transition, recipe.delta)
        peak = self.calibration.state_peak * self.margin("readout")[:, np.newaxis]
        modes = Modes(
            transition=abar.values,
            gain=_with_skip(2 * numpy(model.c) * (a_bar - 1) / a, numpy(model.d)),
            peak=_with_skip(peak, u.max * u.lsb),
            power=_with_skip(self.calibration.state_power, self.calibration.edges["encoder"].mean(np.square)),
            steps=self.checkpoint.inputs.steps,
        )
        exponent = balance(modes, state, u.f_bits - abar.f_bits - state.f_bits, u, recipe)
        scan = draft.scan("ssm", encoder, abar, exponent, state)
        weight = np.ldexp(real_pairs(modes.gain), -exponent[..., np.newaxis]).reshape(len(exponent), 1, -1)
        return draft.dense(
            "readout", scan, weight, np.zeros((len(exponent), 1)), pairs=True, format=draft.edge("readout", function=gelu)
        )


def _with_skip(modes: Floats, skip: Floats | float) -> Any:
    """Values of all modes (H, N + 1): the trained modes (H, N), then the skip (H,)."""
    return np.concatenate([modes, np.broadcast_to(skip, len(modes))[:, np.newaxis]], axis=1)
