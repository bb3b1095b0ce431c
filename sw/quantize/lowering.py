"""The interface of a family of models for quantization: its calibration, and its lowering to a manifest."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor, nn

from ssm_hdl.fixed import quantize as to_codes
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.quantize.draft import Draft, Lowered, numpy
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
        margins: state margins by the name of the read-out, (groups,), relative to the largest states.
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
        """The integer program, with the weights and biases of the float model replaced where they are ``fitted``.

        Raises:
            SsmHdlError: widths that cannot work together; the message names them.
        """

    @abstractmethod
    def wanted(self, x: Tensor) -> Mapping[str, Floats]:
        """The float values of the manifest's edges, except states, on normalised inputs x (B, L, channels)."""

    def encode(self, draft: Draft, encoder: nn.Module, source: str) -> str:
        """Append the encoder: for tokens an embedding; for numbers a dense with the normalisation (x - mean) / std folded in."""
        inputs = self.checkpoint.inputs
        assert isinstance(encoder, nn.Embedding | nn.Linear)
        weight = numpy(encoder.weight)
        if isinstance(encoder, nn.Embedding):
            format = tensor_format(weight, self.recipe.weights["encoder"], self.recipe)
            table = draft.tensor("encoder.weight", to_codes(weight, format), format)
            return draft.add("embedding", "encoder", input=source, weight=table)
        weight = weight / np.array(inputs.std)
        bias = numpy(encoder.bias) - (weight * np.array(inputs.mean)).sum(1)
        return draft.dense("encoder", source, weight[np.newaxis], bias[np.newaxis])

    def decode(self, draft: Draft, decoder: nn.Linear, stream: str, pooling: str = "mean") -> str:
        """Append pool and decoder."""
        if pooling != "none":
            fields = {"format": draft.edge("pool", self.recipe.pool)} if pooling == "mean" else {}
            stream = draft.add(POOLS[pooling], "pool", input=stream, **fields)
        weight, bias = numpy(decoder.weight), numpy(decoder.bias)
        output = draft.edge("decoder", self.recipe.output)
        return draft.dense("decoder", stream, weight[np.newaxis], bias[np.newaxis], format=output)
