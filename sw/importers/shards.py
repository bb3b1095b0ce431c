"""Checkpoints of several files, as Hugging Face writes them, with an index or without."""

import json
import re
from pathlib import Path

from ssm_hdl.errors import SsmHdlError, brief, listing

SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.\w+)")
"""The name of one file of several."""

MAX_SHARDS = 1000
"""Most files of a checkpoint; another number in a name means something else."""


def shards(path: Path, kind: str) -> list[Path]:
    """The files of a checkpoint by its index or by one of them.

    Args:
        path: of the index or the file; the answer is this file alone if it is whole.
        kind: of it, by `kind_of`.

    Raises:
        SsmHdlError: not all of them are there.
    """
    if kind == "index":
        names, whole = _names(path), "it names"
    elif match := SHARD.fullmatch(path.name):
        stem, number, count, ending = match.groups()
        if int(count) > MAX_SHARDS:
            return [path]
        names = [f"{stem}-{one:05}-of-{count}{ending}" for one in range(1, int(count) + 1)]
        whole = f"it is file {int(number)} of {int(count)} of a checkpoint, with"
    else:
        return [path]
    try:
        missing = [name for name in names if not path.with_name(name).exists()]
    except OSError as error:  # such as of a name that is too long
        raise SsmHdlError(f"cannot read {path}: {whole} other files: {error.strerror}") from error
    if missing:
        do = "does" if len(missing) == 1 else "do"
        lack = f"{whole} {listing(missing)}, which {do} not exist"
        raise SsmHdlError(f"cannot read {path}: {lack}; put all of its files into one folder")
    return [path.with_name(name) for name in names]


def _names(path: Path) -> list[str]:
    """The names of the files of an index."""
    try:
        files = {str(name) for name in json.loads(path.read_bytes())["weight_map"].values()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        fault = "it is JSON without a weight_map; name the file of the weights"
        raise SsmHdlError(f"cannot read {path}: {fault}") from error
    if outside := sorted(name for name in files if Path(name).name != name or name in ("", "..")):
        fault = f"its file {brief(outside[0])!r} is in another folder; put it beside the index"
        raise SsmHdlError(f"cannot read {path}: {fault}")
    return sorted(files)
