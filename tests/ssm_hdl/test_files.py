"""Files come whole or not at all, through links and into devices, and nothing temporary stays."""

import errno
import os
import pty
import stat
import threading
import tty
from pathlib import Path

import pytest

from ssm_hdl import SsmHdlError
from ssm_hdl.files import PREFIX, alone, cache_folder, scratch, write_atomically, write_together


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_mode_that_the_umask_leaves(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        path = write_atomically(tmp_path / "new" / ("ä " + "n" * 200), "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_an_old_file_keeps_its_mode_and_a_link_leads_to_it(tmp_path):
    (tmp_path / "there").mkdir()
    old, link, new = tmp_path / "there" / "old", tmp_path / "link", tmp_path / "dangling"
    old.write_text("old")
    old.chmod(0o640)
    link.symlink_to("there/old")
    new.symlink_to("there/new")
    write_atomically(link, "1")
    write_atomically(new, "2")
    assert (old.read_text(), stat.S_IMODE(old.stat().st_mode), link.readlink()) == (
        "1",
        0o640,
        Path("there/old"),
    )
    assert ((tmp_path / "there" / "new").read_text(), new.is_symlink()) == ("2", True)
    assert names(tmp_path / "there") == ["new", "old"]


def test_a_device_and_a_pipe_are_written_through(tmp_path):
    master, slave = pty.openpty()
    tty.setraw(slave)
    link, fifo = tmp_path / "device", tmp_path / "fifo"
    link.symlink_to(os.ttyname(slave))
    write_atomically(link, "to the device")
    assert os.read(master, 99) == b"to the device"
    os.mkfifo(fifo)
    told = []
    reader = threading.Thread(target=lambda: told.append(fifo.read_bytes()))
    reader.start()
    write_atomically(fifo, bytes(100_000))
    reader.join()
    assert told == [bytes(100_000)] and stat.S_ISFIFO(fifo.stat().st_mode) and link.is_char_device()
    os.close(master)
    os.close(slave)


def test_what_cannot_be_written_changes_nothing(tmp_path, monkeypatch):
    first, last = tmp_path / "weights", tmp_path / "index"
    write_together({first: "1", last: "2"})
    (tmp_path / "folder").mkdir()
    with pytest.raises(
        SsmHdlError, match=r"cannot write .*folder: Is a directory; choose another place"
    ):
        write_atomically(tmp_path / "folder", "x")
    with pytest.raises(SsmHdlError, match=r"cannot write .*index/x: Not a directory"):
        write_together({first: "3", last / "x": "4"})
    limits = pytest.importorskip("resource")
    soft, hard = limits.getrlimit(limits.RLIMIT_FSIZE)
    limits.setrlimit(limits.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(
            SsmHdlError,
            match=r"cannot write .*index: File too large; choose another place or make room",
        ):
            write_together({first: "3", last: "4" * 2000})
    finally:
        limits.setrlimit(limits.RLIMIT_FSIZE, (soft, hard))
    assert (first.read_text(), last.read_text(), names(tmp_path)) == (
        "1",
        "2",
        ["folder", "index", "weights"],
    )


def test_work_in_progress_goes_with_its_owner(tmp_path):
    with (
        pytest.raises(SsmHdlError, match=r"cannot write .*: No space left on device"),
        scratch(tmp_path) as one,
    ):
        (one / "deep" / "er").mkdir(parents=True)
        with scratch(tmp_path) as other:  # sees that the first one is in use
            assert one.is_dir() and other.is_dir()
        raise OSError(errno.ENOSPC, "No space left on device")
    (tmp_path / f"{PREFIX}killed").mkdir()
    (tmp_path / f"{PREFIX}killed" / "netlist").touch()
    (tmp_path / f"{PREFIX}file").touch()
    write_atomically(tmp_path / "x", "")
    assert names(tmp_path) == ["x"]


def test_one_command_fills_a_folder(tmp_path):
    with alone(tmp_path / "out"):
        with (
            pytest.raises(
                SsmHdlError, match=r"another ssm-hdl is writing to .*out; wait until it is done"
            ),
            alone(tmp_path / "out"),
        ):
            pass
        write_atomically(tmp_path / "out" / "x", "")
    with alone(tmp_path / "out"):
        assert names(tmp_path / "out") == ["x"]


def test_caches_fall_back_to_the_folder_of_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    assert cache_folder() == tmp_path / f"ssm-hdl-{os.getuid()}"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/dev/null/none")
    (tmp_path / f"ssm-hdl-{os.getuid()}").rmdir()
    # of another user, who plants compiled code
    (tmp_path / f"ssm-hdl-{os.getuid()}").symlink_to(tmp_path / "own")
    assert cache_folder().name.startswith("ssm-hdl-") and not cache_folder().is_symlink()
