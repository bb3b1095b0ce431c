"""Lowering: an S5 in floating point becomes a manifest.

A block is norm, drive (Bbar), scan, readout (2 C), skip (D), sum, GELU, gate, sigmoid, glu and residual. The gain of a norm goes
into what it is fed to; a norm over the batch is an affine map and goes there altogether. Powers of two balance the modes: the
drive and the state of each fill their formats.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ssm_hdl import SQ, UQ, Format, Manifest, SsmHdlError
from ssm_hdl.fixed import Codes
from ssm_hdl.fixed import quantize as to_codes
from ssm_hdl.manifest import SCHEMA_VERSION, Graph
from ssm_hdl.operations import Tensors
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.models.norm import BatchNorm
from ssm_hdl.sw.models.s5 import S5, S5Block
from ssm_hdl.sw.quantize.formats import edge_format, tensor_format
from ssm_hdl.sw.quantize.histogram import Floats, Histogram
from ssm_hdl.sw.quantize.recipe import Recipe
from ssm_hdl.sw.quantize.rows import Rows, nearest
from ssm_hdl.sw.quantize.transition import parts, store


def affine(block: S5Block) -> tuple[bool, Floats, Floats]:
    """Whether a block's norm is an operation, and the gain and the offset (H,) that come behind it."""
    norm = block.norm
    gain = _numpy(norm.weight)
    offset = _numpy(norm.bias) if norm.bias is not None else np.zeros_like(gain)
    if isinstance(norm, BatchNorm):
        gain = gain / np.sqrt(_numpy(norm.get_buffer("running_var")) + norm.epsilon)
        return False, gain, offset - gain * _numpy(norm.get_buffer("running_mean"))
    return True, gain, offset


def edges(model: S5, x: torch.Tensor) -> dict[str, Floats]:
    """What the edges of the manifest stand for, on normalised inputs x (B, L, 1); drives and states unscaled."""
    seen = {name: value.double().numpy() for name, value in model.trace(x).items()}
    for k, block in enumerate(model.blocks):
        is_norm, gain, offset = affine(block)
        u, y = seen.pop(f"norm_{k}"), seen[f"readout_{k}"]
        seen[f"sum_{k}"], seen[f"skip_{k}"] = y, u * _numpy(block.seq.D)
        seen[f"readout_{k}"] = y - seen[f"skip_{k}"]
        if is_norm:
            seen[f"norm_{k}"] = (u - offset) / np.where(gain == 0, 1, gain)
    return seen


def refuse(model: S5) -> None:
    """An error for options that have no integers yet."""
    config = model.config
    if config.hidden or config.skip != "input" or config.gate not in ("none", "half_glu1", "half_glu2"):
        raise SsmHdlError(
            f"an S5 with gate {config.gate}, skip {config.skip} and hidden {config.hidden} cannot be quantized yet; "
            "there are gates none, half_glu1 and half_glu2, skip input, no hidden layer"
        )


