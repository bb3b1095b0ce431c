"""``ssm-hdl demo``: the whole road on digits."""

from pathlib import Path
from typing import Annotated

import typer

from ssm_hdl.sw.cli.console import Json

NAME = "demo"
EXAMPLE = "ssm-hdl demo --out out/demo"


def command(
    out: Annotated[Path, typer.Option(help="Folder of what it makes.")] = Path("out/demo"),
    as_json: Json = False,
) -> None:
    """Go the whole road on scikit-learn's digits, in minutes: train, quantize, evaluate, generate, simulate, build, draw."""
    raise NotImplementedError
