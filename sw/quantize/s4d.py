"""Lowering: an S4D in floating point becomes a manifest."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
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
from ssm_hdl.sw.quantize.modes import Modes, balance
from ssm_hdl.sw.quantize.recipe import Recipe
from ssm_hdl.sw.quantize.rows import Rows, nearest
from ssm_hdl.sw.quantize.transition import parts, store


@dataclass(frozen=True)
class Lowered:
    """A lowered model.

    Attributes:
        manifest: the integer program.
        weights: the float weights (G, M, K) of each dense that its codes stand for, columns of a complex one in pairs.
    """

    manifest: Manifest
    weights: Mapping[str, Floats]


def lower(
    checkpoint: Checkpoint,
    equalised: Equalised,
    calibration: Calibration,
    recipe: Recipe,
    fitted: Mapping[str, Rows] | None = None,
) -> Lowered:
    """The integer program of an S4D.

    Args:
        checkpoint: what the model is fed, and its name.
        equalised: the model.
        calibration: of the equalised model, with its states.
        recipe: widths and rule.
        fitted: weights and biases by the name of their dense, in place of those of the float model.

    Raises:
        SsmHdlError: widths that cannot work together, named.
    """
    lowering = _Lowering(checkpoint, equalised, calibration, recipe, fitted or {})
    manifest = Manifest(Graph.model_validate(lowering.graph()), Tensors(lowering.codes, lowering.formats))
    return Lowered(manifest, lowering.weights)


class _Lowering:
    """The tensors of one manifest, which fill up while its graph is made."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        equalised: Equalised,
        calibration: Calibration,
        recipe: Recipe,
        fitted: Mapping[str, Rows],
    ) -> None:
        self.inputs, self.metadata = checkpoint.inputs, checkpoint.metadata
        self.equalised, self.model = equalised, equalised.model
        self.calibration, self.recipe, self.fitted = calibration, recipe, fitted
        self.weights: dict[str, Floats] = {}
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
        bias = bias - weight[:, 0] * self.inputs.mean
        return self._dense("encoder", "pixel", weight[np.newaxis], bias[np.newaxis], self._edge("encoder"))

    def _ssm(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Scan and read-out, 2 Re(C Bbar h) + D u; the last mode of each channel is the skip D u, with its pole at 0."""
        u, state, recipe = self._edge("encoder"), SQ(1, self.recipe.state - 1), self.recipe
        a, a_bar = _numpy(self.model.layer.kernel.a()), _numpy(self.model.a_bar)
        abar = store(np.pad(a_bar, ((0, 0), (0, 1))), recipe.transition, recipe.delta)
        modes = Modes(
            transition=abar.values,
            gain=_with_skip(2 * _numpy(self.model.c) * (a_bar - 1) / a, _numpy(self.model.d)),
            peak=_with_skip(self.calibration.state_peak, u.max * u.lsb),
            power=_with_skip(self.calibration.state_power, self.calibration.edges["encoder"].mean(np.square)),
            steps=self.inputs.steps,
        )
        f_bits = abar.format.f_bits + (0 if abar.exponent is None else int(abar.exponent.max()))
        exponent = balance(modes, state, u.f_bits - f_bits - state.f_bits, u, recipe)
        self.codes["ssm.exponent"] = exponent
        scan = {
            "name": "ssm",
            "op": "scan",
            "input": "encoder",
            "transition": self._tensor("ssm.transition", abar.codes, abar.format, abar.exponent),
            "delta": recipe.delta,
            "exponent": "ssm.exponent",
            "dither": recipe.dither,
            "format": state,
        }
        weight = np.ldexp(parts(modes.gain), -exponent[..., np.newaxis]).reshape(len(exponent), 1, -1)
        return scan, self._dense("readout", "ssm", weight, np.zeros((len(exponent), 1)), self._edge("readout"))

    def _mixing(self) -> dict[str, Any]:
        parameters = dict(self.model.named_parameters())
        weight, bias = _numpy(parameters[f"{MIXING}.weight"])[..., 0], _numpy(parameters[f"{MIXING}.bias"])
        return self._dense("mixing", "gelu", weight[np.newaxis], bias[np.newaxis], self.equalised.mixing)

    def _decoder(self, rest: float) -> dict[str, Any]:
        """The decoder; the mean over time is the pool's output times ``rest``."""
        weight, bias = _numpy(self.model.decoder.weight) * rest, _numpy(self.model.decoder.bias)
        return self._dense("decoder", "pool", weight[np.newaxis], bias[np.newaxis], self._edge("decoder", self.recipe.output))

    def _dense(self, name: str, source: str, weight: Floats, bias: Floats, format: Format) -> dict[str, Any]:
        """A dense with weights (G, M, K) and a bias (G, M)."""
        self.weights[name] = weight
        rows = self.fitted.get(name) or nearest(weight, bias, self.recipe.weights[name], self.recipe)
        if name == "readout":  # complex: pairs of columns are real and imaginary parts
            codes, exponent = rows.codes.reshape(*rows.codes.shape[:2], -1, 2), rows.exponent
        else:
            codes, exponent = rows.codes[0], None if rows.exponent is None else rows.exponent[0]
        biases = tensor_format(rows.bias, self.recipe.biases, self.recipe)
        return {
            "name": name,
            "op": "dense",
            "input": source,
            "weight": self._tensor(f"{name}.weight", codes, rows.format, exponent),
            "bias": self._tensor(f"{name}.bias", to_codes(rows.bias.ravel(), biases), biases),
            "format": format,
        }

    def _tensor(self, name: str, codes: Codes, format: Format, exponent: Codes | None = None) -> dict[str, Any]:
        self.codes[name], self.formats[name] = codes, format
        if exponent is None or not exponent.any():
            return {"tensor": name, "format": format}
        self.codes[f"{name}.exponent"] = exponent
        return {"tensor": name, "format": format, "exponent": f"{name}.exponent"}

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
