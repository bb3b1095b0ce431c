"""The table of the paper on small S4Ds beside ours: every row quantised, judged on all test images, simulated and synthesised.

The paper is Zhao et al., "Quantizing Small-Scale State-Space Models for Edge AI", arXiv 2506.12480. A row's manifest is made when
it is not there, so that the committed ones can be measured again without training; its figures are kept and taken up again.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.boards.flow import synthesised
from ssm_hdl.boards.protocol import fingerprint
from ssm_hdl.files import write_atomically
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.verilog import generate
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
class Published:
    """A configuration of the paper.

    Attributes:
        label: what the paper calls it.
        widths: bits of weights, activations, Abar and state.
        accuracy: in %, by model, after quantisation-aware training.
        untrained: the same after quantisation alone, where the paper says it.
    """

    label: str
    widths: tuple[int, int, int, int]
    accuracy: Mapping[str, float]
    untrained: Mapping[str, float] = field(default_factory=dict)


PAPER = {
    "w8a8x8": Published("W8A8, A8 x8", (8, 8, 8, 8), {"s4d-16h": 92.64, "s4d-64h": 97.66}),
    "w4a6x8": Published("W4A6, A8 x8", (4, 6, 8, 8), {"s4d-16h": 88.39, "s4d-64h": 95.99}, {"s4d-16h": 29.36, "s4d-64h": 39.46}),
    "w4a6x6": Published("W4A6, A6 x6", (4, 6, 6, 6), {"s4d-16h": 57.04, "s4d-64h": 84.21}),
}
"""The paper's table of sequential MNIST, by the recipe that has the same widths."""


@dataclass(frozen=True)
class Row:
    """A row of our table.

    Attributes:
        model: name of the checkpoint.
        recipe: name of the recipe, a preset or a file of `recipes/`.
        training: the quantisation-aware training that follows, or None.
    """

    model: str
    recipe: str
    training: FinetuneConfig | None = None

    @property
    def name(self) -> str:
        """Name of the manifest."""
        return f"{self.model}-{self.recipe}{'' if self.training is None else '-qat'}"

    @property
    def paper(self) -> dict[str, Any]:
        """What the paper has for the same widths: label, accuracies in %, bytes; nothing if the widths are our own."""
        if self.recipe not in PAPER:
            return {}
        published = PAPER[self.recipe]
        counted = memory.paper_nominal(int(self.model[4:-1]), 32, 10, *published.widths)
        trained, untrained = published.accuracy[self.model], published.untrained.get(self.model)
        return {"label": published.label, "trained": trained, "untrained": untrained, "bytes": counted.bytes}


ROWS = (
    Row("s4d-16h", "w8a8x8"),
    Row("s4d-16h", "w4a6x8"),
    Row("s4d-16h", "w4a6x8", FinetuneConfig(epochs=5)),
    Row("s4d-16h", "w4a6x6"),
    Row("s4d-16h", "w4a6x6", FinetuneConfig(epochs=10)),
    Row("s4d-64h", "w8a8x8"),
    Row("s4d-64h", "w4a6x8"),
    Row("s4d-64h", "w4a6x6"),
    Row("s4d-64h", "a4x8"),
    Row("s4d-64h", "a4x8", FinetuneConfig(epochs=2)),
    Row("s4d-64h", "tenth"),
    Row("s4d-64h", "tenth", FinetuneConfig(epochs=3)),
)
"""The rows; where ours are ahead of the paper's trained ones without training, they stay as they are."""


def measure(
    row: Row, manifest: Manifest, dataset: Dataset, kept: Path, processes: int, step: Callable[[str], None]
) -> dict[str, Any]:
    """All figures of a row.

    Args:
        row: which.
        manifest: its integer program.
        dataset: its data set; the test samples are judged, and nothing was chosen by them.
        kept: file that keeps the figures; the accuracy is taken up again if it is of this manifest, the rest if it is of
            this Verilog.
        processes: that the golden model works in.
        step: told what is being done.

    Raises:
        SsmHdlError: RTL and golden model differ, or a tool is missing.
    """
    key, known = fingerprint(manifest), _known(kept)
    if known.get("fingerprint") != key:
        step(f"{row.name}: {len(dataset.test):,} test images")
        evaluation = evaluate_integer(manifest, dataset.test, processes)
        known = {"name": row.name, "fingerprint": key, "correct": evaluation.correct, "images": evaluation.sequences}
        write_atomically(kept, json.dumps(known, indent=2) + "\n")
    known |= {"row": asdict(row), "paper": row.paper, "accuracy": known["correct"] / known["images"]}
    plan = Plan.fit(manifest, DSP, "ecp5")
    hardware = sha256(f"{IMAGES} {generate(manifest, plan)}".encode()).hexdigest()
    if known.get("hardware") == hardware:
        return known
    step(f"{row.name}: RTL against the golden model")
    images = manifest.check_samples(dataset.test.codes[:IMAGES])
    compared = compare(manifest, VerilatedModel(manifest, Plan.fit(manifest, DSP)), images, jobs=processes)
    if compared.differences:
        raise SsmHdlError(f"{row.name}: {compared.differences} outputs of the RTL differ; {compared.first}")
    step(f"{row.name}: synthesis for ECP5")
    counted = memory.paper_float_of(manifest)
    known |= {
        "hardware": hardware,
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


def _known(kept: Path) -> dict[str, Any]:
    """The figures in a file; none if there is no such file."""
    if not kept.exists():
        return {}
    try:
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise SsmHdlError(f"{kept} is damaged or cannot be read ({error}); remove it to measure again") from error
