"""Lowering of a deep model to a manifest, block by block.

A block is norm, SSM, GELU, gate, sigmoid, glu and residual. Where the gain and the bias of a norm
cannot be folded into the operations that read it, a dense of one weight per channel, ``carry``,
applies them: the residual of a postnorm block needs it, and so does a recurrence without a dense
before it. A batch norm is an affine map, which is folded whole. The families add their SSM.
"""

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ssm_hdl import UQ
from ssm_hdl.sw.models.norm import BatchNorm
from ssm_hdl.sw.models.stack import Block, Stack, StackConfig
from ssm_hdl.sw.quantize.draft import Draft, linear, numpy
from ssm_hdl.sw.quantize.formats import gated_format
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.quantize.lowering import DeepLowering

GELUS = {"tanh": "gelu_tanh", "erf": "gelu"}
"""The table of each kind of GELU."""

FITTED = {"none": (), "glu": ("mixing",), "full_glu": ("value", "gate")}
"""Denses of each kind of gate; of the others ``gate``."""


class StackLowering(DeepLowering):
    """A `Stack` on its way to integers.

    Attributes:
        denses: of the SSM, to be fitted in this order.
        folds_offset: whether the SSM begins with a dense, which takes the bias of a norm.
    """

    denses: Sequence[str]
    folds_offset: bool

    @classmethod
    def parts_of(cls, config: StackConfig) -> tuple[str, Sequence[str], str]:
        """The denses of the SSM, of the gate and of the feed-forward network."""
        fitted = (
            *cls.denses,
            *FITTED.get(config.gate, ("gate",)),
            *(("ff_enc", "ff_dec") if config.hidden else ()),
        )
        return (
            "readout",
            fitted,
            "carry"
            if config.order == "postnorm"
            else "ff_residual"
            if config.hidden
            else "residual",
        )

    @classmethod
    def trace(cls, model: Stack, x: torch.Tensor, states: bool = False) -> dict[str, torch.Tensor]:
        """The float values of the manifest's edges on normalised inputs x (B, L, channels);
        complex ones in units of the model.

        Args:
            model: the float model.
            x: normalised inputs.
            states: also statistics of the states of scans with real inputs.
        """
        seen, config = model.trace(x), model.config
        before = "encoder"
        for k, block in enumerate(model.blocks):
            u = seen[f"norm_{k}" if config.order == "prenorm" else before]
            before = f"carry_{k}" if config.order == "postnorm" else f"residual_{k}"
            _separate(
                seen,
                f"norm_{k}",
                f"carry_{k}" if cls._carries(block, affine(block.norm)[2]) else None,
                block.norm,
            )
            if config.hidden:
                _separate(
                    seen,
                    f"ff_norm_{k}",
                    f"ff_carry_{k}" if config.skip == "norm" else None,
                    block.ff_norm,
                )
            cls.trace_ssm(seen, str(k), block, u, states)
        if config.final_norm:
            _separate(seen, "norm_f", "carry_f", model.norm_f)
        return seen

    @classmethod
    def _carries(cls, block: Block, offset: Floats) -> bool:
        """Whether an operation applies the gain and the offset of the block's norm."""
        config = block.config
        return (
            config.order == "postnorm"
            or config.skip == "norm"
            or (not cls.folds_offset and bool(offset.any()))
        )

    @classmethod
    @abstractmethod
    def trace_ssm(
        cls, seen: dict[str, torch.Tensor], k: str, block: Block, u: torch.Tensor, states: bool
    ) -> None:
        """Change the trace of a block's SSM, whose input is u, to the manifest's edges."""

    @property
    def model(self) -> Stack:
        """The float model."""
        return self.checkpoint.require(Stack)

    @property
    def title(self) -> str:
        """The family, its sizes and options."""
        config = self.model.config
        return f"{self.sizes} = {config.modes}, {config.layers} layers"

    @property
    @abstractmethod
    def sizes(self) -> str:
        """The family and its sizes, but the number of modes."""

    def append(self, draft: Draft, source: str) -> str:
        """Append encoder, blocks, last norm, pool and decoder."""
        stream = self.encode(draft, self.model.encoder, source)
        for number, block in enumerate(self.model.blocks):
            stream = self._block(draft, str(number), block, stream)
        if self.model.config.final_norm:
            stream = diagonal(
                draft, "carry_f", *self._norm(draft, "norm_f", self.model.norm_f, stream)
            )
        return self.decode(draft, self.model.decoder, stream, self.model.config.pooling)

    def _block(self, draft: Draft, k: str, block: Block, stream: str) -> str:
        """Append the operations of block ``k`` on the edge ``stream``; returns its output."""
        config, source = self.model.config, stream
        gain, offset = np.ones(config.width), np.zeros(config.width)
        if config.order == "prenorm":
            source, gain, offset = self._norm(draft, f"norm_{k}", block.norm, stream)
            if not self.folds_offset and self._carries(block, offset):
                source = diagonal(draft, f"carry_{k}", source, gain, offset)
                gain, offset = np.ones(config.width), np.zeros(config.width)
        total = self.ssm(draft, k, block, source, gain, offset)
        out = active = draft.table(f"gelu_{k}", GELUS[config.gelu], total)
        if config.gate == "half_glu2":
            out = total
        if config.gate == "full_glu":
            out = _linear(draft, f"value_{k}", block.out1, active)
        if config.gate != "none":
            if config.gate == "glu":
                width = self.recipe.activations["mixing"]
                halves = self.edges[f"value_{k}"], self.edges[f"gate_{k}"]
                format = draft.once(
                    f"mixing_{k}", lambda: gated_format(*halves, width, self.recipe)
                )
                gate = _linear(draft, f"mixing_{k}", block.out, active, format=format)
                out, gate = _halves(draft, gate, (f"value_{k}", f"gate_{k}"), config.width)
            else:
                gate = _linear(draft, f"gate_{k}", block.out2, active)
            part = "mixing" if config.gate == "glu" else None
            opened = draft.table(
                f"sigmoid_{k}",
                "sigmoid",
                gate,
                part,
                format=UQ(0, self.recipe.activations["sigmoid"]),
            )
            out = draft.add("multiply", f"glu_{k}", inputs=[out, opened])
        carried = stream
        if config.skip == "norm":
            carried = (
                diagonal(draft, f"carry_{k}", source, gain, offset) if self.folds_offset else source
            )
        stream = draft.add("add", f"residual_{k}", inputs=[carried, out])
        if config.order == "postnorm":
            return diagonal(
                draft, f"carry_{k}", *self._norm(draft, f"norm_{k}", block.norm, stream)
            )
        return self._feed_forward(draft, k, block, stream) if config.hidden else stream

    @abstractmethod
    def ssm(
        self, draft: Draft, k: str, block: Block, source: str, gain: Floats, offset: Floats
    ) -> str:
        """Append the SSM of gain * source + offset with its skip;
        returns the edge before the GELU."""

    def _feed_forward(self, draft: Draft, k: str, block: Block, stream: str) -> str:
        """Append the feed-forward network of block ``k`` on the edge ``stream``;
        returns its output."""
        config, weight = self.model.config, numpy(block.ff_enc.weight)
        source, gain, offset = self._norm(draft, f"ff_norm_{k}", block.ff_norm, stream)
        halves = draft.dense(
            f"ff_enc_{k}", source, (weight * gain)[np.newaxis], (weight @ offset)[np.newaxis]
        )
        value, gate = _halves(draft, halves, (f"ff_value_{k}", f"ff_gate_{k}"), config.hidden)
        active = draft.table(f"ff_gelu_{k}", GELUS[config.gelu], gate, "ff_enc")
        product = draft.add("multiply", f"ff_glu_{k}", inputs=[value, active])
        out = _linear(draft, f"ff_dec_{k}", block.ff_dec, product)
        carried = (
            diagonal(draft, f"ff_carry_{k}", source, gain, offset)
            if config.skip == "norm"
            else stream
        )
        return draft.add("add", f"ff_residual_{k}", inputs=[carried, out])

    def _norm(
        self, draft: Draft, name: str, norm: nn.Module, stream: str
    ) -> tuple[str, Floats, Floats]:
        """The edge after a norm, and the gain and the offset (H,) that its readers have to fold in;
        a batch norm adds no edge."""
        is_norm, gain, offset = affine(norm)
        gain, offset = (np.resize(values, self.model.config.width) for values in (gain, offset))
        if not is_norm:
            return stream, gain, offset
        return (
            self.add_norm(draft, name, stream, len(gain), self.model.config.epsilon),
            gain,
            offset,
        )


