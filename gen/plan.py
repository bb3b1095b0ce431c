"""The plan of a pipeline: how large each stage is, and of what kind its multipliers are."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ssm_hdl.families import Family
from ssm_hdl.files import sealed_json
from ssm_hdl.gateware.stage import StagePlan


@dataclass(frozen=True)
class Plan:
    """How a manifest becomes hardware; `ssm_hdl.gen.size.planner.plan_for` makes one.

    Attributes:
        family: the FPGA family.
        stages: the plan of each operation, by name; of the same operation of all layers,
            if they share stages.
        share_layers: the layers of a deep model, repetitions of the same operations,
            share one set of stages.
        luts_below: bits below which a memory is of LUTs, for a device whose block RAMs are short.
    """

    family: Family
    stages: Mapping[str, StagePlan]
    share_layers: bool = False
    luts_below: int = 0

    @property
    def dsp(self) -> int:
        """DSP blocks."""
        return sum(stage.blocks for stage in self.stages.values())

    def to_json(self) -> str:
        """The plan as JSON that `ssm_hdl.files.read_sealed` reads."""
        stages = {name: asdict(stage) for name, stage in self.stages.items()}
        fields = {
            "family": self.family.name,
            "share_layers": self.share_layers,
            "luts_below": self.luts_below,
            "stages": stages,
        }
        return sealed_json(fields)
