"""Kinds of files by their content, whatever their names; those without arrays are refused."""

import re
import zipfile
from pathlib import Path

from ssm_hdl.errors import SsmHdlError, UsageError, brief, listing

TORCH_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""The number that a file of ``torch.save`` before version 1.6 begins with, as pickle writes it."""

LFS = "a pointer of Git LFS; fetch the file itself with git lfs pull"
ANNEX = "a pointer of git-annex; fetch the file itself with git annex get"
DVC = "a pointer of DVC; fetch the file itself with dvc pull"
PAGE = "a web page; download the file itself"
PICKLE = "a pickle, which could run code; save the arrays with numpy.savez"
MSGPACK = "msgpack, as of flax; save the flat tree with numpy.savez"
HDF5 = "HDF5; save the arrays with numpy.savez"
ONNX = "ONNX, a graph without layers; save the state dict of the model that it was exported from"
RESAVE = "and save its state dict with torch.save"
CUT_OFF = "cut off or damaged; fetch the file again"

SIGNS = (
    (rb"version https://git-lfs", LFS),
    (rb"/annex/objects", ANNEX),
    (rb"outs:\s+- (md5|hash|path)", DVC),
    (rb"\s*(?i:<!DOCTYPE|<html|<\?xml)", PAGE),
    (rb"(#.*\n)*schema_version:", "a manifest; name the float model that it was quantized from"),
    (rb"\x89HDF\r\n", HDF5),
    (rb"\x93NUMPY", "a single array; save all by name with numpy.savez"),
    (rb"\x1f\x8b", "compressed with gzip; unpack it"),
    (rb"BZh\d", "compressed with bzip2; unpack it"),
    (rb"\xfd7zXZ", "compressed with xz; unpack it"),
    (rb"\x28\xb5\x2f\xfd", "compressed with zstd; unpack it"),
    (rb"7z\xbc\xaf", "a 7z archive; unpack it, and name a file of it"),
    (rb"(?s:.{257})ustar", "a tar archive; unpack it, and name a file of it"),
    (rb"(?s:.{4})TFL3", "TensorFlow Lite; save the arrays of the model that it was converted from"),
    (rb"MATLAB", "a file of MATLAB; save the arrays with numpy.savez"),
    (rb"GGUF", "GGUF; name the file of floats that it was converted from"),
    (rb"\x08[\x01-\x14][\x12:B]", ONNX),
    (rb"\x80[\x02-\x05]", PICKLE),
    (rb"(?s:[\x81-\x8f]|\xde..)[\xa1-\xbf\xd9]", MSGPACK),  # a map whose first key is text
)
"""First bytes of files, and what they are."""

ORBAX = "orbax; restore it, and save the flat tree with numpy.savez"
FOLDERS = {
    "_METADATA": ORBAX,
    "_CHECKPOINT_METADATA": ORBAX,
    ".metadata": "torch.distributed.checkpoint; convert it by its dcp_to_torch_save",
    "manifest.yaml": "a manifest, integers; name the float model that it was quantized from",
    "saved_model.pb": "TensorFlow; save the arrays of the model with numpy.savez",
}
"""Files of which a folder is a checkpoint of another package, and the package."""

ENDINGS = (".safetensors", ".npz", ".pt", ".pth", ".bin", ".ckpt")
"""Of the files that a folder is likely to be named for."""


def kind_of(path: Path) -> str:
    """The kind of a file: ``safetensors``, ``index``, ``npz``, ``torch``,
    ``legacy`` (torch before 1.6).

    Raises:
        SsmHdlError: it is of another kind, or cannot be read.
    """
    try:
        if path.is_symlink() and not path.exists():
            target = str(path.readlink())
            nowhere = f"a link to {brief(target)}, where no file is; fetch that file"
            raise _refuse(path, ANNEX if "annex/objects" in target else nowhere)
        if path.is_dir():
            raise _folder(path)
        if path.exists() and not path.is_file():
            raise _refuse(path, "a pipe or a device; write it to a file, and name that")
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise SsmHdlError(f"cannot read {path}: {error.strerror}") from error
    if not start:
        raise _refuse(path, "empty; fetch the file again")
    if start[6:9] == b"\0\0{":  # 8 bytes of length, then a JSON header
        return "safetensors"
    if TORCH_MAGIC in start[:32]:
        return "legacy"
    if start[:2] == b"PK":
        return _zip(path)
    for sign, meaning in SIGNS:
        if re.match(sign, start):
            raise _refuse(path, meaning)
    if start.lstrip()[:1] == b"{":
        return "index"
    kind = f"of another kind, which begins with {start[:8].hex(' ')}"
    if all(byte >= 32 or byte in b"\t\r\n" for byte in start):
        kind = f"a text ({brief(start.decode(errors='replace'), 40)})"
    raise _refuse(path, f"{kind}; name safetensors, an .npz or a state dict by torch.save")


def _refuse(path: Path, meaning: str) -> SsmHdlError:
    return SsmHdlError(f"cannot read {path}: it is {meaning}")


def _folder(path: Path) -> SsmHdlError:
    names = sorted(file.name for file in path.iterdir())
    for name, meaning in FOLDERS.items():
        if name in names:
            return SsmHdlError(f"cannot read {path}: it is a folder of {meaning}")
    files = [name for name in names if name.endswith(".index.json")]
    files = files or [name for name in names if name.endswith(ENDINGS)]
    found = f": {listing(files)}" if files else ", or the index (.index.json) of its files"
    return UsageError(f"{path} is a folder; name the file in it{found}")


def _zip(path: Path) -> str:
    """The kind of a zip archive."""
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise _refuse(path, CUT_OFF) from error
    last = {name.rsplit("/", 1)[-1] for name in names}
    if "constants.pkl" in last:
        raise _refuse(path, f"TorchScript, which is code; load it with torch.jit.load, {RESAVE}")
    if "data.pkl" in last:
        return "torch"
    if any(name.endswith(".npy") for name in names):
        return "npz"
    if "archive_format" in last:
        raise _refuse(path, f"a program of torch.export; load it with torch.export.load, {RESAVE}")
    if "model.weights.h5" in last:
        raise _refuse(path, "a model of Keras; save the arrays with numpy.savez")
    raise _refuse(path, f"a zip archive of {listing(names, 3)}; unpack it, and name a file of it")