def _separate(seen: dict[str, torch.Tensor], name: str, carry: str | None, norm: nn.Module) -> None:
    """Replace the output of a norm by the outputs of its operations:
    ``name`` without gain and offset, ``carry`` with them."""
    value = seen.pop(name)
    is_norm, gain, offset = affine(norm)
    if carry is not None:
        seen[carry] = value
    if is_norm:
        seen[name] = (value - torch.from_numpy(offset).to(value)) / torch.from_numpy(
            np.where(gain == 0, 1, gain)
        ).to(value)


def affine(norm: nn.Module) -> tuple[bool, Floats, Floats]:
    """Whether a norm is an operation of its own, and the gain and the offset (H,) after it;
    of no norm (1,)."""
    if isinstance(norm, nn.Identity):
        return False, np.ones(1), np.zeros(1)
    assert isinstance(norm, BatchNorm | nn.LayerNorm | nn.RMSNorm)
    gain, bias = numpy(norm.weight), getattr(norm, "bias", None)
    offset = np.zeros_like(gain) if bias is None else numpy(bias)
    if isinstance(norm, BatchNorm):
        gain = gain / np.sqrt(numpy(norm.get_buffer("running_var")) + norm.epsilon)
        return False, gain, offset - gain * numpy(norm.get_buffer("running_mean"))
    return True, gain, offset


def diagonal(draft: Draft, name: str, source: str, weight: Floats, bias: Floats) -> str:
    """Append a dense of one weight per channel."""
    return draft.dense(name, source, weight[:, np.newaxis, np.newaxis], bias[:, np.newaxis])


def _linear(draft: Draft, name: str, layer: nn.Linear, source: str, **fields: object) -> str:
    weight, bias = linear(layer)
    return draft.dense(name, source, weight[np.newaxis], bias[np.newaxis], **fields)


def _halves(draft: Draft, source: str, names: Sequence[str], size: int) -> list[str]:
    return [
        draft.add("slice", name, input=source, start=at * size, size=size)
        for at, name in enumerate(names)
    ]
