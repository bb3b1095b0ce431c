"""``ssm-hdl run``: runs samples on a board on a serial port."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ssm_hdl.extras import need
from ssm_hdl.sw.cli.console import Folder, Json, Seed, Window, facts, in_words, need_writable, progress, save_array, show
from ssm_hdl.sw.cli.samples import SPLITS, samples_of

NAME = "run"
EXAMPLE = "ssm-hdl run manifests/digits --port /dev/ttyUSB1 --samples test --count 20"


def command(
    path: Annotated[Path, typer.Argument(metavar="MANIFEST", help="The manifest that the bitstream was built from.")],
    port: Annotated[str, typer.Option(help="Serial port of the board, such as /dev/ttyUSB1 or COM5.")],
    samples: Annotated[
        str,
        typer.Option(help="random, a part of the data (test, val, train, all), or a .npy file (batch, steps, size)."),
    ] = "random",
    data: Folder = None,
    window: Window = None,
    count: Annotated[int | None, typer.Option(min=1, help="Sequences; all, or 10 random ones, if left out.")] = None,
    seed: Annotated[int, Seed] = 0,
    baud: Annotated[int | None, typer.Option(min=1, help="Bit rate of the board; 1,000,000 if left out.")] = None,
    timeout: Annotated[float | None, typer.Option(min=0.1, help="Seconds to wait for an answer.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the output codes into this .npy file.")] = None,
    as_json: Json = False,
) -> None:
    """Run sequences on a board and compare every output element with the golden model; exit status 1 if one differs."""
    need("serial", *(["sklearn"] if samples in SPLITS else []))
    from ssm_hdl import Manifest
    from ssm_hdl.sim.golden import run
    from ssm_hdl.sw.evaluate import outputs_of
    from ssm_hdl.sw.host import BAUD, Host
    from ssm_hdl.sw.score import scores

    manifest = Manifest.load(path)
    if out is not None:
        need_writable(out)
    split = samples_of(manifest, samples, data, count, seed, window)
    with Host(port, manifest, baud or BAUD, timeout) as host:
        began = time.monotonic()
        with progress(f"{manifest.name} on {port}", len(split)) as advance:
            outputs = outputs_of(manifest.name, split, lambda codes: host.run(manifest.check_samples(codes), advance))
        seconds = time.monotonic() - began
    expected = outputs_of(manifest.name, split, lambda codes: run(manifest, codes).outputs)
    answer: dict[str, Any] = {
        "name": manifest.name,
        "port": port,
        "samples": samples,
        "sequences": len(split),
        "elements": expected.size,
        "differences": int((outputs != expected).sum()),
        "seconds": round(seconds, 3),
    }
    answer |= scores(manifest.values(outputs), split.labels)
    if out is not None:
        answer["outputs"] = str(save_array(out, outputs))
    show(as_json, answer, facts(f"{manifest.name} on {port}", in_words(answer)))
    if answer["differences"]:
        raise typer.Exit(1)
