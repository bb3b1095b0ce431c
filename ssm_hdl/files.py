"""Files written whole or not at all."""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ssm_hdl.errors import SsmHdlError


def write_atomically(path: Path | str, data: bytes | str) -> Path:
    """Write ``data`` beside ``path`` and move it into place, so that nobody ever sees half of it.

    Raises:
        SsmHdlError: the folder cannot be made or written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise SsmHdlError(f"cannot write {path}: {error.strerror}; choose another folder") from error
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        Path(temporary).unlink(missing_ok=True)
        raise SsmHdlError(f"cannot write {path}: {error.strerror}") from error
    return path


def update_json(path: Path, rows: Mapping[str, Any]) -> None:
    """Write rows into the JSON object of a file, which keeps its others.

    Raises:
        SsmHdlError: the folder cannot be made or written.
    """
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    write_atomically(path, json.dumps({**known, **rows}, indent=2) + "\n")
