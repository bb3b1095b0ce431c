"""Which rows of the committed results are current; the others are made again.

A row is the answer of a command. It is current as long as the command is the same, its pipelines
have the same Verilog (but for comments) and go through the same tools. To know this takes seconds
of planning for each row.

``python -m ssm_hdl.sw.results`` makes the rows again that are stale, or of the named targets only:
``... results bench``. ``--check`` only lists the stale rows.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from hashlib import sha256
from pathlib import Path
from string import Template
from typing import Any

from typer.main import get_command

from ssm_hdl import Manifest
from ssm_hdl.boards import calibrate
from ssm_hdl.boards.catalog import find_board
from ssm_hdl.boards.families import FLOWS
from ssm_hdl.boards.flow import synthesis_key
from ssm_hdl.boards.resources import shell_use
from ssm_hdl.families import find_family
from ssm_hdl.families.ecp5 import ECP5
from ssm_hdl.files import update_json
from ssm_hdl.gen.report import estimate
from ssm_hdl.gen.verilog import bare, generate
from ssm_hdl.sw import bench, cli
from ssm_hdl.sw.cli.bench import read
from ssm_hdl.sw.cli.calibrate import dsps
from ssm_hdl.sw.cli.simulate import device_of
from ssm_hdl.sw.cli.sizing import Size
from ssm_hdl.sw.reproduce import TABLES
from ssm_hdl.sw.reproduce.measure import hardware, planned

KEYS = Path("results/keys.json")

COMMANDS: dict[str, dict[str, str]] = {
    "bitstreams": {
        **{
            f"{model}-{board}": f"build manifests/{model} --board {board}"
            for model in ("digits", "s4d-16h")
            for board in ("icebreaker", "ulx3s-25f", "ulx3s-85f")
        },
        # As fast as it goes, with 153 of 156 DSP blocks, it is not routed in half an hour.
        "s4d-16h-ulx3s-85f": "build manifests/s4d-16h --board ulx3s-85f --rate 1e6",
        "s5-mnist-16h-icebreaker": "build manifests/s5-mnist-16h-w4a8 --board icebreaker --clock 42"
        " --share-layers --fold drive=1",
        "s5-mnist-ulx3s-25f": "build manifests/s5-mnist-w4a8 --board ulx3s-25f --dsp 28",
        "s5-mnist-ulx3s-85f": "build manifests/s5-mnist-w4a8 --board ulx3s-85f --dsp 28",
        "s5-mnist-shared-ulx3s-25f": "build manifests/s5-mnist-w4a8 --board ulx3s-25f --dsp "
        "28 --share-layers",
        "mamba-text-w4a8-ulx3s-25f": "build manifests/mamba-text-w4a8 --board ulx3s-25f --rate "
        "45000 --share-layers",
        "mamba-text-w8a8-ulx3s-25f": "build manifests/mamba-text-w8a8 --board "
        "ulx3s-25f --rate 45000",
    },
    "bench": {
        command: f"bench {command}"
        for command in (
            "manifests/s4d-16h-w8a8x8@icebreaker@90000",
            "manifests/s4d-16h-w8a8x8@icebreaker",
            "manifests/s4d-64h-w4a6x8@icebreaker@22700",
            "manifests/s4d-64h-w8a8x8@ulx3s-25f@236000",
            "manifests/s5-mnist-w4a8@ulx3s-25f@488000",
            "manifests/s5-mnist-w4a8@ulx3s-25f",
            "manifests/s4d-64h-w8a8x8@ulx3s-85f@757000",
            "manifests/s5-mnist-w4a8@ulx3s-85f@1562500",
            "--largest manifests/s4d-64h-w8a8x8@ulx3s-25f",
            "--largest manifests/s4d-64h-w8a8x8@ulx3s-85f",
            "--largest manifests/s5-mnist-w4a8@ulx3s-85f",
            "--line manifests/s4d-16h-w8a8x8",
        )
    },
    "judge": {
        name: f"calibrate --judge manifests/{name}"
        for name in ("digits", "s4d-64h-w8a8x8", "s5-mnist-w4a8")
    },
    **{
        f"reproduce-{tables[0]}": {
            row.name: f"reproduce {table} --only {row.name} --results results/{table}.json"
            + " --data $DATA" * (table != "s5-listops")
            for table in tables
            for row in TABLES[table].rows
        }
        for tables in (("s4d",), ("s5", "s5-listops"))
    },
    "rtl": {
        "digits": "simulate manifests/digits --samples test",
        "digits-ice40": "simulate manifests/digits --samples test --count 1 --netlist ice40",
        "digits-ecp5": "simulate manifests/digits --samples test --count 1 --netlist ecp5",
        "s4d-16h": "simulate manifests/s4d-16h --samples test --data $DATA --count 250",
    },
    "deep": {
        "rtl": "simulate manifests/s4d-deep-16h-w8a8x8 --samples test --data $DATA --count 20 "
        "--share-layers --dsp 28",
        "icebreaker": "build manifests/s4d-deep-16h-w4a8 --board icebreaker --rate 1000 --clock 24",
    },
    "har": {
        "rtl": "simulate manifests/har-w8a8 --samples test --window 22400 --count 2 $USERS "
        "--device up5k --rate 50 --clock 18 --share-device 500,0,1",
        "rtl-all": "simulate manifests/har-w8a8 --samples test --window 22400 $USERS --dsp 28",
        "icebreaker": "build manifests/har-w8a8 --board icebreaker --rate 50 --clock 18",
    },
}
"""For each target of results that depends on gateware or planner, the command of each row.
``build`` and ``simulate`` answer with a row; the others write theirs."""


def key(command: str) -> str:
    """A hash of all that the row of a command depends on."""
    name, *arguments = _words(command)
    commands: Any = get_command(cli.app)
    given = commands.commands[name].make_context(name, arguments).params
    text = "\n".join([command, *_INPUTS[name](given)])
    return sha256(text.encode()).hexdigest()[:16]


def _size(given: dict[str, Any]) -> Size:
    return Size(**{field.name: given[field.name] for field in fields(Size)})


def _build(given: dict[str, Any]) -> Iterator[str]:
    manifest, board = Manifest.load(given["path"]), find_board(given["board"])
    size = _size(given)
    sized = replace(size, clock=size.clock or board.clock_hz / 1e6).plan(
        manifest, board.chip, shell_use(manifest, board)
    )
    yield bench.key(manifest, board, sized.plan, sized.clock_hz)


def _simulate(given: dict[str, Any]) -> Iterator[str]:
    manifest, device = Manifest.load(given["path"]), device_of(given["device"], given["netlist"])
    yield bare(generate(manifest, _size(given).plan(manifest, device).plan))
    yield synthesis_key(device.family) if given["netlist"] else ""


def _bench(given: dict[str, Any]) -> Iterator[str]:
    for pair in map(read, given["pairs"] or []):
        manifest, board = pair.manifest, pair.board
        plan = bench.planned(manifest, board, pair.rate_hz).plan
        yield f"{bench.SEEDS} {bench.key(manifest, board, plan, board.chip.clock_hz)}"
    for pair in map(read, given["largest"] or []):
        yield bare(generate(pair.manifest, bench.planned(pair.manifest, pair.board).plan))
    if given["line"]:
        manifest = Manifest.load(given["line"])
        yield from (
            bare(generate(manifest, sized.plan))
            for sized in bench.plans(manifest, ECP5, given["most"])
        )


def _calibrate(given: dict[str, Any]) -> Iterator[str]:
    for manifest in map(Manifest.load, given["judge"]):
        for family in (family for family in map(find_family, FLOWS) if family.fitted):
            for plan in calibrate.plans(manifest, family, dsps(family)):
                report = estimate(manifest, plan, timed=False)
                yield (
                    f"{report.luts} {report.flip_flops} {synthesis_key(family)} "
                    f"{bare(generate(manifest, plan))}"
                )


def _reproduce(given: dict[str, Any]) -> Iterator[str]:
    table = TABLES[given["name"]]
    for manifest in (
        Manifest.load(path)
        for name in given["only"]
        if (path := given["manifests"] / name).exists()
    ):
        for share in (False, True)[: 1 + table.layers]:
            yield hardware(table.sequences, generate(manifest, planned(manifest, share)))


_INPUTS = {
    "build": _build,
    "simulate": _simulate,
    "bench": _bench,
    "calibrate": _calibrate,
    "reproduce": _reproduce,
}


def _words(command: str) -> list[str]:
    """A command with the places of the data, which `key` leaves out."""
    places = {"DATA": "data/mnist", "USERS": ""} | os.environ
    return Template(command).substitute(places).split()


def make(target: str, row: str) -> None:
    """Make a row again, into the file of its results."""
    command = _words(COMMANDS[target][row])
    command += ["--out", f"out/{target}-{row}"] if command[0] == "build" else []
    done = subprocess.run(
        [Path(sys.executable).with_name("ssm-hdl"), *command, "--json"],
        stdout=subprocess.PIPE,
        check=True,
    )
    if command[0] in ("build", "simulate"):
        update_json(Path(f"results/{target}.json"), {row: json.loads(done.stdout)})


def main() -> int:
    """List the stale rows, and make them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(COMMANDS))
    parser.add_argument("--check", action="store_true", help="only list them; 1 if some are stale")
    given = parser.parse_args()
    if unknown := set(given.targets) - set(COMMANDS):
        parser.error(f"no target {sorted(unknown)[0]!r}; there are {', '.join(COMMANDS)}")
    known = json.loads(KEYS.read_text(encoding="utf-8")) if KEYS.exists() else {}
    stale = 0
    for target in given.targets or COMMANDS:
        for row, command in COMMANDS[target].items():
            current = known.get(command) == key(command)
            print(f"{'current' if current else 'stale':<8} {command}", flush=True)
            stale += not current
            if not current and not given.check:
                make(target, row)
                update_json(KEYS, {command: key(command)})
    return int(given.check and stale > 0)


if __name__ == "__main__":
    sys.exit(main())
