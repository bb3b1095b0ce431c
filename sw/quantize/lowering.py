"""The interface of a family of models for quantization: its calibration,
and its lowering to a manifest."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from ssm_hdl import SsmHdlError
from ssm_hdl.fixed import MAX_WIDTH
from ssm_hdl.fixed import quantize as to_codes
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.data import Split
from ssm_hdl.sw.quantize.calibrate import Calibration, calibrate
from ssm_hdl.sw.quantize.draft import Draft, Lowered, linear, numpy
from ssm_hdl.sw.quantize.formats import tensor_format
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.quantize.recipe import Recipe
from ssm_hdl.sw.quantize.rows import Rows


@dataclass(frozen=True)
class Layer:
    """A part of the manifest that is fitted as a whole, after all parts before it.

    Attributes:
        source: its only input edge.
        readout: the dense that reads its states.
        fitted: the denses to fit, in order.
    """

    source: str
    readout: str
    fitted: Sequence[str]


POOLS = {"mean": "mean", "last": "last", "max": "largest"}
"""The operation of each pooling."""


class Lowering(ABC):
    """A calibrated float model that can be lowered to integers.

    Args:
        checkpoint: the model with its inputs and its name.
        recipe: widths and rule.

    Attributes:
        layers: in the order of the data flow.
        calibrations: number of runs over the samples before the first lowering.
        margins: state margins by the name of the read-out, (groups,),
            relative to the largest states.
        memory: of the drafts.
    """

    layers: Sequence[Layer]
    calibrations: int

    def __init__(self, checkpoint: Checkpoint, recipe: Recipe) -> None:
        self.checkpoint, self.recipe = checkpoint, recipe
        self.margins: dict[str, Floats] = {}
        self.memory: dict[object, Any] = {}

    def margin(self, readout: str) -> Floats:
        """The margin of the states of a read-out, (groups,) or (1,)."""
        fixed = 1.0 if self.recipe.state_margin == "fit" else self.recipe.state_margin
        return self.margins.get(readout, np.array([fixed]))

    @abstractmethod
    def lower(self, fitted: Mapping[str, Rows]) -> Lowered:
        """The integer program, with the weights and biases of the float model replaced where
        they are ``fitted``.

        Raises:
            SsmHdlError: widths that cannot work together; the message names them.
        """

    @abstractmethod
    def wanted(self, x: Tensor) -> Mapping[str, Floats]:
        """The float values of the manifest's edges, except states,
        on normalised inputs x (B, L, channels)."""

    def encode(self, draft: Draft, encoder: nn.Module, source: str) -> str:
        """Append the encoder: for tokens an embedding; for numbers a dense with the normalisation
        (x - mean) / std folded in."""
        inputs = self.checkpoint.inputs
        assert isinstance(encoder, nn.Embedding | nn.Linear)
        weight = numpy(encoder.weight)
        if isinstance(encoder, nn.Embedding):
            format = tensor_format(weight, self.recipe.weights["encoder"], self.recipe)
            table = draft.tensor("encoder.weight", to_codes(weight, format), format)
            return draft.add("embedding", "encoder", input=source, weight=table)
        weight, bias = linear(encoder)
        weight = weight / np.array(inputs.std)
        bias = bias - (weight * np.array(inputs.mean)).sum(1)
        return draft.dense("encoder", source, weight[np.newaxis], bias[np.newaxis])

    def decode(
        self,
        draft: Draft,
        decoder: nn.Linear,
        stream: str,
        pooling: str = "mean",
        gain: Floats | float = 1.0,
    ) -> str:
        """Append pool and decoder, which reads gain * stream."""
        if pooling != "none":
            fields = {"format": draft.edge("pool", self.recipe.pool)} if pooling == "mean" else {}
            stream = draft.add(POOLS[pooling], "pool", input=stream, **fields)
        weight, bias = linear(decoder)
        output = draft.edge("decoder", self.recipe.output)
        return draft.dense(
            "decoder", stream, (weight * gain)[np.newaxis], bias[np.newaxis], format=output
        )


class DeepLowering(Lowering):
    """A model of encoder, blocks, pool and decoder on its way to integers, block by block.

    Args:
        checkpoint: the model.
        samples: to calibrate with.
        recipe: widths and rule.
        known: `observe` of the checkpoint on these samples; many recipes can share it.
        progress: called with the number of sequences done since the last call.
    """

    calibrations = 1

    def __init__(
        self,
        checkpoint: Checkpoint,
        samples: Split,
        recipe: Recipe,
        known: Calibration | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(checkpoint, self.widths(recipe))
        self.layers = self.layers_of(checkpoint)
        self.calibration = known or self.observe(checkpoint, samples, progress)
        self.edges = dict(self.calibration.edges)
        self._scales: Mapping[str, Floats] = {}  # of the last lowering
        self.prepare(samples)

    def prepare(self, samples: Split) -> None:
        """Calculate from the calibration what every lowering needs."""

    @classmethod
    def widths(cls, recipe: Recipe) -> Recipe:
        """The recipe, with the widths that the family adds to it."""
        return recipe

    @classmethod
    def observe(
        cls, checkpoint: Checkpoint, samples: Split, progress: Callable[[int], None] | None = None
    ) -> Calibration:
        """The calibration that does not depend on the recipe."""
        return calibrate(
            lambda x: cls.trace(checkpoint.model, x, states=True),
            checkpoint.inputs,
            samples,
            progress,
        )

    @classmethod
    def layers_of(cls, checkpoint: Checkpoint) -> Sequence[Layer]:
        """One layer per block; the decoder belongs to the last one."""
        config: Any = checkpoint.model.config
        readout, fitted, end = cls.parts_of(config)
        layers, source = [], "encoder"
        for k in range(config.layers):
            last = ("decoder",) if k == config.layers - 1 else ()
            layers.append(
                Layer(source, f"{readout}_{k}", (*(f"{part}_{k}" for part in fitted), *last))
            )
            source = f"{end}_{k}"
        return layers

    @classmethod
    @abstractmethod
    def parts_of(cls, config: Any) -> tuple[str, Sequence[str], str]:
        """Of a block: the dense that reads its states, the denses to fit,
        in order, and its output."""

    @classmethod
    @abstractmethod
    def trace(cls, model: Any, x: Tensor, states: bool = False) -> dict[str, Tensor]:
        """The float values of the manifest's edges on normalised inputs x (B, L, channels);
        complex ones in units of the model.

        Args:
            model: the float model.
            x: normalised inputs.
            states: also statistics of the states of scans with real inputs.
        """

    def wanted(self, x: Tensor) -> dict[str, Floats]:
        """The activations of the model, in the units of the manifest."""
        seen = {
            name: values.double().numpy()
            for name, values in self.trace(self.checkpoint.model, x).items()
        }
        return {
            name: values * self._scales.get(name, 1.0)
            for name, values in seen.items()
            if not name.startswith("state_")
        }

    def lower(self, fitted: Mapping[str, Rows]) -> Lowered:
        """The integer program."""
        draft = Draft(self.recipe, self.edges, fitted, self.memory)
        source = "token" if self.checkpoint.inputs.tokens else "sample"
        lowered = draft.lowered(self.checkpoint, self.title, source, self.append(draft, source))
        self._scales = lowered.scales
        return lowered

    @property
    @abstractmethod
    def title(self) -> str:
        """What the model is, with its sizes."""

    @abstractmethod
    def append(self, draft: Draft, source: str) -> str:
        """Append all operations on the input ``source``; returns the output."""

    def add_norm(
        self, draft: Draft, name: str, stream: str, size: int, epsilon: float, **fields: Any
    ) -> str:
        """Append a norm of ``size`` elements; ``epsilon`` is the float model's."""
        # In the units of V = n sum x**2 - S**2, which has n**2 and two times the fraction bits.
        format = draft.formats[stream]
        factor, bits = epsilon * size**2, 2 * format.f_bits
        if math.log2(factor) + bits >= MAX_WIDTH:
            raise SsmHdlError(
                f"{name}: {stream} goes up to {format.max * format.lsb:.3g}, which vanishes beside "
                f"the epsilon {epsilon:g} of the norm; the model is not fit to be quantized, "
                "train it again"
            )
        return draft.add(
            "norm",
            name,
            input=stream,
            epsilon=round(math.ldexp(factor, bits)),
            **fields,
        )
