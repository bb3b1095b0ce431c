"""Chiang et al., "Quamba: A Post-Training Quantization Recipe for Selective SSMs",
arXiv 2410.13229: its ablation beside ours.

The paper quantises language models of 130 million to 2.8 billion parameters; ours are smaller, so
compare the losses relative to the float models. Each recipe is measured with 8 and 12 bits for the
input of out_proj, where the outliers are.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssm_hdl.files import read_json, write_atomically
from ssm_hdl.sw.quantize.bench import Bench
from ssm_hdl.sw.quantize.histogram import Floats
from ssm_hdl.sw.quantize.parts import with_widths
from ssm_hdl.sw.quantize.recipe import Recipe
from ssm_hdl.sw.score import bits_per_step

MODEL = "mamba-text"
"""The checkpoint that is measured unless others are named."""

WIDTHS = (8, 12)
"""Bits of the input of out_proj."""


@dataclass(frozen=True)
class Published:
    """What the paper has for a 2.8 billion parameter model, in float 63.1 and 9.45.

    Attributes:
        accuracy: zero-shot average, in %.
        perplexity: on WikiText2.
    """

    accuracy: float | None = None
    perplexity: float | None = None


RECIPES = {
    "mamba-plain": Published(45.92, 78.6),
    "mamba-percentile": Published(),
    "mamba-hadamard": Published(),
    "mamba-quamba": Published(62.2, 9.91),
    "mamba-w8a8": Published(),
    "mamba-w8a8h": Published(),
    "mamba-w8a8x8": Published(),
    "mamba-w4a8": Published(61.4),
}
"""The recipes of the table; the scales are floats in the paper, and powers of two here.
Quamba2 has the W4A8."""


def loss(outputs: Floats, bench: Bench) -> float:
    """Mean cross-entropy in bits; of a text, bits per character."""
    labels = bench.split.labels
    return (
        bits_per_step(outputs, labels)
        if labels.ndim == 2
        else bits_per_step(outputs[:, None], labels[:, None])
    )


def ablation(bench: Bench, file: Path, step: Callable[[str], None]) -> dict[str, Any]:
    """The loss of the float model and of every recipe on the samples of a bench.

    Args:
        bench: of the model.
        file: file that keeps the figures; a row is taken up again if it is of the same recipe,
            checkpoint and samples.
        step: told the next measurement.
    """
    base, known = loss(bench.wanted, bench), read_json(file).get("rows", {})
    rows: dict[str, Any] = {}
    answer = {
        "float": {"bits": base, "perplexity": math.exp2(base), "accuracy": bench.float_score},
        "rows": rows,
    }
    for name in RECIPES:
        recipe = Recipe.load(name)
        part = "activations.hadamard" if recipe.hadamard else "activations.gated"
        for width in WIDTHS:
            row, chosen = f"{name}-{width}", with_widths(recipe, {part: width})
            identity = bench.subject.identity() | {
                "images": len(bench.split),
                "recipe": chosen.model_dump(mode="json"),
            }
            if known.get(row, {}).get("identity") == identity:
                rows[row] = known[row]
                continue
            step(f"{bench.subject.checkpoint.stem}: {row}")
            manifest, got = bench.run(chosen)
            bits = loss(got, bench)
            rows[row] = {
                "identity": identity,
                "recipe": name,
                "width": width,
                "bits": bits,
                "relative": bits / base - 1,
                **bench.judge(manifest, got).to_json(),
            }
            write_atomically(file, json.dumps(answer, indent=2) + "\n")
    return answer
