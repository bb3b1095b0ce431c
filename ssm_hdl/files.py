"""Files written whole or not at all, and folders for work in progress that vanish
whatever ends it."""

import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from io import FileIO
from pathlib import Path
from typing import Any

from ssm_hdl.errors import SsmHdlError

# not on Windows: what a killed process leaves stays, and folders are open to others
_LOCKS = find_spec("fcntl") is not None
if _LOCKS:
    import fcntl

PREFIX = ".ssm-hdl-"
"""Of the names of work in progress. Its owner holds a lock, so what a killed process left is known
and goes at the next call."""

_SEAL = "sha256"
"""Field of a sealed file."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
"""Errors of the place, not of the work done there."""


def write_atomically(path: Path | str, data: bytes | str) -> Path:
    """Write ``data`` beside ``path`` and move it into place, so that nobody ever sees half of it.

    A symbolic link is followed, and a device or a pipe is written through.

    Raises:
        SsmHdlError: the folder cannot be made or written.
    """
    write_together({Path(path): data})
    return Path(path)


def update_json(path: Path, rows: Mapping[str, Any]) -> None:
    """Write rows into the JSON object of a file, which keeps its others.

    Raises:
        SsmHdlError: the folder cannot be made or written, or the file is damaged.
    """
    write_atomically(path, json.dumps({**read_json(path), **rows}, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object of a file, which is empty if there is none.

    Raises:
        SsmHdlError: the file is another, or damaged.
    """
    try:
        known = json.loads(path.read_bytes()) if path.exists() else {}
        if not isinstance(known, dict):
            raise ValueError("it is no object")
    except (ValueError, RecursionError, OSError) as error:
        damage = f"it is damaged or cannot be read ({error})"
        raise SsmHdlError(
            f"cannot add rows to {path}: {damage}; name another file, or move this one away"
        ) from error
    return known


def sealed_json(fields: Mapping[str, Any]) -> str:
    """Fields as JSON, with a digest of them as the last:
    nobody changes by hand what others are built from."""
    return json.dumps({**fields, _SEAL: _seal(fields)}, indent=2) + "\n"


def read_sealed(path: Path) -> dict[str, Any]:
    """The fields of `sealed_json`.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no such file, or damaged.
    """
    fields = json.loads(path.read_bytes())
    if not isinstance(fields, dict) or fields.pop(_SEAL, None) != _seal(fields):
        raise ValueError(f"its {_SEAL} is not that of the rest")
    return fields


def _seal(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()


def write_together(files: Mapping[Path, bytes | str]) -> None:
    """Write files that belong together; the last is the one that says that the others are there.

    Each is written beside its path, and all are moved into place at the end:
    the last one goes first and comes last.

    Raises:
        SsmHdlError: a file cannot be written; then no path has changed.
    """
    moves: dict[Path, Path] = {}
    path = Path()
    with ExitStack() as stack:
        try:
            for path, data in files.items():
                content = data.encode() if isinstance(data, str) else data
                target = _target(path)
                if target is None:  # not Path.open, which cuts the contents
                    _write(
                        stack.enter_context(
                            os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND), "wb", 0)
                        ),
                        content,
                    )
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                _sweep(target.parent)
                temporary = target.parent / f"{PREFIX}{secrets.token_hex(8)}"
                # with the mode that the umask leaves
                file = stack.enter_context(temporary.open("xb", 0))
                stack.callback(temporary.unlink, missing_ok=True)
                _lock(file.fileno())
                if target.exists():
                    temporary.chmod(stat.S_IMODE(target.stat().st_mode))
                _write(file, content)
                if not _LOCKS:  # Windows moves no open file
                    file.close()
                moves[target] = temporary
            if len(moves) > 1:
                stack.enter_context(alone(path.parent))
                path.unlink(missing_ok=True)
            for path, temporary in moves.items():
                temporary.replace(path)
        except OSError as error:
            raise cannot_write(path, error) from error


def _write(file: FileIO, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def cannot_write(path: Path | str, error: OSError) -> SsmHdlError:
    """The error of a place that cannot be written, or of a pipe whose reader has ended."""
    if isinstance(error, BrokenPipeError):
        return SsmHdlError(
            f"cannot write {path}: what read it has ended; let it read to the end, or write a file"
        )
    return SsmHdlError(
        f"cannot write {path}: {error.strerror or error}; choose another place or make room"
    )


def written_through(path: Path) -> bool:
    """It is a device, a pipe or an open file, beside which nothing belongs."""
    with suppress(OSError):
        return _target(path) is None
    return False


def _target(path: Path) -> Path | None:
    """The regular file to be written, all links followed; None for a device or a pipe."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return path.resolve()  # a link may lead to a file that does not exist yet
    special = path.parent in (Path("/dev/fd"), Path("/proc/self/fd")) or path in (
        Path("/dev/stdout"),
        Path("/dev/stderr"),
    )
    return None if special or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) else path.resolve()


@contextmanager
def scratch(folder: Path | str | None = None) -> Iterator[Path]:
    """A folder for work in progress, removed at the end;
    a killed process's goes when the next one begins.

    Args:
        folder: where it lies; the folder of temporary files if None.

    Raises:
        SsmHdlError: the folder cannot be written, in the beginning or later.
    """
    above = Path(tempfile.gettempdir() if folder is None else folder).absolute()
    try:
        above.mkdir(parents=True, exist_ok=True)
        _sweep(above)
        path = above / f"{PREFIX}{secrets.token_hex(8)}"
        path.mkdir(mode=0o700)
    except OSError as error:
        raise cannot_write(above, error) from error
    handle = os.open(path, os.O_RDONLY) if _LOCKS else None
    try:
        _lock(handle)
        yield path
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise cannot_write(error.filename or above, error) from error
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if handle is not None:
            os.close(handle)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Fill a folder as the only process that does.

    Raises:
        SsmHdlError: another one fills it, or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY) if _LOCKS else None
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        if not _lock(handle):
            raise SsmHdlError(
                f"another ssm-hdl is writing to {folder}; wait until it is done, "
                "or choose another folder"
            )
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _lock(handle: int | None) -> bool:
    """Lock a file or a folder until it is closed; whether nobody else has."""
    if _LOCKS and handle is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks
            return True
    return True


def _sweep(folder: Path) -> None:
    """Remove from a folder what killed processes left there: nobody holds its lock."""
    for path in folder.glob(f"{PREFIX}*") if _LOCKS else ():
        with suppress(OSError):  # it is gone already, or another user's
            handle = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            finally:
                os.close(handle)


def cache_folder() -> Path:
    """The folder of caches: the user's own, or one in the folder of temporary files where that
    cannot be written."""
    with suppress(RuntimeError):  # a user without a home
        base = os.environ.get("XDG_CACHE_HOME")
        folder = Path(base) if base else Path.home() / ".cache"
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            return folder
    user = os.getuid() if hasattr(os, "getuid") else os.getlogin()
    folder = Path(tempfile.gettempdir()).absolute() / f"ssm-hdl-{user}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    # Compiled code is loaded from it, so it must be this user's own.
    if folder.is_symlink() or (hasattr(os, "getuid") and folder.stat().st_uid != os.getuid()):
        return Path(tempfile.mkdtemp(prefix="ssm-hdl-"))
    return folder