class Lowering:
    """The tensors of one manifest, which fill up while its graph is made.

    Args:
        checkpoint: the model, what it is fed, and its name.
        calibration: a histogram for each of `edges`.
        recipe: widths and rule.
        fitted: weights and biases by the name of their dense, in place of those of the float model.
    """

    def __init__(
        self, checkpoint: Checkpoint, calibration: Mapping[str, Histogram], recipe: Recipe, fitted: Mapping[str, Rows]
    ) -> None:
        self.inputs, self.metadata, self.model = checkpoint.inputs, checkpoint.metadata, checkpoint.require(S5)
        self.calibration, self.recipe, self.fitted = calibration, recipe, fitted
        self.weights: dict[str, Floats] = {}
        self.scales: dict[str, Floats] = {}  # of the float edges: drives are in other units in the manifest
        self.codes: dict[str, Codes] = {}
        self.formats: dict[str, Format] = {}

    def manifest(self) -> Manifest:
        """The integer program."""
        graph = Graph.model_validate(self.graph())
        return Manifest(graph, Tensors(self.codes, self.formats))

    def graph(self) -> dict[str, Any]:
        """The fields of the manifest."""
        inputs, model = self.inputs, self.model
        shift = (inputs.steps - 1).bit_length()
        name = re.sub(r"[^a-z0-9]+", "_", self.metadata.get("name", "s5").lower()).strip("_")
        operations, before = [self._encoder()], "encoder"
        for k, block in enumerate(model.blocks):
            operations += self._block(k, block, before)
            before = f"residual_{k}"
        weight, bias = _numpy(model.decoder.weight) * (2.0**shift / inputs.steps), _numpy(model.decoder.bias)
        operations += [
            {"name": "pool", "op": "pool", "input": before, "shift": shift, "format": self._edge("pool", self.recipe.pool)},
            self._dense("decoder", "decoder", "pool", weight[np.newaxis], bias, self._edge("decoder", self.recipe.output)),
        ]
        return {
            "schema_version": SCHEMA_VERSION,
            "name": name,
            "description": f"S5, H = {model.config.width}, P = {model.config.modes}, {model.config.layers} layers, for {inputs.name}; "
            f"quantized by recipe {self.recipe.name}",
            "steps": inputs.steps,
            "input": {"name": "pixel", "size": 1, "format": inputs.input_format},
            "operations": operations,
            "output": "decoder",
        }

    def _encoder(self) -> dict[str, Any]:
        weight, bias = _numpy(self.model.encoder.weight) / self.inputs.std, _numpy(self.model.encoder.bias)
        bias = bias - weight[:, 0] * self.inputs.mean
        return self._dense("encoder", "encoder", "pixel", weight[np.newaxis], bias, self._edge("encoder"))

    def _block(self, k: int, block: S5Block, before: str) -> list[dict[str, Any]]:
        """The operations of a block on the edge ``before``."""
        recipe, config, made = self.recipe, self.model.config, []
        is_norm, gain, offset = affine(block)
        source = before
        if is_norm:
            source, f_bits = f"norm_{k}", self._format_of(before).f_bits
            epsilon = round(config.epsilon * config.width**2 * 4**f_bits)
            made.append({"name": source, "op": "norm", "input": before, "epsilon": epsilon, "format": self._edge(source)})
        made += self._ssm(k, block, source, gain, offset)
        d = _numpy(block.seq.D)
        made += [
            self._dense(f"skip_{k}", "skip", source, (d * gain)[:, np.newaxis, np.newaxis], d * offset, self._edge(f"skip_{k}")),
            {"name": f"sum_{k}", "op": "add", "inputs": [f"readout_{k}", f"skip_{k}"], "format": self._edge(f"sum_{k}")},
            {"name": f"gelu_{k}", "op": "lookup", "input": f"sum_{k}", "function": "gelu", "format": self._edge(f"gelu_{k}")},
        ]
        out = f"gelu_{k}"
        if config.gate != "none":
            weight, bias = _numpy(block.out2.weight)[np.newaxis], _numpy(block.out2.bias)
            sigmoid = UQ(0, recipe.activations["sigmoid"])
            gated = out if config.gate == "half_glu1" else f"sum_{k}"
            made += [
                self._dense(f"gate_{k}", "gate", out, weight, bias, self._edge(f"gate_{k}")),
                {"name": f"sigmoid_{k}", "op": "lookup", "input": f"gate_{k}", "function": "sigmoid", "format": sigmoid},
                {"name": f"glu_{k}", "op": "multiply", "inputs": [gated, f"sigmoid_{k}"], "format": self._edge(f"glu_{k}")},
            ]
            out = f"glu_{k}"
        name = f"residual_{k}"
        self._formats[name] = self._edge(name)
        return [*made, {"name": name, "op": "add", "inputs": [before, out], "format": self._formats[name]}]

    def _ssm(self, k: int, block: S5Block, source: str, gain: Floats, offset: Floats) -> list[dict[str, Any]]:
        """Drive, scan and readout of a block; powers of two let drive and state of each mode fill their formats."""
        recipe, modes = self.recipe, self.model.config.modes
        poles, b = (_numpy(values) for values in block.seq.discrete())
        c = 2 * (_numpy(block.seq.C[..., 0]) + 1j * _numpy(block.seq.C[..., 1]))
        abar = store(poles[:, np.newaxis], recipe.transition, recipe.delta)
        state, drive = SQ(1, recipe.state - 1), SQ(1, recipe.activations["drive"] - 1)
        reach_state, reach_drive = (self._reach(f"{name}_{k}", modes) for name in ("state", "drive"))
        margin = 1.0 if recipe.state_margin == "fit" else recipe.state_margin
        e = np.floor(np.log2(state.max * state.lsb / (margin * reach_state))).astype(np.int64)
        f_bits = abar.format.f_bits + (0 if abar.exponent is None else int(abar.exponent.max()))
        d = np.floor(np.log2(drive.max * drive.lsb / reach_drive)).astype(np.int64)
        d = np.minimum(d, e + f_bits + state.f_bits - drive.f_bits)  # no bit of the drive is lost before the state is rounded
        self.codes[f"ssm_{k}.exponent"] = (e - d)[:, np.newaxis]
        self.scales[f"drive_{k}"] = np.exp2(np.repeat(d, 2))
        weight = np.ldexp(parts(b * gain).swapaxes(1, 2), d[:, np.newaxis, np.newaxis]).reshape(1, 2 * modes, -1)
        bias = np.ldexp(parts(b @ offset), d[:, np.newaxis]).ravel()
        made = self._dense(f"drive_{k}", "drive", source, weight, bias, drive) | {"result": "complex"}
        scan = {
            "name": f"ssm_{k}",
            "op": "scan",
            "input": f"drive_{k}",
            "transition": self._tensor(f"ssm_{k}.transition", abar.codes, abar.format, abar.exponent),
            "delta": recipe.delta,
            "exponent": f"ssm_{k}.exponent",
            "dither": recipe.dither,
            "format": state,
        }
        read = parts(c * np.exp2(-e.astype(np.float64))).reshape(1, len(c), -1)
        return [made, scan, self._dense(f"readout_{k}", "readout", f"ssm_{k}", read, np.zeros(len(c)), self._edge(f"readout_{k}"))]

    def _reach(self, name: str, modes: int) -> Floats:
        """The largest part of each mode, (P,), of an edge with real parts before imaginary ones."""
        histogram = self.calibration[name]
        reach = np.maximum(-histogram.low, histogram.high).reshape(2, modes).max(0)
        return np.maximum(reach, 2.0**-40)

    def _dense(self, name: str, part: str, source: str, weight: Floats, bias: Floats, format: Format) -> dict[str, Any]:
        """A dense with weights (G, M, K) and a bias (G * M,)."""
        self.weights[name] = weight
        groups, rows_of = weight.shape[:2]
        rows = self.fitted.get(name) or nearest(weight, bias.reshape(groups, rows_of), self.recipe.weights[part], self.recipe)
        codes, exponent = rows.codes, rows.exponent
        if name.startswith("readout"):  # complex: pairs of columns are real and imaginary parts
            codes = codes.reshape(groups, rows_of, -1, 2)
        elif groups == 1:
            codes, exponent = codes[0], None if exponent is None else exponent[0]
        biases = tensor_format(rows.bias, self.recipe.biases, self.recipe)
        self._formats[name] = format
        return {
            "name": name,
            "op": "dense",
            "input": source,
            "weight": self._tensor(f"{name}.weight", codes, rows.format, exponent),
            "bias": self._tensor(f"{name}.bias", to_codes(rows.bias.ravel(), biases), biases),
            "format": format,
        }

    @property
    def _formats(self) -> dict[str, Format]:
        return self.__dict__.setdefault("_of_edges", {})

    def _format_of(self, edge: str) -> Format:
        return self._formats[edge]

    def _tensor(self, name: str, codes: Codes, format: Format, exponent: Codes | None = None) -> dict[str, Any]:
        self.codes[name], self.formats[name] = codes, format
        if exponent is None or not exponent.any():
            return {"tensor": name, "format": format}
        self.codes[f"{name}.exponent"] = exponent
        return {"tensor": name, "format": format, "exponent": f"{name}.exponent"}

    def _edge(self, name: str, width: int | None = None) -> Format:
        part = name.rpartition("_")[0] if name[-1].isdigit() else name
        function = _gelu if part == "sum" else None
        return edge_format(self.calibration[name], width or self.recipe.activations[part], self.recipe, function)


def _gelu(x: Floats) -> Floats:
    return np.asarray(torch.nn.functional.gelu(torch.tensor(x)).numpy())


def _numpy(tensor: Any) -> Any:
    return tensor.detach().numpy().astype(np.complex128 if tensor.is_complex() else np.float64)


Samples = NDArray[np.integer]
