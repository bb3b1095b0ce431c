"""``ssm-hdl search``: searches the widths that lose least within a budget."""

from pathlib import Path
from typing import Annotated

import typer

from ssm_hdl.extras import need
from ssm_hdl.sw.cli.console import (
    Cluster,
    Folder,
    Json,
    Seed,
    facts,
    need_writable,
    progress,
    show,
    table,
)

NAME = "search"
EXAMPLE = "ssm-hdl search checkpoints/s4d-16h.safetensors --budget 3000 --out out/s4d-16h"


def command(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CHECKPOINT", help="Checkpoint of `ssm-hdl train`.")
    ],
    budget: Annotated[
        str,
        typer.Option(help="Bytes, or a device of `generate --device` whose block RAM is meant."),
    ],
    accounting: Annotated[
        str,
        typer.Option(
            help="Count of the bytes: paper (no exponents, no tables) "
            "or ours (every bit in hardware)."
        ),
    ] = "paper",
    objective: Annotated[
        str | None,
        typer.Option(
            help="What is maximised: the score of the model (if left out), or sqnr of the logits."
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Recipe of what is not searched: biases, pool, output, and the rules. "
            "w8a8x8 if left out, of a Mamba mamba-w8a8x8."
        ),
    ] = None,
    sensitivity: Annotated[
        Path | None, typer.Option(help="Report of `ssm-hdl sensitivity`, to start from.")
    ] = None,
    trials: Annotated[
        int,
        typer.Option(min=1, help="Of the whole study, other processes and earlier runs included."),
    ] = 150,
    storage: Annotated[
        str | None,
        typer.Option(
            help="Journal file or URL of a data base, shared by all processes; "
            "OUT/search.journal if left out."
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Training samples to calibrate on.")] = 128,
    images: Annotated[
        int,
        typer.Option(min=1, help="Validation samples of a trial; the best are measured on all."),
    ] = 500,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that work side by side.")] = 1,
    cluster: Cluster = None,
    seed: Annotated[int, Seed] = 0,
    data: Folder = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of recipe, front and plot; out/NAME if left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Search the widths of all parts that lose least within a budget of memory: recipe.yaml,
    front.json and front.png.

    The same command on other machines, with a --storage that all reach, joins the same study.
    Given again, it goes on.
    """
    need("torch", "numba", "matplotlib", "optuna")
    from ssm_hdl.sw.plot import score_memory
    from ssm_hdl.sw.quantize import Recipe, usual
    from ssm_hdl.sw.quantize.bench import Subject
    from ssm_hdl.sw.quantize.search import search, write
    from ssm_hdl.sw.quantize.sensitivity import Report
    from ssm_hdl.sw.quantize.study import Task, budget_of
    from ssm_hdl.sw.score import TITLES, score_text

    folder = out or Path("out") / checkpoint.stem
    need_writable(folder / "recipe.yaml")
    report = None if sensitivity is None else Report.load(sensitivity)
    # Absolute, as workers of a cluster run elsewhere.
    subject = Subject(checkpoint.absolute(), data and data.absolute(), samples, images)
    where = storage or str((folder / "search.journal").absolute())
    objective = objective or subject.score
    if recipe is None:
        recipe = usual("w8a8x8", subject.family)
    task = Task(
        subject, Recipe.load(recipe), budget_of(budget), accounting, objective, trials, where, seed
    )
    with progress(f"search, {checkpoint.stem}", trials) as advance:
        result = search(task, report, jobs, advance, cluster)
    words = (
        f"ssm-hdl search {checkpoint} --budget {budget} --accounting {accounting} --objective "
        f"{objective} --recipe {recipe}"
    )
    words += f" --data {data}" * (data is not None) + f" --sensitivity {sensitivity}" * (
        sensitivity is not None
    )
    words += f" --trials {trials} --samples {samples} --images {images} --seed {seed}"
    written = write(result, folder, words)
    picture = score_memory(result, folder / "front.png")
    trial, whole = result.finalists[0]
    summary = {
        "chosen": f"trial {trial.number}: {whole.shown} on all validation samples, "
        f"{whole.sqnr_db:.1f} dB",
        "memory": f"{whole.paper_bytes:,.0f} bytes by the paper's count, "
        f"{whole.hardware_bytes:,.0f} in hardware",
        "float": f"{TITLES[subject.score]} {score_text(subject.score, result.float_score)} "
        f"on {images}",
        "recipe": written,
        "front": picture,
    }
    rows = table(
        ">trial",
        f">{TITLES[subject.score]} on {images}",
        ">dB",
        ">bytes, paper's count",
        ">bytes in hardware",
    )
    for one in result.front:
        measured = one.measured
        rows.add_row(
            str(one.number), score_text(subject.score, measured.score), f"{measured.sqnr_db:.1f}",
            f"{measured.paper_bytes:,.0f}", f"{measured.hardware_bytes:,.0f}",
        )  # fmt: skip
    show(
        as_json,
        result.to_json(),
        facts(f"{checkpoint.stem}  within {task.budget:,.0f} bytes", summary),
        rows,
    )
