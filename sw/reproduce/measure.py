"""A row of a paper's table and ours: quantised, judged on all test samples,
simulated and synthesised.

Its manifest is made when it is not there, so that the committed ones can be measured again without
training; its figures are kept and taken up again.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.boards.flow import synthesis_key, synthesised
from ssm_hdl.families import unlimited
from ssm_hdl.families.ecp5 import ECP5
from ssm_hdl.files import read_json, write_atomically
from ssm_hdl.fingerprint import fingerprint
from ssm_hdl.fixed import Codes
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.gen.verilog import bare, generate
from ssm_hdl.sim.cells import with_cells
from ssm_hdl.sim.compare import compare
from ssm_hdl.sim.compiler import Design
from ssm_hdl.sim.verilated import VerilatedModel
from ssm_hdl.sw import memory
from ssm_hdl.sw.data import Dataset
from ssm_hdl.sw.evaluate import evaluate_integer
from ssm_hdl.sw.qat.finetune_config import FinetuneConfig

DSP = 28
"""Multipliers that the rows are planned for: an LFE5U-25F has them."""

SEQUENCES = 20
"""Test samples that the RTL of a row is compared with the golden model on,
unless its table says otherwise."""


@dataclass(frozen=True)
class Published:
    """What a paper has for the same widths.

    Attributes:
        label: what it calls the configuration.
        trained: accuracy in %, after quantisation-aware training.
        untrained: the same after quantisation alone.
        bytes: of memory.
    """

    label: str
    trained: float | None = None
    untrained: float | None = None
    bytes: float | None = None


@dataclass(frozen=True)
class Row:
    """A row of our table.

    Attributes:
        model: name of the checkpoint.
        recipe: name of the recipe, a preset or a file of `recipes/`.
        training: the quantisation-aware training that follows, or None.
        published: what the paper has; nothing if the widths are our own.
    """

    model: str
    recipe: str
    training: FinetuneConfig | None = None
    published: Published | None = None

    @property
    def name(self) -> str:
        """Name of the manifest."""
        return f"{self.model}-{self.recipe}{'' if self.training is None else '-qat'}"


@dataclass(frozen=True)
class Table:
    """A paper's results beside ours.

    Attributes:
        paper: which.
        dataset: what all rows are judged on.
        rows: ours.
        sequences: that the RTL of a row is compared with the golden model on.
        layers: the models have several, which are to share stages too.
    """

    paper: str
    dataset: str
    rows: Sequence[Row]
    sequences: int = SEQUENCES
    layers: bool = False


def measure(
    row: Row,
    manifest: Manifest,
    dataset: Dataset,
    file: Path,
    processes: int,
    step: Callable[[str], None],
    sequences: int = SEQUENCES,
    layers: bool = False,
) -> dict[str, Any]:
    """All figures of a row.

    Args:
        row: which.
        manifest: its integer program.
        dataset: its data set; the test samples are judged, and nothing was chosen by them.
        file: file that keeps the figures; the accuracy is taken up again if it is of this manifest,
            the rest if it is of this Verilog.
        processes: that the golden model works in.
        step: told the next measurement.
        sequences: that the RTL is compared with the golden model on.
        layers: measure a second pipeline, in which they share stages.

    Raises:
        SsmHdlError: RTL and golden model differ, or a tool is missing.
    """
    key, known = fingerprint(manifest), read_json(file)
    if known.get("fingerprint") != key:
        step(f"{row.name}: {len(dataset.test):,} test samples")
        evaluation = evaluate_integer(manifest, dataset.test, processes)
        known = {
            "name": row.name,
            "fingerprint": key,
            "correct": evaluation.correct,
            "images": evaluation.sequences,
        }
        write_atomically(file, json.dumps(known, indent=2) + "\n")
    fields, counted = asdict(row), memory.paper_float_of(manifest)
    known |= {
        "paper": fields.pop("published") or {},
        "row": fields,
        "accuracy": known["correct"] / known["images"],
        "memory": {
            "float_paper": counted.bytes if counted else None,
            "paper": memory.paper(manifest).bytes,
            "ours": memory.hardware(manifest).bytes,
        },
    }
    samples = manifest.check_samples(dataset.test.codes[:sequences])
    for pipeline in ("own", "shared") if layers else ("own",):
        known[pipeline] = _pipeline(
            row, manifest, pipeline == "shared", samples, known.get(pipeline, {}), processes, step
        )
        write_atomically(file, json.dumps(known, indent=2) + "\n")
    return known


def _pipeline(
    row: Row,
    manifest: Manifest,
    share: bool,
    samples: Codes,
    known: dict[str, Any],
    processes: int,
    step: Callable[[str], None],
) -> dict[str, Any]:
    """What simulation and synthesis say of a pipeline; what is known, if it is of this Verilog,
    synthesised as now."""
    plan = planned(manifest, share)
    text = generate(manifest, plan)
    key = hardware(len(samples), text)
    if known.get("hardware") == key:
        return known
    what = "of layers that share stages " if share else ""
    design = with_cells(Design(text, manifest.name), plan.family)
    step(f"{row.name}: RTL {what}against the golden model")
    compared = compare(manifest, VerilatedModel(manifest, design=design), samples, jobs=processes)
    if compared.differences:
        raise SsmHdlError(
            f"{row.name}: {compared.differences} outputs of the RTL differ; {compared.first}"
        )
    step(f"{row.name}: synthesis {what}for ECP5")
    report = estimate(manifest, plan)
    return {
        "hardware": key,
        "rtl": {
            "images": compared.sequences,
            "outputs": compared.elements,
            "differences": compared.differences,
        },
        "interval": compared.interval,
        "cycles": report.cycles,
        "latency": report.latency_alone,
        ECP5.name: synthesised(text, manifest.name, ECP5) | {"planned": report.dsp},
    }


def planned(manifest: Manifest, share: bool) -> Plan:
    """The pipeline of a row, in the cells of an ECP5."""
    return plan_for(manifest, unlimited(ECP5), dsp=DSP, share_layers=share).plan


def hardware(sequences: int, text: str) -> str:
    """A hash of what simulation and synthesis depend on: how much is simulated, and the Verilog."""
    return sha256(f"{sequences} {synthesis_key(ECP5)} {bare(text)}".encode()).hexdigest()
