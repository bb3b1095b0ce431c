"""What a family of models brings along to be quantized: its calibration, and how it becomes a manifest."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.quantize.draft import Lowered
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.quantize.recipe import Recipe
from ssm_hdl.sw.quantize.rows import Rows


@dataclass(frozen=True)
class Layer:
    """A part of the manifest that is fitted as a whole, when all before it has been.

    Attributes:
        source: the one edge that leads into it.
        readout: the dense that reads its states.
        fitted: what is fitted in it, in order.
    """

    source: str
    readout: str
    fitted: Sequence[str]


class Lowering(ABC):
    """A calibrated float model on its way to integers.

    Args:
        checkpoint: the model, what it is fed, and its name.
        recipe: widths and rule.

    Attributes:
        layers: in the order of the data flow.
        calibrations: times that it runs the samples to be made.
        margins: of the states in front of a read-out, (groups,), in parts of the largest ones; by the name of the read-out.
    """

    layers: Sequence[Layer]
    calibrations: int

    def __init__(self, checkpoint: Checkpoint, recipe: Recipe) -> None:
        self.checkpoint, self.recipe = checkpoint, recipe
        self.margins: dict[str, Floats] = {}

    def margin(self, readout: str) -> Floats:
        """The margin of the states in front of a read-out, (groups,) or (1,)."""
        fixed = 1.0 if self.recipe.state_margin == "fit" else self.recipe.state_margin
        return self.margins.get(readout, np.array([fixed]))

    @abstractmethod
    def lower(self, fitted: Mapping[str, Rows]) -> Lowered:
        """The integer program, with these weights and biases in place of those of the float model.

        Raises:
            SsmHdlError: widths that cannot work together, named.
        """

    @abstractmethod
    def wanted(self, x: Tensor) -> Mapping[str, Floats]:
        """What the edges of the manifest stand for on normalised inputs x (B, L, 1), but for the states."""
