"""Lowering: an S4D in floating point becomes a manifest."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssm_hdl import SQ, UQ, Format, Manifest
from ssm_hdl.fixed import Codes
from ssm_hdl.fixed import quantize as to_codes
from ssm_hdl.manifest import SCHEMA_VERSION, Graph
from ssm_hdl.operations import Tensors
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.quantize.calibrate import Calibration
from ssm_hdl.sw.quantize.equalise import MIXING, Equalised
from ssm_hdl.sw.quantize.formats import edge_format, tensor_format
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.quantize.modes import Modes, balance, truncate
from ssm_hdl.sw.quantize.recipe import Recipe


def lower(
    checkpoint: Checkpoint,
    equalised: Equalised,
    calibration: Calibration,
    recipe: Recipe,
    corrections: Mapping[str, Floats] | None = None,
) -> Manifest:
    """The integer program of an S4D.

    Args:
        checkpoint: what the model is fed, and its name.
        equalised: the model.
        calibration: of the equalised model, with its states.
        recipe: widths and rule.
        corrections: added to weights and biases before they are rounded, by the name of the tensor.

    Raises:
        SsmHdlError: widths that cannot work together, named.
    """
    lowering = _Lowering(checkpoint, equalised, calibration, recipe, corrections or {})
    return Manifest(Graph.model_validate(lowering.graph()), Tensors(lowering.codes, lowering.formats))


class _Lowering:
    """The tensors of one manifest, which fill up while its graph is made."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        equalised: Equalised,
        calibration: Calibration,
        recipe: Recipe,
        corrections: Mapping[str, Floats],
    ) -> None:
        self.inputs, self.metadata = checkpoint.inputs, checkpoint.metadata
        self.equalised, self.model = equalised, equalised.model
        self.calibration, self.recipe, self.corrections = calibration, recipe, corrections
        self.codes: dict[str, Codes] = {}
        self.formats: dict[str, Format] = {}

    def graph(self) -> dict[str, Any]:
        """The fields of the manifest."""
        inputs, recipe, width = self.inputs, self.recipe, self.model.width
        name = re.sub(r"[^a-z0-9]+", "_", self.metadata.get("name", "s4d").lower()).strip("_")
        shift = (inputs.steps - 1).bit_length()  # 2**shift: the number of steps, or the next power of two
        sigmoid = UQ(0, recipe.activations["sigmoid"])
        operations = [
            self._encoder(),
            *self._ssm(),
            {"name": "gelu", "op": "lookup", "input": "readout", "function": "gelu", "format": self._edge("gelu")},
            self._mixing(),
            {"name": "value", "op": "slice", "input": "mixing", "start": 0, "size": width},
            {"name": "gate", "op": "slice", "input": "mixing", "start": width, "size": width},
            {"name": "sigmoid", "op": "lookup", "input": "gate", "function": "sigmoid", "format": sigmoid},
            {"name": "glu", "op": "multiply", "inputs": ["value", "sigmoid"], "format": self._edge("glu")},
            {"name": "residual", "op": "add", "inputs": ["encoder", "glu"], "format": self._edge("residual")},
            {"name": "pool", "op": "pool", "input": "residual", "shift": shift, "format": self._edge("pool", recipe.pool)},
            self._decoder(2.0**shift / inputs.steps),
        ]
        return {
            "schema_version": SCHEMA_VERSION,
            "name": name if name[:1].isalpha() else f"s4d_{name}".strip("_"),
            "description": f"S4D, H = {width}, N = {self.model.modes}, for {inputs.name}; quantized by recipe {recipe.name}",
            "steps": inputs.steps,
            "input": {"name": "pixel", "size": 1, "format": inputs.input_format},
            "operations": operations,
            "output": "decoder",
        }

    def _encoder(self) -> dict[str, Any]:
        """The encoder with the normalisation of its input, (pixel - mean) / std, folded in."""
        weight, bias = _numpy(self.model.encoder.weight) / self.inputs.std, _numpy(self.model.encoder.bias)
        return self._dense("encoder", "pixel", weight, bias - weight[:, 0] * self.inputs.mean, self._edge("encoder"))

    def _ssm(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Scan and read-out, 2 Re(C Bbar h) + D u; the last mode of each channel is the skip D u, with its pole at 0."""
        u, state, transition = self._edge("encoder"), SQ(1, self.recipe.state - 1), SQ(1, self.recipe.transition - 1)
        a, a_bar = _numpy(self.model.layer.kernel.a()), _numpy(self.model.a_bar)
        abar = truncate(np.pad(a_bar, ((0, 0), (0, 1))), transition)
        modes = Modes(
            transition=np.asarray(abar[..., 0] + 1j * abar[..., 1], np.complex128) * transition.lsb,
            gain=_with_skip(2 * _numpy(self.model.c) * (a_bar - 1) / a, _numpy(self.model.d)),
            peak=_with_skip(self.calibration.state_peak * self.recipe.state_margin, u.max * u.lsb),
            power=_with_skip(self.calibration.state_power, self.calibration.edges["encoder"].mean(np.square)),
            steps=self.inputs.steps,
        )
        balanced = balance(modes, state, transition, u, self.recipe)
        self.codes["ssm.exponent"] = balanced.exponent
        scan = {
            "name": "ssm",
            "op": "scan",
            "input": "encoder",
            "transition": self._tensor("ssm.transition", abar, transition),
            "exponent": "ssm.exponent",
            "format": state,
        }
        readout = {
            "name": "readout",
            "op": "dense",
            "input": "ssm",
            "weight": self._tensor("readout.weight", balanced.weight[:, np.newaxis], balanced.format),
            "bias": self._bias("readout", np.zeros(self.model.width)),
            "format": self._edge("readout"),
        }
        return scan, readout

    def _mixing(self) -> dict[str, Any]:
        parameters = dict(self.model.named_parameters())
        weight, bias = _numpy(parameters[f"{MIXING}.weight"])[..., 0], _numpy(parameters[f"{MIXING}.bias"])
        return self._dense("mixing", "gelu", weight, bias, self.equalised.mixing, self.equalised.weight)

    def _decoder(self, rest: float) -> dict[str, Any]:
        """The decoder; the mean over time is the pool's output times ``rest``."""
        weight, bias = _numpy(self.model.decoder.weight) * rest, _numpy(self.model.decoder.bias)
        return self._dense("decoder", "pool", weight, bias, self._edge("decoder", self.recipe.output))

    def _dense(
        self, name: str, source: str, weight: Floats, bias: Floats, format: Format, stored: Format | None = None
    ) -> dict[str, Any]:
        """A dense with real weights (M, N) and a bias (M,)."""
        weight = weight + self.corrections.get(f"{name}.weight", 0.0)
        stored = stored or tensor_format(weight, self.recipe.weights[name], self.recipe)
        return {
            "name": name,
            "op": "dense",
            "input": source,
            "weight": self._tensor(f"{name}.weight", to_codes(weight, stored), stored),
            "bias": self._bias(name, bias),
            "format": format,
        }

    def _bias(self, name: str, bias: Floats) -> dict[str, Any]:
        bias = bias + self.corrections.get(f"{name}.bias", 0.0)
        format = tensor_format(bias, self.recipe.biases, self.recipe)
        return self._tensor(f"{name}.bias", to_codes(bias, format), format)

    def _tensor(self, name: str, codes: Codes, format: Format) -> dict[str, Any]:
        self.codes[name], self.formats[name] = codes, format
        return {"tensor": name, "format": format}

    def _edge(self, name: str, width: int | None = None) -> Format:
        """The format of an edge, of the width that the recipe gives it."""
        function = _gelu if name == "readout" else None
        return edge_format(self.calibration.edges[name], width or self.recipe.activations[name], self.recipe, function)


def _gelu(x: Floats) -> Floats:
    """The exact GELU, which the read-out goes through."""
    return np.asarray(torch.nn.functional.gelu(torch.tensor(x)).numpy())


def _with_skip(modes: Floats, skip: Floats | float) -> Any:
    """Values of all modes (H, N + 1), from those of the trained modes (H, N) and of the skip (H,)."""
    return np.concatenate([modes, np.broadcast_to(skip, len(modes))[:, np.newaxis]], axis=1)


def _numpy(tensor: Tensor) -> Any:
    return tensor.detach().numpy().astype(np.complex128 if tensor.is_complex() else np.float64)
