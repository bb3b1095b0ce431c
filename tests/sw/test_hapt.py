"""HAPT from UCI's text files, made up here: three users, one for each part."""

import functools
import http.server
import re
import threading
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from ssm_hdl import SsmHdlError
from ssm_hdl.sw import data
from ssm_hdl.sw.data import hapt

USERS = {1: 1, 2: 5, 3: 9}
"""User of each experiment: training, validation, test."""

STEPS = 40


@pytest.fixture
def codes():
    """What the sensor gave, by experiment."""
    return {one: np.random.default_rng(one).integers(-32768, 32768, (STEPS, 6)) for one in USERS}


@pytest.fixture
def folder(codes, tmp_path):
    """The text files, as UCI writes them."""
    raw = tmp_path / "HAPT Data Set" / "RawData"
    raw.mkdir(parents=True)
    for one, user in USERS.items():
        for part, sensor in enumerate(("acc", "gyro")):
            values = codes[one][:, 3 * part : 3 * part + 3] * hapt.SCALES[sensor]
            np.savetxt(raw / f"{sensor}_exp{one:02}_user{user:02}.txt", values, "%.16e")
    (raw / "labels.txt").write_text("1 1 5 2 9\n1 1 7 10 12\n2 5 1 0 39\n3 9 12 39 39\n")
    return raw.parent


def test_the_text_files_become_codes_with_a_class_for_each_step(folder, codes):
    found = data.load("hapt", folder, window=16, hop=8)
    assert found.spec == replace(hapt.SPEC, steps=16)
    order = np.argsort(
        [np.flatnonzero((codes[1] == first).all(1))[0] for first in found.train.codes[:, 0]]
    )
    assert (found.train.codes[order] == [codes[1][at : at + 16] for at in (0, 8, 16, 24)]).all()
    assert found.train.labels[order][0].tolist() == [-1] * 2 + [4] * 8 + [6] * 3 + [-1] * 3
    whole = data.load_for(hapt.SPEC, folder, window=STEPS)
    assert (whole.test.codes == codes[3]).all() and whole.test.labels.tolist() == [[-1] * 39 + [11]]
    assert (whole.val.codes == codes[2]).all() and (whole.val.labels == 0).all()


def test_a_download_is_kept_and_read_again(folder, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "HAPT.zip", "w") as archive:
        for path in folder.rglob("*.txt"):
            archive.write(path, path.relative_to(tmp_path))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    monkeypatch.setattr(handler.func, "log_message", lambda *arguments: None)
    monkeypatch.setattr(hapt, "FOLDER", tmp_path / "cache")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{running.server_port}"
        first = hapt.load(url=f"{url}/HAPT.zip", window=16)
        with pytest.raises(
            SsmHdlError,
            match=r"labels.txt is not the archive of HAPT: .*; "
            r"put RawData of UCI's HAPT into a folder",
        ):
            hapt.download(tmp_path / "other.npz", url=f"{url}/HAPT%20Data%20Set/RawData/labels.txt")
        running.shutdown()
    text = hapt.load(folder, window=16)
    for again in (
        data.load("hapt", window=16),
        data.load(str(tmp_path / "cache/hapt.npz"), window=16),
    ):
        for part in ("train", "val", "test"):
            for field in ("codes", "labels"):
                got, wanted = (getattr(getattr(one, part), field) for one in (again, text))
                np.testing.assert_array_equal(got, wanted)
    assert first.spec == text.spec


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        (
            "labels.txt",
            None,
            "cannot read .*labels.txt, one of the text files of HAPT; name the folder",
        ),
        (
            "labels.txt",
            "1 1 13 0 1\n",
            (
                "labels.txt: class 13, steps 0 to 1 of exp01_user01.txt; classes are 1 to 12, "
                "and it has 40"
            ),
        ),
        (
            "labels.txt",
            "",
            r"labels.txt is damaged: lines of 5 finite numbers are wanted, shape is \(0, 1\)",
        ),
        ("labels.txt", "1 1 5.5 2 3\n", "labels.txt is damaged: could not convert string '5.5'"),
        (
            "labels.txt",
            "1 1 5 2 \x1b[31m3\n",
            r"labels.txt is damaged: could not convert string '\\x1b\[31m3'",
        ),
        (
            "labels.txt",
            "1 1 5 2 \u202e3\n",
            r"labels.txt is damaged: could not convert string '\\u202e3'",
        ),
        ("labels.txt", "1 1 1 2 40\n", "class 1, steps 2 to 40 of exp01_user01.txt"),
        ("acc_exp01_user01.txt", None, "cannot read .*acc_exp01_user01.txt"),
        (
            "acc_exp01_user01.txt",
            "1 2 3\n",
            "acc_exp01_user01.txt has 1 lines and gyro_exp01_user01.txt 40; get them again",
        ),
        (
            "acc_exp01_user01.txt",
            "1 2\n",
            r"lines of 3 finite numbers are wanted, shape is \(1, 2\)",
        ),
        ("gyro_exp01_user01.txt", "1 2 x\n", "gyro_exp01_user01.txt is damaged: .*; get it again"),
        (
            "gyro_exp01_user01.txt",
            "1 2 11\n" * STEPS,
            "exp01_user01.txt of acc or gyro has values beyond the 16 bits",
        ),
    ],
)
def test_damaged_text_files_are_refused(folder, file, content, message):
    path = folder / "RawData" / file
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(SsmHdlError, match=message):
        data.load("hapt", folder)


def test_another_file_of_numpy_is_refused(tmp_path):
    np.savez(tmp_path / "hapt.npz", x=np.zeros(3))
    with pytest.raises(
        SsmHdlError, match=re.escape(f"{tmp_path / 'hapt.npz'} has no array codes; name the folder")
    ):
        data.load("hapt", tmp_path)


def test_a_file_of_that_name_may_be_of_somebodys_own(tmp_path):
    path = tmp_path / "hapt.npz"
    np.savez(path, x=np.arange(60).reshape(10, 3, 2), y=np.arange(10) % 2)
    found = data.load(str(path))
    assert (found.name, found.classes) == ("hapt.npz", 2)
    assert data.load_for(found.spec, path).spec == found.spec
