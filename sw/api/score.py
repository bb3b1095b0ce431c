"""The scores of a model, printed as ``ssm-hdl eval`` does."""

from dataclasses import dataclass
from typing import Self

from rich.console import RenderableType

from ssm_hdl.sw.api.shown import Shown
from ssm_hdl.sw.cli.evaluate import rows
from ssm_hdl.sw.evaluate import Evaluation


@dataclass(frozen=True, repr=False)
class Score(Shown, Evaluation):
    """What a model puts out, and its scores; see `ssm_hdl.sw.evaluate.Evaluation`."""

    @classmethod
    def of(cls, evaluation: Evaluation) -> Self:
        """The same, to be printed."""
        return cls(**vars(evaluation))

    def parts(self) -> tuple[RenderableType, ...]:  # noqa: D102
        answer = {"arithmetic": "integer", "split": "given", **self.to_json()}
        return tuple(rows(self, answer))
