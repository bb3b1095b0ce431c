"""Lowering of an S5 to a manifest.

A block is norm, drive (Bbar), scan, readout (2 C), skip (D), sum, GELU, gate, sigmoid, glu and residual. The gain of a norm is
folded into the operations that read it. A batch norm is an affine map, which is folded whole. Powers of two balance the modes, so
that the drive and the state of every mode fill their formats.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ssm_hdl import SQ, UQ
from ssm_hdl.fixed import quantize as to_codes
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.models.norm import BatchNorm
from ssm_hdl.sw.models.s5 import S5, S5Block
from ssm_hdl.sw.quantize.calibrate import Calibration, calibrate
from ssm_hdl.sw.quantize.draft import Draft, Lowered, gelu, numpy
from ssm_hdl.sw.quantize.formats import tensor_format
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.quantize.lowering import Layer, Lowering
from ssm_hdl.sw.quantize.recipe import Recipe
from ssm_hdl.sw.quantize.rows import Rows
from ssm_hdl.sw.quantize.transition import real_pairs, store

GELUS = {"tanh": "gelu_tanh", "erf": "gelu"}
"""The table of each kind of GELU."""


class S5Lowering(Lowering):
    """An S5 on its way to integers.

    Args:
        checkpoint: the model.
        codes: input codes (n, steps, 1) to calibrate with.
        recipe: widths and rule.
        known: `observe` of the checkpoint on these samples; many recipes can share it.
        progress: called with the number of sequences done since the last call.
    """

    calibrations = 1

    def __init__(
        self,
        checkpoint: Checkpoint,
        codes: NDArray[np.integer],
        recipe: Recipe,
        known: Calibration | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(checkpoint, recipe)
        self.model = checkpoint.require(S5)
        self.layers = self.layers_of(checkpoint)
        self.edges = (known or calibrate(lambda x: edges(self.model, x), checkpoint.inputs, codes, progress)).edges
        self._scales: Mapping[str, Floats] = {}  # of the last lowering

    @classmethod
    def observe(cls, checkpoint: Checkpoint, codes: NDArray[np.integer]) -> Calibration:
        """The calibration that does not depend on the recipe."""
        model = checkpoint.require(S5)
        return calibrate(lambda x: edges(model, x), checkpoint.inputs, codes)

    @classmethod
    def layers_of(cls, checkpoint: Checkpoint) -> Sequence[Layer]:
        """One layer per block; the decoder belongs to the last one."""
        config = checkpoint.require(S5).config
        gates = {"none": (), "full_glu": ("value", "gate")}.get(config.gate, ("gate",))
        fitted = ("drive", "readout", *gates, *(("ff_enc", "ff_dec") if config.hidden else ()))
        layers, source = [], "encoder"
        for k in range(config.layers):
            last = ("decoder",) if k == config.layers - 1 else ()
            layers.append(Layer(source, f"readout_{k}", (*(f"{part}_{k}" for part in fitted), *last)))
            source = f"ff_residual_{k}" if config.hidden else f"residual_{k}"
        return layers

    def wanted(self, x: torch.Tensor) -> dict[str, Floats]:
        """The activations of the model; drives are in the units of the manifest."""
        seen = {name: values.double().numpy() for name, values in edges(self.model, x).items()}
        return {name: values * self._scales.get(name, 1.0) for name, values in seen.items() if not name.startswith("state_")}

    def lower(self, fitted: Mapping[str, Rows]) -> Lowered:
        """The integer program."""
        inputs, model, config = self.checkpoint.inputs, self.model, self.model.config
        draft = Draft(self.recipe, self.edges, fitted)
        source = "token" if inputs.tokens else "sample"
        stream = self._encoder(draft, source)
        for number, block in enumerate(model.blocks):
            stream = self._block(draft, str(number), block, stream)
        shift = (inputs.steps - 1).bit_length()  # 2**shift: the number of steps, or the next power of two
        pool = draft.add("pool", "pool", input=stream, shift=shift, format=draft.edge("pool", self.recipe.pool))
        weight, bias = numpy(model.decoder.weight) * (2.0**shift / inputs.steps), numpy(model.decoder.bias)
        output = draft.edge("decoder", self.recipe.output)
        decoder = draft.dense("decoder", pool, weight[np.newaxis], bias[np.newaxis], format=output)
        what = f"S5, H = {config.width}, P = {config.modes}, {config.layers} layers"
        lowered = draft.lowered(self.checkpoint, what, source, decoder)
        self._scales = lowered.scales
        return lowered

    def _encoder(self, draft: Draft, source: str) -> str:
        """For tokens, an embedding; for numbers, a dense with the normalisation (x - mean) / std folded in."""
        inputs, encoder = self.checkpoint.inputs, self.model.encoder
        weight = numpy(encoder.weight)
        if isinstance(encoder, nn.Embedding):
            format = tensor_format(weight, self.recipe.weights["encoder"], self.recipe)
            table = draft.tensor("encoder.weight", to_codes(weight, format), format)
            return draft.add("embedding", "encoder", input=source, weight=table)
        weight = weight / inputs.std
        bias = numpy(encoder.bias) - weight[:, 0] * inputs.mean
        return draft.dense("encoder", source, weight[np.newaxis], bias[np.newaxis])

    def _block(self, draft: Draft, k: str, block: S5Block, stream: str) -> str:
        """Append the operations of block ``k`` on the edge ``stream``; returns its output."""
        config = self.model.config
        source, gain, offset = self._norm(draft, f"norm_{k}", block.norm, stream)
        readout = self._ssm(draft, k, block, source, gain, offset)
        d = numpy(block.seq.D)
        skip = _diagonal(draft, f"skip_{k}", source, d * gain, d * offset)
        total = draft.add("add", f"sum_{k}", inputs=[readout, skip], format=draft.edge(f"sum_{k}", function=gelu))
        out = active = draft.table(f"gelu_{k}", GELUS[config.gelu], total)
        if config.gate == "half_glu2":
            out = total
        if config.gate == "full_glu":
            out = _linear(draft, f"value_{k}", block.out1, active)
        if config.gate != "none":
            gate = _linear(draft, f"gate_{k}", block.out2, active)
            opened = draft.table(f"sigmoid_{k}", "sigmoid", gate, format=UQ(0, self.recipe.activations["sigmoid"]))
            out = draft.add("multiply", f"glu_{k}", inputs=[out, opened])
        carried = _diagonal(draft, f"carry_{k}", source, gain, offset) if config.skip == "norm" else stream
        stream = draft.add("add", f"residual_{k}", inputs=[carried, out])
        return self._feed_forward(draft, k, block, stream) if config.hidden else stream

    def _feed_forward(self, draft: Draft, k: str, block: S5Block, stream: str) -> str:
        """Append the feed-forward network of block ``k`` on the edge ``stream``; returns its output."""
        config, weight = self.model.config, numpy(block.ff_enc.weight)
        source, gain, offset = self._norm(draft, f"ff_norm_{k}", block.ff_norm, stream)
        halves = draft.dense(f"ff_enc_{k}", source, (weight * gain)[np.newaxis], (weight @ offset)[np.newaxis])
        value = draft.add("slice", f"ff_value_{k}", input=halves, start=0, size=config.hidden)
        gate = draft.add("slice", f"ff_gate_{k}", input=halves, start=config.hidden, size=config.hidden)
        active = draft.table(f"ff_gelu_{k}", GELUS[config.gelu], gate, "ff_enc")
        product = draft.add("multiply", f"ff_glu_{k}", inputs=[value, active])
        out = _linear(draft, f"ff_dec_{k}", block.ff_dec, product)
        carried = _diagonal(draft, f"ff_carry_{k}", source, gain, offset) if config.skip == "norm" else stream
        return draft.add("add", f"ff_residual_{k}", inputs=[carried, out])

    def _norm(self, draft: Draft, name: str, norm: nn.Module, stream: str) -> tuple[str, Floats, Floats]:
        """The edge after a norm, and the gain and the offset (H,) that its readers have to fold in; a batch norm adds no edge."""
        is_norm, gain, offset = affine(norm)
        if not is_norm:
            return stream, gain, offset
        # In the units of V = n sum x**2 - S**2, which has n**2 and two times the fraction bits.
        epsilon = round(self.model.config.epsilon * len(gain) ** 2 * 4.0 ** draft.formats[stream].f_bits)
        return draft.add("norm", name, input=stream, epsilon=epsilon), gain, offset

    def _ssm(self, draft: Draft, k: str, block: S5Block, source: str, gain: Floats, offset: Floats) -> str:
        """Append drive, scan and readout of a block; powers of two let drive and state of every mode fill their formats."""
        recipe = self.recipe
        poles, b = (numpy(values) for values in block.seq.discrete())
        c = 2 * (numpy(block.seq.C[..., 0]) + 1j * numpy(block.seq.C[..., 1]))
        abar = store(poles[:, np.newaxis], recipe.transition, recipe.delta)
        state, drive = SQ(1, recipe.state - 1), SQ(1, recipe.activations["drive"] - 1)
        peak = self._peak(f"state_{k}") * self.margin(f"readout_{k}")
        e = np.floor(np.log2(state.max * state.lsb / peak)).astype(np.int64)
        d = np.floor(np.log2(drive.max * drive.lsb / self._peak(f"drive_{k}"))).astype(np.int64)
        # The drive keeps all its bits until the state is rounded.
        d = np.minimum(d, e + abar.f_bits + state.f_bits - drive.f_bits)
        draft.scales[f"drive_{k}"] = np.exp2(np.repeat(d, 2))
        rows = np.ldexp(real_pairs(b * gain).swapaxes(1, 2), d[:, np.newaxis, np.newaxis]).reshape(1, 2 * len(poles), -1)
        bias = np.ldexp(real_pairs(b @ offset), d[:, np.newaxis]).reshape(1, -1)
        driven = draft.dense(f"drive_{k}", source, rows, bias, result="complex", format=drive)
        scan = draft.scan(f"ssm_{k}", driven, abar, (e - d)[:, np.newaxis], state)
        read = real_pairs(c * np.exp2(-e.astype(np.float64))).reshape(1, len(c), -1)
        return draft.dense(f"readout_{k}", scan, read, np.zeros((1, len(c))), pairs=True)

    def _peak(self, name: str) -> Floats:
        """The largest |Re| or |Im| of every mode, (P,), of a complex edge."""
        histogram = self.edges[name]
        largest: Floats = np.maximum(-histogram.low, histogram.high).reshape(-1, 2).max(1)
        return np.asarray(np.maximum(largest, 2.0**-40))


def affine(norm: nn.Module) -> tuple[bool, Floats, Floats]:
    """Whether a norm is an operation of its own, and the gain and the offset (H,) after it."""
    assert isinstance(norm, BatchNorm | nn.LayerNorm)
    gain = numpy(norm.weight)
    offset = np.zeros_like(gain) if norm.bias is None else numpy(norm.bias)
    if isinstance(norm, BatchNorm):
        gain = gain / np.sqrt(numpy(norm.get_buffer("running_var")) + norm.epsilon)
        return False, gain, offset - gain * numpy(norm.get_buffer("running_mean"))
    return True, gain, offset


def edges(model: S5, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """The float values of the manifest's edges on normalised inputs x (B, L, 1); drives and states are in units of the model.

    Complex edges are (B, L, 2 P), real and imaginary parts in turn.
    """
    seen = model.trace(x)
    for k, block in enumerate(model.blocks):
        for name in (f"drive_{k}", f"state_{k}"):
            seen[name] = seen[name].reshape(*seen[name].shape[:-1], 2, -1).mT.flatten(-2)
        # The model's readout includes the skip; the manifest has readout, skip and sum.
        seen[f"sum_{k}"], seen[f"skip_{k}"] = seen[f"readout_{k}"], seen[f"norm_{k}"] * block.seq.D.detach()
        seen[f"readout_{k}"] = seen[f"sum_{k}"] - seen[f"skip_{k}"]
        norms = [("norm", "carry", block.norm)] + ([("ff_norm", "ff_carry", block.ff_norm)] if model.config.hidden else [])
        for name, carry, norm in norms:
            is_norm, gain, offset = affine(norm)
            u = seen.pop(f"{name}_{k}")
            if model.config.skip == "norm":
                seen[f"{carry}_{k}"] = u
            if is_norm:
                seen[f"{name}_{k}"] = (u - torch.from_numpy(offset).to(u)) / torch.from_numpy(np.where(gain == 0, 1, gain)).to(u)
    return seen


def _diagonal(draft: Draft, name: str, source: str, weight: Floats, bias: Floats) -> str:
    return draft.dense(name, source, weight[:, np.newaxis, np.newaxis], bias[:, np.newaxis])


def _linear(draft: Draft, name: str, linear: nn.Linear, source: str) -> str:
    weight = numpy(linear.weight)
    bias = np.zeros(len(weight)) if linear.bias is None else numpy(linear.bias)
    return draft.dense(name, source, weight[np.newaxis], bias[np.newaxis])
