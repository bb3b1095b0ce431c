"""Tables of models: what quantization and QAT keep of them, and what they take of memory."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from result_tables import Row, count, percent, results, table

HEADLINES = (
    *(
        "s4d-16h-w8a8x8",
        "s4d-16h-w4a6x8",
        "s4d-16h-w4a6x8-qat",
        "s4d-64h-w4a6x8",
        "s4d-64h-a4x8-qat",
        "s4d-64h-tenth-qat",
    ),
    *(
        "s5-mnist-w8a8x8",
        "s5-mnist-w4a8",
        "s5-mnist-w4a8-qat",
        "s5-mnist-16h-w4a8",
        "s5-listops-w8a8x8-qat",
    ),
)
"""Models that README.md shows."""


def quantized() -> Iterable[tuple[str, dict[str, Any]]]:
    """The quantised models, by name."""
    for name in ("s4d", "s5", "s5-listops"):
        yield from results(name).items()


def accuracies(names: Collection[str] = ()) -> Iterable[Row]:
    """Accuracy beside the papers' figures for the same widths."""
    for name, row in quantized():
        training, paper = row["row"]["training"], row["paper"]
        epochs = f"{training['epochs']} epoch{'s' * (training['epochs'] > 1)}" if training else "-"
        papers = (
            f"{paper[key]:.2f}" if paper.get(key) else "-" for key in ("untrained", "trained")
        )
        if not names or name in names:
            yield f"`{name}`", epochs, *papers, percent(row["accuracy"]), count(row["images"])


@table("manifest", "QAT", "paper PTQ %", "paper QAT %", "ours %", "samples")
def accuracy() -> Iterable[Row]:
    """All models."""
    return accuracies()


@table("manifest", "QAT", "paper PTQ %", "paper QAT %", "ours %", "samples")
def headlines() -> Iterable[Row]:
    """The models of `HEADLINES`."""
    return accuracies(HEADLINES)


@table("manifest", "paper, bytes", "paper's count, bytes", "every bit, bytes")
def memory() -> Iterable[Row]:
    """Memory of the models."""
    for name, row in quantized():
        yield (
            f"`{name}`",
            count(row["paper"].get("bytes")),
            count(row["memory"]["paper"]),
            count(row["memory"]["ours"]),
        )


@table("model", "arithmetic", "correct", "of", "%")
def floats() -> Iterable[Row]:
    """Accuracy of float and integer models."""
    deep = results("deep")
    for row in (*results("accuracy").values(), *(deep[key] for key in ("float", "w8a8x8", "w4a8"))):
        yield (
            Path(row["path"]).stem,
            row["arithmetic"],
            *map(count, (row["correct"], row["sequences"])),
            percent(row["accuracy"]),
        )


@table(
    "model",
    "six activities %",
    "six transitions %",
    "labelled steps %",
    "saturated elements per million",
)
def har() -> Iterable[Row]:
    """HAPT: the mean recall of the activities and of the transitions,
    on whole recordings of the test users."""
    for key, name in {"float": "float", "w8a8": "W8A8", "w4a8": "W4A8"}.items():
        row = results("har")[key]
        recalls = (percent(sum(row["recall"][part]) / 6) for part in (slice(6), slice(6, 12)))
        saturated, stored = (sum(row[what].values()) for what in ("saturations", "elements"))
        yield (
            name,
            *recalls,
            percent(row["accuracy"]),
            f"{1e6 * saturated / stored:.1f}" if stored else "-",
        )


@table(
    "recipe",
    "bits of the input of `out`",
    "bits per character",
    "loss %",
    "paper: loss of accuracy %",
)
def ablation() -> Iterable[Row]:
    """Recipes of a language model, against the float model;
    those of the paper are relative, too."""
    model = results("mamba")["mamba-text"]
    papers = {
        "mamba-plain-8": 1 - 45.92 / 63.1,
        "mamba-quamba-8": 1 - 62.2 / 63.1,
        "mamba-w4a8-8": 1 - 61.4 / 63.1,
    }
    yield "float", "-", f"{model['float']['bits']:.3f}", "-", "-"
    for key, row in model["rows"].items():
        yield (
            f"`{row['recipe']}`",
            str(row["width"]),
            f"{row['bits']:.3f}",
            percent(row["relative"]),
            percent(papers.get(key), 1),
        )


@table("state", "256 steps", "4,096", "65,536")
def latching() -> Iterable[Row]:
    """Accuracy in % on induction heads by rounding and width of the state: the mean over seeds,
    and the range."""
    models = list(results("latching")["models"].values())
    for name in models[0]:
        cells = ([100 * model[name][steps] for model in models] for steps in models[0][name])
        shown = (
            f"{sum(cell) / len(cell):.0f} ({min(cell):.0f} to {max(cell):.0f})" for cell in cells
        )
        yield {"none": "not rounded"}.get(name, name), *shown


@table("recipe", "8 bits: loss %", "12 bits: loss %")
def seeds() -> Iterable[Row]:
    """The same of a smaller model: the mean over its seeds, and the range."""
    models = [model["rows"] for name, model in results("mamba").items() if name != "mamba-text"]
    for recipe in dict.fromkeys(row["recipe"] for row in models[0].values()):
        losses = (
            [100 * rows[f"{recipe}-{width}"]["relative"] for rows in models] for width in (8, 12)
        )
        yield (
            f"`{recipe}`",
            *(
                f"{sum(loss) / len(loss):.2f} ({min(loss):.2f} to {max(loss):.2f})"
                for loss in losses
            ),
        )


def presets() -> str:
    """The models that `ssm-hdl train` knows, from its code."""
    from ssm_hdl.sw.presets import COLUMNS, rows

    return table(*COLUMNS)(lambda: ((f"`{name}`", *sizes) for name, *sizes in rows()))()
