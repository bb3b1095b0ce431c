"""``ssm-hdl generate-text``: a language model goes on with a text,
in the golden model or on a board."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ssm_hdl.errors import SsmHdlError, UsageError
from ssm_hdl.sw.cli.console import Json, facts, need_apart, progress, show
from ssm_hdl.sw.cli.port import Port, Simulated, SimulatedBoard, host_of

NAME = "generate-text"
EXAMPLE = 'ssm-hdl generate-text manifests/mamba-text-w8a8 --prompt "In the beginning" --count 200'


def command(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST", help="The manifest of a language model (docs/mamba.md)."
        ),
    ],
    prompt: Annotated[str, typer.Option(help="The text to go on with.")],
    count: Annotated[int, typer.Option(min=1, help="Characters to add.")] = 100,
    temperature: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1024,
            help="Of the softmax that a character is a sample of; the likeliest if 0.",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=1, max=2**32 - 1, help="Of the samples; 1 if left out.")
    ] = None,
    port: Port = None,
    simulated: Simulated = False,
    board: SimulatedBoard = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write the manifest to that ends in this choice of a character, "
            "for `build`."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Go on with a text; exit status 1 if a board that runs what --out wrote writes another one
    than the golden model."""
    from ssm_hdl import Manifest
    from ssm_hdl.manifest import FILE, file_of
    from ssm_hdl.sim.golden import go_on
    from ssm_hdl.sw.data import text
    from ssm_hdl.sw.language import generator, vocabulary

    manifest = Manifest.load(path)
    if out is not None:
        need_apart("--out", out / FILE, file_of(path))
    if manifest.feeds_back:
        if temperature is not None or seed is not None:
            raise UsageError(
                f"{manifest.name} chooses its next character already; "
                "leave --temperature and --seed out"
            )
    elif seed is not None and not temperature:
        raise UsageError(
            f"--seed {seed} chooses the samples of a softmax, and without a --temperature above 0 "
            "the likeliest character is taken; give both, or leave --seed out"
        )
    else:
        manifest = generator(manifest, temperature or 0.0, seed or 1)
    characters = vocabulary(manifest).class_names
    if not prompt:
        raise UsageError(
            "the prompt is empty; a model goes on with one character or more, "
            f"such as --prompt {characters[-1]}"
        )
    try:
        codes = text.encode(prompt, Path("the prompt"), characters)[:, None]
    except SsmHdlError as error:
        raise UsageError(str(error)) from error
    answer: dict[str, Any] = {"name": manifest.name, "prompt": prompt}
    there: list[int] | None = None
    if port is not None or simulated or board is not None:
        with host_of(path, manifest, port, simulated, board, None, None) as host:
            began, there = time.monotonic(), []
            with progress(f"{manifest.name} on {host.port}", count) as advance:
                for part in host.go_on(codes, count):
                    there += part.tolist()
                    advance(len(part))
            board_seconds = time.monotonic() - began
    if out is not None:
        answer["manifest"] = str(manifest.save(out))
    began = time.monotonic()
    with progress(f"{manifest.name}, golden model", count) as advance:
        written = []
        for token in go_on(manifest, codes, count):
            written.append(token)
            advance(1)
    answer |= {
        "text": "".join(characters[token] for token in written),
        "seconds": round(time.monotonic() - began, 2),
    }
    if there is not None:
        differences = sum(one != other for one, other in zip(written, there, strict=True))
        answer |= {
            "port": host.port,
            "differences": differences,
            "board_seconds": round(board_seconds, 2),
        }
    show(as_json, answer, facts(manifest.name, answer))
    if answer.get("differences"):
        raise typer.Exit(1)
