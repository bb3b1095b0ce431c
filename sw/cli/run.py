"""``ssm-hdl run``: runs samples on a board on a serial port, or on a simulated one."""

import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssm_hdl.errors import SsmHdlError, UsageError
from ssm_hdl.extras import need
from ssm_hdl.sw.cli.console import (
    Folder,
    Json,
    Seed,
    Window,
    answering,
    facts,
    in_words,
    inputs_of,
    need_apart,
    need_writable,
    progress,
    save_array,
    show,
)
from ssm_hdl.sw.cli.port import Baud, Port, Simulated, SimulatedBoard, Timeout, host_of
from ssm_hdl.sw.cli.samples import SPLITS, samples_of

if TYPE_CHECKING:
    from ssm_hdl.sw.host import Host
    from ssm_hdl.sw.stream import Samples

NAME = "run"
EXAMPLE = (
    "ssm-hdl run manifests/digits --port /dev/ttyUSB1 --samples test --count 20, or --simulated in "
    "place of a --port; ssm-hdl run manifests/har-w8a8 --port /dev/ttyUSB1 --stream "
    "/dev/ttyACM0 for a sensor"
)


def command(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="MANIFEST",
            help="The manifest that the bitstream was built from, or the folder of the build.",
        ),
    ],
    port: Port = None,
    simulated: Simulated = False,
    board: SimulatedBoard = None,
    samples: Annotated[
        str | None,
        typer.Option(
            help="random, a part of the data (test, val, train, all), or a .npy file (batch, "
            "steps, size); random if left out."
        ),
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Run samples as they come, a line of numbers each, with a line for each result: "
            "- for stdin, a file that grows, or the serial port of a sensor. Nothing is compared.",
        ),
    ] = None,
    sensor_baud: Annotated[
        int, typer.Option(min=50, max=100_000_000, help="Bit rate of the sensor.")
    ] = 115_200,
    data: Folder = None,
    window: Window = None,
    count: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Sequences; all, or 10 random ones, if left out. Of a stream: results, then stop.",
        ),
    ] = None,
    seed: Annotated[int, Seed] = 0,
    baud: Baud = None,
    timeout: Timeout = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the output codes into this .npy file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Run sequences on a board and compare every output element with the golden model;
    exit status 1 if one differs."""
    need("serial", *(["sklearn"] if samples in SPLITS else []))
    from ssm_hdl import Manifest
    from ssm_hdl.sim.golden import run
    from ssm_hdl.sw.evaluate import outputs_of
    from ssm_hdl.sw.score import scores

    manifest = Manifest.load(path)
    if stream is not None:
        from ssm_hdl.sw.stream import Samples

        if samples or data or out:
            raise UsageError(
                "--stream brings the samples and prints the results; leave --samples, "
                "--data and --out out"
            )
        if manifest.output.per_sequence and (window or 0) > manifest.steps:
            raise UsageError(
                f"--window {window} is too long; {manifest.name} takes up to {manifest.steps} steps"
            )
        source = Samples(
            manifest,
            stream,
            sensor_baud,
            window or (manifest.steps if manifest.output.per_sequence else None),
        )
        with host_of(path, manifest, port, simulated, board, baud, timeout) as host:
            _stream(host, source, count, as_json)
        return
    samples = samples or "random"
    if out is not None:
        need_writable(out)
        need_apart("--out", out, *inputs_of(path, ".npy", data, samples))
    split = samples_of(manifest, samples, data, count, seed, window)
    with host_of(path, manifest, port, simulated, board, baud, timeout) as host:
        began, there = time.monotonic(), host.port
        with progress(f"{manifest.name} on {there}", len(split)) as advance:
            outputs = outputs_of(
                manifest.name, split, lambda codes: host.run(manifest.check_samples(codes), advance)
            )
        seconds = time.monotonic() - began
    expected = outputs_of(manifest.name, split, lambda codes: run(manifest, codes).outputs)
    answer: dict[str, Any] = {
        "name": manifest.name,
        "port": there,
        "samples": samples,
        "sequences": len(split),
        "elements": expected.size,
        "differences": int((outputs != expected).sum()),
        "seconds": round(seconds, 3),
    }
    answer |= scores(manifest.values(outputs), split.labels)
    if out is not None:
        answer["outputs"] = str(save_array(out, outputs))
    show(as_json, answer, facts(f"{manifest.name} on {there}", in_words(answer)))
    if answer["differences"]:
        raise typer.Exit(1)


def _stream(host: "Host", source: "Samples", count: int | None, as_json: bool) -> None:
    """Print a line for each result as it comes."""
    from ssm_hdl.sw.stream import results, writer

    line, number = writer(host.manifest, as_json), -1
    try:
        for number, output in enumerate(
            islice((each for part in results(host, source) for each in part), count)
        ):
            with answering():
                print(line(number, output), flush=True)
        if number < 0:
            raise SsmHdlError(
                f"{source.source} ended before a sample came; "
                "a line of it has the numbers of a time step"
            )
    finally:
        if source.saturated:
            beyond = (
                f"numbers beyond {host.manifest.input.format}, which saturated: "
                f"{source.saturated:,}"
            )
            print(f"ssm-hdl: {beyond}", file=sys.stderr, flush=True)
