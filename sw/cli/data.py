"""``ssm-hdl data``: what samples there are in a file."""

from pathlib import Path
from typing import Annotated

import typer

from ssm_hdl.errors import UsageError, brief
from ssm_hdl.sw.cli.console import Folder, Hop, Json, Window, facts, need_picture, show, table

NAME = "data"
EXAMPLE = "ssm-hdl data digits --picture digits.png"
ROWS = 16
"""Most channels, classes or numbers that the tables list; JSON has all."""


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="DATASET|FILE", help="Your own samples (docs/data.md), or a data set by name."
        ),
    ],
    data: Folder = None,
    window: Window = None,
    hop: Hop = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="Draw some training samples into this file, .svg, .png or .pdf."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the contents of a file of samples: shape, format, channels, labels and parts;
    or the first thing wrong with it."""
    from ssm_hdl.sw.data import load
    from ssm_hdl.sw.data.cut import PARTS
    from ssm_hdl.sw.data.summary import describe

    need_picture(picture)
    if data is not None and name.endswith(".npz"):
        raise UsageError(f"{name} and --data {data} are two data sets; name one")
    dataset = load(name, data, progress=True, window=window, hop=hop)
    answer = describe(dataset)
    if picture is not None:
        from ssm_hdl.sw.sampleplot import draw

        answer["picture"] = str(draw(dataset, picture))
    summary = {
        "task": answer["task"],
        "sequences": f"up to {dataset.steps:,} steps of {dataset.channels} x "
        f"{dataset.input_format}",
        "rate": f"{dataset.rate:g} steps per second" if dataset.rate else "not given",
    } | ({"picture": answer["picture"]} if picture else {})
    parts = table("part", ">samples", ">steps", ">labels")
    for part, counts in answer["parts"].items():
        parts.add_row(
            part, f"{counts['samples']:,}", f"{counts['steps']:,}", f"{counts['labels']:,}"
        )
    channels = table(
        "channel", ">least", ">largest", ">mean", ">deviation", ">one code", ">clipped"
    )
    for row in answer["channels"][:ROWS]:
        channels.add_row(
            brief(row["name"], 14),
            *(f"{row[key]:.4g}" for key in ("min", "max", "mean", "std", "lsb")),
            f"{row['clipped']:.1%}",
        )
    labels = table(answer["labels"][0]["kind"], *(f">{part}" for part in PARTS))
    for row in answer["labels"][:ROWS]:
        labels.add_row(
            brief(row["name"], 20),
            *(row[part] if isinstance(row[part], str) else f"{row[part]:,}" for part in PARTS),
        )
    more = {
        key: f"{len(answer[key]) - ROWS} more (--json)"
        for key in ("channels", "labels")
        if len(answer[key]) > ROWS
    }
    show(
        as_json,
        answer,
        facts(dataset.name, summary),
        parts,
        channels,
        labels,
        *([facts("not shown", more)] if more else []),
    )
