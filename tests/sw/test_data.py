"""The data sets, whole and damaged."""

import functools
import gzip
import hashlib
import http.server
import struct
import threading

import numpy as np
import pytest
from sklearn.datasets import load_digits

from ssm_hdl import Format, SsmHdlError
from ssm_hdl.sw import data
from ssm_hdl.sw.data import mnist


@pytest.fixture
def small(monkeypatch):
    """MNIST with a dozen samples, in place of 70,000: the four files' contents by name."""
    random = np.random.default_rng(0)
    contents, files = {}, []
    for file in mnist.FILES:
        shape = ({60000: 12, 10000: 4}[file.shape[0]], *file.shape[1:])
        body = random.integers(0, 256 if len(shape) == 3 else 10, shape, np.uint8).tobytes()
        contents[file.name] = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape) + body
        files.append(
            mnist.IdxFile(file.name, hashlib.sha256(contents[file.name]).hexdigest(), shape)
        )
    monkeypatch.setattr(mnist, "FILES", tuple(files))
    monkeypatch.setattr(mnist, "VALIDATION", 5)
    return contents


@pytest.fixture
def folder(small, tmp_path):
    """The small MNIST as a folder, one half gzipped."""
    for index, (name, content) in enumerate(small.items()):
        path = tmp_path / (f"{name}.gz" if index % 2 else name)
        path.write_bytes(gzip.compress(content) if index % 2 else content)
    return tmp_path


@pytest.fixture
def server(tmp_path):
    """A web server of one folder: its folder and address."""
    root = tmp_path / "served"
    root.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=root)
    ) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield root, f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()


def test_digits_are_codes_of_their_format_in_three_parts_without_overlap():
    digits = data.load("digits")
    parts = digits.train, digits.val, digits.test
    assert [part.codes.shape for part in parts] == [(1297, 64, 1), (150, 64, 1), (350, 64, 1)]
    assert all(part.codes.dtype == np.uint8 and part.labels.dtype == np.int64 for part in parts)
    everything = np.concatenate([part.codes for part in parts])
    assert everything.min() == 0
    assert everything.max() == 16 <= Format.parse(digits.input_format).max
    sklearn = load_digits()
    assert sorted(map(bytes, everything)) == sorted(map(bytes, sklearn.data.astype(np.uint8)))


def test_digits_are_split_the_same_every_time():
    first, second = data.load("digits"), data.load("digits")
    np.testing.assert_array_equal(first.test.codes, second.test.codes)
    np.testing.assert_array_equal(first.test.labels, second.test.labels)


def test_normalised_digits_have_mean_0_and_deviation_1():
    digits = data.load("digits")
    values = digits.normalise(digits.train.codes)
    assert values.dtype == np.float32
    assert abs(values.mean()) < 0.01
    assert abs(values.std() - 1) < 0.01


def test_mnist_normalises_as_everybody_does():
    codes = np.arange(256, dtype=np.uint8)
    expected = (codes / 255 - 0.1307) / 0.3081
    np.testing.assert_allclose(data.SPECS["mnist"].normalise(codes), expected, rtol=1e-5, atol=1e-6)


def test_mnist_is_read_gzipped_and_plain_and_the_end_of_train_validates(small, folder):
    dataset = data.load("mnist", folder)
    assert [len(part) for part in (dataset.train, dataset.val, dataset.test)] == [7, 5, 4]
    images = np.frombuffer(small["train-images-idx3-ubyte"][16:], np.uint8).reshape(12, 784, 1)
    labels = np.frombuffer(small["train-labels-idx1-ubyte"][8:], np.uint8)
    np.testing.assert_array_equal(np.concatenate([dataset.train.codes, dataset.val.codes]), images)
    np.testing.assert_array_equal(
        np.concatenate([dataset.train.labels, dataset.val.labels]), labels
    )
    assert dataset.spec == data.SPECS["mnist"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda path: path.unlink(),
            "has no t10k-images-idx3-ubyte.gz and no t10k-images-idx3-ubyte, .*--data",
        ),
        (
            lambda path: path.write_bytes(path.read_bytes()[:-1]),
            r"has 3151 bytes, IDX of shape \(4, 28, 28\) has 3152",
        ),
        (lambda path: path.write_bytes(path.read_bytes() + b"0"), "has 3153 bytes"),
        (
            lambda path: path.write_bytes(b"\0\0\x0d" + path.read_bytes()[3:]),
            "starts with 00000d03.* is 00000803",
        ),
        (lambda path: path.write_bytes(b""), "starts with , the IDX header"),
    ],
)
def test_a_damaged_mnist_is_refused(folder, damage, message):
    damage(folder / "t10k-images-idx3-ubyte")
    with pytest.raises(SsmHdlError, match=message):
        data.load("mnist", folder)


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"cut off" * 99, mtime=0)[:-9], b""])
def test_a_damaged_gzip_is_refused(folder, content):
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(content)
    with pytest.raises(SsmHdlError, match=r"t10k-labels-idx1-ubyte\.gz"):
        data.load("mnist", folder)


def test_a_label_above_9_is_refused(small, folder):
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(
        gzip.compress(small["train-labels-idx1-ubyte"][:-1] + b"\x0a")
    )
    with pytest.raises(SsmHdlError, match="a label of MNIST is 10"):
        data.load("mnist", folder)


def test_mnist_is_downloaded_once_and_then_read(small, server, tmp_path):
    root, url = server
    for name, content in small.items():
        (root / f"{name}.gz").write_bytes(gzip.compress(content))
    mnist.download(tmp_path / "cache", url=url)
    for path in root.iterdir():
        path.unlink()
    mnist.download(tmp_path / "cache", url=url)
    assert len(data.load("mnist", tmp_path / "cache").test) == 4


@pytest.mark.parametrize(
    ("served", "message"),
    [
        (gzip.compress(b"other", mtime=0), "holds other data"),
        (b"<html>", "cannot download"),
        (None, "cannot download .*--data"),
    ],
)
def test_a_bad_download_is_refused_and_leaves_nothing(small, server, tmp_path, served, message):
    root, url = server
    if served is not None:
        (root / "train-images-idx3-ubyte.gz").write_bytes(served)
    with pytest.raises(SsmHdlError, match=message):
        mnist.download(tmp_path / "cache", url=url)
    assert not list((tmp_path / "cache").glob("*"))


def test_an_unknown_data_set_and_a_folder_of_digits_are_refused(tmp_path):
    with pytest.raises(
        SsmHdlError, match="'cifar'; there are copying, digits, hapt, induction, listops, mnist"
    ):
        data.load("cifar")
    with pytest.raises(SsmHdlError, match="leave the folder out"):
        data.load("digits", tmp_path)
