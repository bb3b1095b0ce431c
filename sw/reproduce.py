"""The table of the paper on small S4Ds beside ours: every row quantised, judged on all test images, simulated and synthesised.

The paper is Zhao et al., "Quantizing Small-Scale State-Space Models for Edge AI", arXiv 2506.12480. A row's manifest is made when
it is not there, so that the committed ones can be measured again without training; its figures are kept and taken up again.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.boards.flow import synthesised
from ssm_hdl.boards.protocol import fingerprint
from ssm_hdl.files import write_atomically
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import estimate
from ssm_hdl.sim.compare import compare
from ssm_hdl.sim.verilated import VerilatedModel
from ssm_hdl.sw import memory
from ssm_hdl.sw.data import Dataset
from ssm_hdl.sw.evaluate import evaluate_integer
from ssm_hdl.sw.qat.finetune import FinetuneConfig

DSP = 28
"""Multipliers that the rows are planned for: those of an LFE5U-25F."""

IMAGES = 20
"""Test images that the RTL of every row is compared with the golden model on."""


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        model: name of the checkpoint.
        recipe: name of the recipe, a preset or a file of `recipes/`.
        training: the quantisation-aware training that follows, or None.
        label: what the paper calls it.
        paper: accuracy in the paper, in %; None if it has no such row.
        reach: the accuracy asked for, in %.
    """

    model: str
    recipe: str
    training: FinetuneConfig | None
    label: str
    paper: float | None
    reach: float | None

    @property
    def name(self) -> str:
        """Name of the manifest."""
        return f"{self.model}-{self.recipe}{'' if self.training is None else '-qat'}"

    @property
    def paper_bytes(self) -> float | None:
        """Memory of the paper's configuration by the paper's count; None if its widths are our own."""
        widths = WIDTHS.get(self.recipe)
        return memory.paper_nominal(int(self.model[4:-1]), 32, 10, *widths).bytes if widths else None


WIDTHS = {"w8a8x8": (8, 8, 8, 8), "w4a6x8": (4, 6, 8, 8), "w4a6x6": (4, 6, 6, 6)}
"""Bits of weights, activations, Abar and state in the recipes that are the paper's configurations."""

ROWS = (
    Row("s4d-16h", "w8a8x8", None, "W8A8, A8 x8", 92.64, 96.8),
    Row("s4d-16h", "w4a6x8", None, "W4A6, A8 x8", 29.36, 85),
    Row("s4d-16h", "w4a6x6", None, "W4A6, A6 x6", None, None),
    Row("s4d-16h", "w4a6x8", FinetuneConfig(epochs=3), "W4A6, A8 x8", 88.39, 95.5),
    Row("s4d-16h", "w4a6x6", FinetuneConfig(epochs=4), "W4A6, A6 x6", 57.04, 92),
    Row("s4d-64h", "w8a8x8", None, "W8A8, A8 x8", 97.66, 98.4),
    Row("s4d-64h", "w4a6x8", None, "W4A6, A8 x8", 39.46, 90),
    Row("s4d-64h", "w4a6x6", None, "W4A6, A6 x6", 84.21, 96),
)
"""The rows; the paper's W8A8 rows are quantisation-aware trained, and ours need not be."""


def measure(
    row: Row, manifest: Manifest, dataset: Dataset, kept: Path, processes: int, step: Callable[[str], None]
) -> dict[str, Any]:
    """All figures of a row.

    Args:
        row: which.
        manifest: its integer program.
        dataset: its data set; the test samples are judged, and nothing was chosen by them.
        kept: file that keeps the figures; taken up again if it is of this manifest.
        processes: that the golden model works in.
        step: told what is being done.

    Raises:
        SsmHdlError: RTL and golden model differ, or a tool is missing.
    """
    key = fingerprint(manifest)
    known: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    if known.get("fingerprint") != key:
        step(f"{row.name}: {len(dataset.test):,} test images")
        evaluation = evaluate_integer(manifest, dataset.test, processes)
        known = {"name": row.name, "fingerprint": key, "correct": evaluation.correct, "images": evaluation.sequences}
        write_atomically(kept, json.dumps(known, indent=2) + "\n")
    known |= {"row": asdict(row) | {"paper_bytes": row.paper_bytes}, "accuracy": known["correct"] / known["images"]}
    if "ecp5" in known:
        return known
    step(f"{row.name}: RTL against the golden model")
    images = manifest.check_samples(dataset.test.codes[:IMAGES])
    compared = compare(manifest, VerilatedModel(manifest, Plan.fit(manifest, DSP)), images, jobs=processes)
    if compared.differences:
        raise SsmHdlError(f"{row.name}: {compared.differences} outputs of the RTL differ; {compared.first}")
    step(f"{row.name}: synthesis for ECP5")
    counted = memory.paper_float_of(manifest)
    plan = Plan.fit(manifest, DSP, "ecp5")
    known |= {
        "memory": {
            "float_paper": counted.bytes if counted else None,
            "paper": memory.paper(manifest).bytes,
            "ours": memory.hardware(manifest).bytes,
        },
        "rtl": {"images": compared.sequences, "outputs": compared.elements, "differences": compared.differences},
        "interval": compared.interval,
        "ecp5": synthesised(manifest, "ecp5", plan) | {"planned": estimate(manifest, plan).dsp},
    }
    write_atomically(kept, json.dumps(known, indent=2) + "\n")
    return known
