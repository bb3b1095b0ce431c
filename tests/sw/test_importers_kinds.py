"""Kinds of files that hold no arrays by name: each is refused in one line by what it is,
with the way out."""

import io
import os
import tarfile
import warnings
import zipfile

import numpy as np
import pytest
import torch
from public import public

from ssm_hdl import SsmHdlError
from ssm_hdl.errors import UsageError
from ssm_hdl.sw import data, importers

SPEC = data.SPECS["digits"]


def zipped(*names):
    """A zip archive of empty files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, b"")
    return buffer.getvalue()


def tar():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("model.pt"))
    return buffer.getvalue()


def script():
    """A module of TorchScript."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


def half_saved():
    """The first half of a file by ``torch.save``."""
    buffer = io.BytesIO()
    torch.save(public()[0], buffer)
    return buffer.getvalue()[: buffer.tell() // 2]


KINDS = {
    "empty": (bytes, "empty; fetch the file again"),
    "cut off": (half_saved, "cut off or damaged; fetch the file again"),
    "script": (
        script,
        r"TorchScript, which is code; load it with torch.jit.load, and save its state dict",
    ),
    "export": (
        lambda: zipped("a/archive_format"),
        "a program of torch.export; load it with torch.export.load",
    ),
    "keras": (
        lambda: zipped("config.json", "model.weights.h5"),
        "a model of Keras; save the arrays",
    ),
    "zip": (
        lambda: zipped("model.pt"),
        "a zip archive of model.pt; unpack it, and name a file of it",
    ),
    "no zip": (zipped, "a zip archive of none"),
    "tar": (tar, "a tar archive; unpack it"),
    "bzip2": (lambda: b"BZh91AY&SY", "compressed with bzip2; unpack it"),
    "gzip": (lambda: b"\x1f\x8b\x08\0", "compressed with gzip; unpack it"),
    "xz": (lambda: b"\xfd7zXZ\0", "compressed with xz; unpack it"),
    "zstd": (lambda: b"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it"),
    "7z": (lambda: b"7z\xbc\xaf\x27\x1c", "a 7z archive; unpack it"),
    "onnx": (
        lambda: b"\x08\x08\x12\x07pytorch",
        "ONNX, a graph without layers; save the state dict",
    ),
    "tflite": (lambda: b"\x1c\0\0\0TFL3", "TensorFlow Lite; save the arrays"),
    "gguf": (lambda: b"GGUF\3\0\0\0", "GGUF; name the file of floats that it was converted from"),
    "matlab": (lambda: b"MATLAB 5.0 MAT-file", "a file of MATLAB; save the arrays"),
    "pickle": (lambda: b"\x80\x02}q\0.", "a pickle, which could run code; save the arrays"),
    "annex": (
        lambda: b"/annex/objects/SHA256E-s1--a.pt\n",
        "a pointer of git-annex; .* git annex get",
    ),
    "dvc": (lambda: b"outs:\n- md5: 00\n  path: a.pt\n", "a pointer of DVC; .* dvc pull"),
    "page": (lambda: b"<html>", "a web page; download the file itself"),
    "csv": (
        lambda: b"a,b\n1,2\n",
        r"a text \(a,b 1,2\); name safetensors, an .npz or a state dict",
    ),
    "other": (
        lambda: b"\0\1\2\3",
        "of another kind, which begins with 00 01 02 03; name safetensors",
    ),
    "npy": (lambda: b"\x93NUMPY\x01\0", "a single array; save all by name"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ending", [".pt", ".npz", ".safetensors"])
def test_a_file_of_another_kind_is_named_whatever_its_ending(tmp_path, kind, ending):
    content, words = KINDS[kind]
    (tmp_path / f"model{ending}").write_bytes(content())
    with pytest.raises(
        SsmHdlError, match=rf"^cannot read .*/model{ending}: it is {words}"
    ) as caught:
        importers.load(tmp_path / f"model{ending}", None, SPEC)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, UsageError)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (
            ".git/annex/objects/a/b/SHA256E-s1--a.pt",
            "a pointer of git-annex; fetch the file itself with git annex get",
        ),
        ("nothing.pt", "a link to nothing.pt, where no file is"),
        ("model.pt", "a link to model.pt, where no file is"),
    ],
)
def test_a_link_to_nowhere_is_named(tmp_path, target, words):
    (tmp_path / "model.pt").symlink_to(target)
    with pytest.raises(SsmHdlError, match=f"cannot read .*model.pt: it is {words}"):
        importers.load(tmp_path / "model.pt", None, SPEC)


def test_a_link_to_a_file_is_followed_and_a_pipe_does_not_hang(tmp_path):
    torch.save(public()[0], tmp_path / "real.pt")
    (tmp_path / "link.pt").symlink_to("real.pt")
    assert importers.load(tmp_path / "link.pt", None, SPEC).metadata["name"] == "link"
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(SsmHdlError, match="it is a pipe or a device; write it to a file"):
        importers.load(tmp_path / "pipe.pt", None, SPEC)


@pytest.mark.parametrize(
    ("files", "kind", "words"),
    [
        ((), UsageError, "is a folder; name the file in it, or the index"),
        (
            ("config.json", "model.safetensors"),
            UsageError,
            "is a folder; name the file in it: model.safetensors$",
        ),
        (
            ("a-00001-of-00002.bin", "a.bin.index.json"),
            UsageError,
            "name the file in it: a.bin.index.json$",
        ),
        (("_METADATA", "checkpoint"), SsmHdlError, "it is a folder of orbax; restore it"),
        (
            (".metadata", "__0_0.distcp"),
            SsmHdlError,
            "it is a folder of torch.distributed.checkpoint; convert it",
        ),
        (("saved_model.pb",), SsmHdlError, "it is a folder of TensorFlow; save the arrays"),
    ],
)
def test_a_folder_is_named_by_what_is_in_it(tmp_path, files, kind, words):
    for name in files:
        (tmp_path / name).touch()
    with pytest.raises(kind, match=words) as caught:
        importers.load(tmp_path, None, SPEC)
    assert type(caught.value) is kind


def test_a_safetensors_file_that_is_cut_off_and_arrays_without_names_are_refused(tmp_path):
    from safetensors.torch import save

    (tmp_path / "cut.safetensors").write_bytes(save(public()[0])[:-9])
    with pytest.raises(
        SsmHdlError, match="it is a safetensors file, cut off or damaged; fetch the file again"
    ):
        importers.load(tmp_path / "cut.safetensors", None, SPEC)
    np.savez(tmp_path / "short.npz", kernel=np.zeros(2, "V2"))
    with pytest.raises(
        SsmHdlError, match=r"kernel is of type \|V2, as bfloat16 becomes; save floats of 32 bits"
    ):
        importers.load(tmp_path / "short.npz", None, SPEC)
    np.savez(tmp_path / "nameless.npz", *(tensor.numpy() for tensor in public()[0].values()))
    with pytest.raises(
        SsmHdlError, match=r"has arrays without names \(arr_0, arr_1, arr_2 and 8 more\)"
    ):
        importers.load(tmp_path / "nameless.npz", None, SPEC)
