"""Measures recipes: quantize, run the integers on validation samples, count the memory.
All recipes share one calibration."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ssm_hdl import Manifest
from ssm_hdl.errors import SsmHdlError
from ssm_hdl.sw import checkpoint as checkpoints
from ssm_hdl.sw import memory
from ssm_hdl.sw.data import Dataset, load_for
from ssm_hdl.sw.evaluate import evaluate_float
from ssm_hdl.sw.qat.model import QatModel, outputs
from ssm_hdl.sw.quantize import FAMILIES, program
from ssm_hdl.sw.quantize.calibrate import Calibration
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.quantize.parts import FAMILY_PARTS
from ssm_hdl.sw.quantize.recipe import Recipe
from ssm_hdl.sw.score import TITLES, main_score, score, score_text
from ssm_hdl.sw.train import threads

ACCOUNTINGS = {"paper": "paper_bytes", "ours": "hardware_bytes"}
"""The counts of memory, and their attributes of `Measured`."""


@dataclass(frozen=True)
class Measured:
    """The score and the memory of a recipe.

    Attributes:
        score: of the integers on the validation samples: accuracy, 0 to 1,
            or R2 if the labels are numbers.
        sqnr_db: signal-to-quantization-noise ratio of the logits against the float model, in dB.
        paper_bytes: memory by the paper's count.
        hardware_bytes: memory with every bit that the hardware keeps.
        seconds: time of the measurement.
        name: of the score, as in `ssm_hdl.sw.score.TITLES`.
    """

    score: float
    sqnr_db: float
    paper_bytes: float
    hardware_bytes: float
    seconds: float
    name: str = "accuracy"

    def to_json(self) -> dict[str, float]:
        """The fields, for JSON, the score under its own name."""
        return {
            {"score": self.name}.get(field, field): value
            for field, value in asdict(self).items()
            if field != "name"
        }

    @property
    def shown(self) -> str:
        """The score with its name and in its unit."""
        return f"{TITLES[self.name]} {score_text(self.name, self.score)}"

    @classmethod
    def from_json(cls, fields: Mapping[str, float]) -> "Measured":
        """The same from such fields."""
        name = "r2" if "r2" in fields else "accuracy"
        return cls(
            name=name,
            **{"score" if field == name else field: value for field, value in fields.items()},
        )


@dataclass(frozen=True)
class Subject:
    """A model and its samples, given by files and counts, so that another process or machine
    can measure it too.

    Attributes:
        checkpoint: file of the float model.
        data: folder of the data set, if it needs one.
        samples: calibration sequences, from the training samples.
        images: validation sequences.
    """

    checkpoint: Path
    data: Path | None
    samples: int = 128
    images: int = 500

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """The parts of a recipe that the model has."""
        return FAMILY_PARTS[self.family]

    @cached_property
    def family(self) -> str:
        """The family of the model."""
        return checkpoints.load(self.checkpoint).model.config.family

    @cached_property
    def score(self) -> str:
        """The name of the score of the model."""
        return main_score(checkpoints.load(self.checkpoint).inputs)

    def identity(self) -> dict[str, Any]:
        """Everything that a result depends on; subjects with equal identities give equal results,
        wherever their files are."""
        try:
            digest = sha256(self.checkpoint.read_bytes()).hexdigest()
        except OSError as error:
            raise SsmHdlError(f"cannot read {self.checkpoint}: {error.strerror}") from error
        return {"checkpoint_sha256": digest, "samples": self.samples, "images": self.images}


class Bench:
    """A float model, ready to be quantized by many recipes.

    Args:
        subject: the model and the samples.
        dataset: its data set, if it has been read already.

    Attributes:
        split: validation samples.
    """

    def __init__(self, subject: Subject, dataset: Dataset | None = None) -> None:
        if subject.samples < 1 or subject.images < 1:
            raise SsmHdlError(
                f"{subject.samples} calibration and {subject.images} validation samples; "
                "take at least 1 of each"
            )
        self.subject = subject
        self.checkpoint = checkpoints.load(subject.checkpoint)
        self.dataset = dataset or load_for(self.checkpoint.inputs, subject.data)
        self.split = self.dataset.val.head(subject.images)

    @cached_property
    def calibration(self) -> Calibration:
        """Calibration of the float model with its states, the same for all recipes."""
        family = FAMILIES[self.checkpoint.model.config.family]
        return family.observe(
            self.checkpoint.unscaled(), self.dataset.train.head(self.subject.samples)
        )

    @cached_property
    def wanted(self) -> Floats:
        """Logits of the float model on the validation samples, (n, classes)."""
        return evaluate_float(self.checkpoint, self.split).outputs.astype(np.float64)

    @property
    def float_score(self) -> float:
        """The score of the float model on the validation samples."""
        return score(self.wanted, self.split.labels)

    def on_all(self) -> "Bench":
        """The same on all validation samples."""
        bench = Bench(replace(self.subject, images=len(self.dataset.val)), self.dataset)
        bench.calibration = self.calibration
        return bench

    def measure(self, recipe: Recipe) -> Measured:
        """Quantize by a recipe, with the calibration samples of the subject,
        and measure the result.

        Raises:
            SsmHdlError: widths that cannot work.
        """
        began = time.monotonic()
        manifest, got = self.run(recipe)
        return replace(self.judge(manifest, got), seconds=round(time.monotonic() - began, 1))

    def run(self, recipe: Recipe) -> tuple[Manifest, Floats]:
        """The integer program by a recipe, and its outputs on the validation samples."""
        with one_thread():
            recipe = recipe.model_copy(update={"samples": self.subject.samples})
            manifest, _ = program(self.checkpoint, self.dataset, recipe, self.calibration)
            model = QatModel(manifest)
            return manifest, manifest.values(outputs(model, self.split.codes, self.split.lengths))

    def judge(self, manifest: Manifest, got: Floats) -> Measured:
        """The figures of an integer program with these outputs, without the time."""
        noise = float(((got - self.wanted) ** 2).sum())
        return Measured(
            score=score(got, self.split.labels),
            # The bound keeps the ratio finite if the integers are exact.
            sqnr_db=round(10 * float(np.log10((self.wanted**2).sum() / max(noise, 1e-30))), 2),
            paper_bytes=memory.paper(manifest).bytes,
            hardware_bytes=memory.hardware(manifest).bytes,
            seconds=0.0,
            name=main_score(self.dataset),
        )


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit torch and BLAS to one thread: recipes side by side use the cores better than the small
    matrices of one recipe."""
    with threads(1), threadpool_limits(1):
        yield
