"""Does rounding latch the state of a Mamba? Accuracy on induction heads far beyond the length of
training, by rounding and width.

A state that is rounded half up stops decaying where a step would take less than half a code from
it, so the integers remember longer than the float model. The study takes the integer program of
trained models and changes the rounding and the width of the state, and nothing else.
``python -m ssm_hdl.sw.studies.latching --help``.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numba
import numpy as np
import torch
import typer
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ssm_hdl import Manifest, registry
from ssm_hdl.files import write_atomically
from ssm_hdl.fixed import Format
from ssm_hdl.functions import LEAK
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Node, Selective
from ssm_hdl.operations.scan import dither
from ssm_hdl.operations.selective import LEAK_UP, OFFSET, Sums
from ssm_hdl.sw import checkpoint as checkpoints
from ssm_hdl.sw.cli.console import progress
from ssm_hdl.sw.data import Split, induction, load
from ssm_hdl.sw.evaluate import evaluate_float, outputs_of
from ssm_hdl.sw.figures import ACCENT, FAINT, INK, plain, save
from ssm_hdl.sw.qat.selective import LEAKS
from ssm_hdl.sw.qat.store import store
from ssm_hdl.sw.quantize import Recipe, program

SEQUENCES = {256: 128, 4096: 16, 65536: 2}
"""Sequences by their length."""

BLUE = "#2f6690"

SEED = 1
"""Of the sequences; the training has 0."""

ROUNDINGS = ("half up", "down", "to zero", "random", "dither", "none")
"""Of the state. ``half up`` is the operation's; ``dither`` that of `scan`;
``none`` keeps every bit, without saturation."""

VARIANTS = (
    ("none", 12),
    *(("half up", bits) for bits in (12, 10, 8, 6)),
    *((rounding, 8) for rounding in ROUNDINGS[1:5]),
)
"""Rounding and bits of the state."""

_dither = numba.njit(dither)


@numba.njit(cache=True, nogil=True)
def _scan(rate, drive, b, c, alpha, leaks, low, high, rounding, sums):  # type: ignore[no-untyped-def]
    """The selective scan of `ssm_hdl.sw.qat.kernels` with other roundings,
    by their number in `ROUNDINGS`."""
    batch, steps, channels = rate.shape
    modes, last = alpha.shape[1], len(leaks) - 1
    h = np.zeros(modes)
    np.random.seed(0)
    for i in range(batch):
        for k in range(channels):
            h[:] = 0
            for t in range(steps):
                total = 0.0
                for n in range(modes):
                    leak = leaks[int(min(max(rate[i, t, k] + alpha[k, n], 0), last))]
                    x = h[n] - h[n] * leak + drive[i, t, k] * b[i, t, n]
                    if rounding == 0:
                        x = np.floor(x + 0.5)
                    elif rounding == 1:
                        x = np.floor(x)
                    elif rounding == 2:
                        x = np.trunc(x)
                    elif rounding == 3:
                        x = np.floor(x + np.random.random())
                    elif rounding == 4:
                        x = np.floor(x + (_dither(t, k * modes + n, 0) + 0.5) / 256)
                    h[n] = x if rounding == 5 else min(max(x, low), high)
                    total += h[n] * c[i, t, n]
                sums[i, t, k] = total


def selective(
    node: Node, rounding: str, rate: Tensor, drive: Tensor, b: Tensor, c: Tensor
) -> Tensor:
    """Codes of y of a selective scan whose state is rounded otherwise."""
    assert isinstance(node.op, Selective)
    alpha = (node.arrays["code"] * node.op.alpha.format.lsb + OFFSET) / LEAK.lsb + 0.5 - LEAK.min
    steps = [
        rate * (node.inputs[0].format.lsb / LEAK.lsb),
        drive * torch.from_numpy(np.exp2(node.arrays["shift"] - float(LEAK_UP))),
    ]
    sums = np.empty(tuple(drive.shape))
    inputs = [x.contiguous().numpy() for x in (*steps, b, c)]
    low, high = float(node.op.state.min), float(node.op.state.max)
    _scan(*inputs, alpha, LEAKS, low, high, ROUNDINGS.index(rounding), sums)  # type: ignore[call-arg]
    return store(torch.from_numpy(sums), Sums.of(node).output.f_bits, node.output.format)


@torch.no_grad()
def run(manifest: Manifest, codes: NDArray[np.integer], rounding: str) -> NDArray[np.int64]:
    """The outputs of an integer program whose states are rounded otherwise, (n, size)
    of codes (n, steps, 1)."""
    edges = {manifest.input.name: torch.from_numpy(codes).double()}
    for node in manifest.nodes.values():
        inputs = [edges[source] for source in node.op.sources]
        if isinstance(node.op, Selective):
            edges[node.name] = selective(node, rounding, *inputs)
        else:
            tensors = (
                torch.from_numpy(manifest.tensors.codes[tensor.tensor]).double()
                for tensor in node.op.trained
            )
            edges[node.name] = registry.qat(node.op.op)(node, *inputs, *tensors)
    return edges[manifest.graph.output].long().numpy()


def with_state(manifest: Manifest, bits: int, steps: int) -> Manifest:
    """The program for longer sequences, with the same range of the states in other widths."""
    operations = [
        op.model_copy(update={"state": Format(True, op.state.i_bits, bits - op.state.i_bits)})
        if isinstance(op, Selective)
        else op
        for op in manifest.graph.operations
    ]
    fields = {"steps": steps, "operations": tuple(operations)}
    return Manifest(Graph.model_construct(**dict(manifest.graph) | fields), manifest.tensors)


def accuracies(path: Path, samples: int) -> dict[str, dict[str, float]]:
    """Accuracy by variant and length, of the float model too."""
    checkpoint = checkpoints.load(path)
    recipe = Recipe.load("mamba-w8a8").model_copy(update={"samples": samples, "state_margin": 1.0})
    manifest, _ = program(checkpoint, load("induction"), recipe)
    answer: dict[str, dict[str, float]] = {}
    with progress(path.stem, len(SEQUENCES) * (1 + len(VARIANTS))) as advance:
        for steps, count in SEQUENCES.items():
            split = Split(*induction.generate(count, steps, SEED))
            answer.setdefault("float", {})[str(steps)] = evaluate_float(checkpoint, split).accuracy
            advance(1)
            for rounding, bits in VARIANTS:
                variant = with_state(manifest, bits, steps)
                outputs = outputs_of(path.stem, split, lambda codes: run(variant, codes, rounding))  # noqa: B023 - called at once
                name = rounding if rounding == "none" else f"{rounding} {bits}"
                answer.setdefault(name, {})[str(steps)] = float(
                    (outputs.argmax(-1) == split.labels).mean()
                )
                advance(1)
    return answer


def draw(models: Mapping[str, Any], path: Path) -> Path:
    """Accuracy over the length: half-up rounding by width, and all roundings of 8 bits.
    Means and ranges over the models."""
    figure = Figure(figsize=(9.2, 3.4), layout="constrained")
    others = {
        "half up 8": (ACCENT, "-"),
        "down 8": ("#b8860b", "-"),
        "to zero 8": (INK, ":"),
        "random 8": (BLUE, "--"),
    }
    panels = {
        "half up, by bits of the state": {
            f"half up {bits}": (ACCENT, line)
            for bits, line in ((12, ":"), (10, "--"), (8, "-"), (6, "-."))
        },
        "8 bits, by rounding": others | {"dither 8": (BLUE, "-")},
    }
    for ax, (title, shown) in zip(figure.subplots(1, 2, sharey=True), panels.items(), strict=True):
        for name, (colour, line) in ({"float": (FAINT, "-"), "none": (FAINT, ":")} | shown).items():
            values = 100 * np.array([list(model[name].values()) for model in models.values()])
            ax.plot(
                list(SEQUENCES),
                values.mean(0),
                line,
                color=colour,
                lw=1.6,
                marker="o",
                ms=3,
                label=name,
            )
            ax.fill_between(
                list(SEQUENCES), values.min(0), values.max(0), color=colour, alpha=0.12, lw=0
            )
        ax.set_xscale("log", base=2)
        ax.set_title(title, size=9.5, color=INK)
        ax.set_xlabel("steps of a sequence; trained at 256", color=INK)
        ax.legend(frameon=False, fontsize=8)
        plain(ax)
    figure.axes[0].set_ylabel("accuracy, %", color=INK)
    return save(figure, path)


def main(
    checkpoint: Annotated[
        list[Path],
        typer.Argument(help="Checkpoints of `ssm-hdl train mamba-induction`, one of each seed."),
    ],
    out: Annotated[Path, typer.Option(help="JSON file to write.")] = Path("results/latching.json"),
    figure: Annotated[Path, typer.Option(help="Figure to write.")] = Path("docs/latching.png"),
    samples: Annotated[int, typer.Option(min=1, help="Calibration samples.")] = 64,
) -> None:
    """Measure the accuracy of every variant at every length."""
    torch.set_num_threads(1)
    models = {path.stem: accuracies(path, samples) for path in checkpoint}
    counts = {name: SEQUENCES for name in models}
    write_atomically(out, json.dumps({"sequences": counts, "models": models}, indent=2) + "\n")
    draw(models, figure)


if __name__ == "__main__":
    typer.run(main)
