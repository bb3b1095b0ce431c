"""Files from strangers: mutations of the small valid files in ``corpus``; each is taken,
or refused with one line, quickly.

``python tests/fuzz_files.py 100000`` runs so many inputs for each loader, a thousand a seed, and
goes on where it was stopped: ``results/fuzz-files.json`` keeps what was done. An input that fails
is shrunk and kept in the corpus.
"""

import io
import json
import re
import resource
import signal
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from hashlib import sha256
from pathlib import Path

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.boards.protocol import answer
from ssm_hdl.errors import UsageError
from ssm_hdl.sw import checkpoint, host, importers
from ssm_hdl.sw.data import npz

CORPUS = Path(__file__).with_name("corpus")
RESULTS = Path("results/fuzz-files.json")
CHUNK = 1000
LIMIT_S, LIMIT_MB = 2, 500
TAG = 7

TOKENS = (  # noqa: SIM905 - of what YAML, safetensors and NumPy read
    "0 -1 1 2 010 1:30 0x10 1_000 1e3 1e999 .nan 2.5 true no null ~ 2024-13-45 65536 "
    "4611686018427387904 -9223372036854775808 18446744073709551615 '' a y x *a &a !!binary "
    "!!python/name:os.system <<: --- ... { } [ ] ' \" : , - ? # | > %YAML SQ(1,7) UQ(63,0) "
    "SQ(62,-1) SQ(1000000,-999992) SQ(-70,78) UQ(0,0) I8 U64 I64 F16 BF16 F32 F64 F8_E4M3 F8_E5M2 "
    "F4 BOOL C64 <f8 <f2 >f4 <c16 |O |b1 <u8 >i8 |S3 <U5 <M8[s] |V3 (0,2) (3,0) (4294967296,) () "
    "True False nan inf-inf \0 \xff \u2028 \ud7ff"
).split()
TOKENS = [*TOKENS, "9" * 400, "[" * 90, "{a: " * 90, "ä" * 90, " " * 9, "\n", "\t"]

WORD = re.compile(rb"[^\s,{}\[\]:\"'()]+")


class Line:
    """A serial port from which bytes come."""

    def __init__(self, data):
        self.data, self.in_waiting = data, len(data)

    def read(self, count):
        data, self.data = self.data[:count], self.data[count:]
        return data


def manifest(data, folder):
    (folder / "weights.safetensors").write_bytes(
        (CORPUS / "weights" / "small.safetensors").read_bytes()
    )
    Manifest.load(put(folder / "manifest.yaml", data))


def weights(data, folder):
    (folder / "manifest.yaml").write_bytes((CORPUS / "manifest" / "all.yaml").read_bytes())
    Manifest.load(put(folder / "weights.safetensors", data).parent)


def own(data, folder):
    checkpoint.load(put(folder / "own.safetensors", data))


def public(data, folder):
    path, spec, options = (
        put(folder / "public.bin", data),
        npz.load(CORPUS / "data" / "classes.npz").spec,
        {},
    )
    while True:
        try:
            return importers.load(path, None, spec, **options)
        except importers.Unanswered as question:
            assert question.option not in options
            options[question.option] = question.choices[0]


def samples(data, folder):
    path = put(folder / "samples.npz", data)
    try:
        npz.load(path)
    except UsageError:  # a recording, to be cut
        npz.load(path, window=8)


def serial(data, folder):
    reader = host.Host.__new__(host.Host)
    reader.port, reader.baud, reader.timeout, reader._tag, reader._serial = (
        "port",
        host.BAUD,
        1e-3,
        TAG,
        Line(data),
    )
    assert len(reader._answer(6)) == 6


LOADERS = {
    "manifest": manifest,
    "weights": weights,
    "checkpoint": own,
    "import": public,
    "data": samples,
    "serial": serial,
}


def put(path, data):
    path.write_bytes(data)
    return path


def parts(data):
    """The parts of a file whose lengths or check sums must be right to get further,
    and what puts them together again."""
    if data[:2] == b"PK":
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as file:
                names, members = file.namelist(), [file.read(name) for name in file.namelist()]
        except Exception:
            return [data], b"".join
        return [*(name.encode() for name in names), *members], zipped
    if data[:6] == b"\x93NUMPY":
        end = 10 + int.from_bytes(data[8:10], "little")
        return [
            data[10:end],
            data[end:],
        ], lambda new: data[:8] + (len(new[0]) & 0xFFFF).to_bytes(2, "little") + b"".join(new)
    if data[8:9] == b"{":
        end = 8 + int.from_bytes(data[:8], "little")
        return [
            data[8:end],
            data[end:],
        ], lambda new: len(new[0]).to_bytes(8, "little") + b"".join(new)
    if data[:1] == b"\x5a" and len(data) >= 7:
        return [data[1:3], data[5:-2]], lambda new: answer(
            *new[0].ljust(2, b"\0")[:2], new[1][:9999]
        )
    return [data], b"".join


def zipped(new):
    buffer, half = io.BytesIO(), len(new) // 2
    # of two members of one name
    with zipfile.ZipFile(buffer, "w") as file, warnings.catch_warnings(action="ignore"):
        for name, member in zip(new[:half], new[half:], strict=True):
            name = name.decode(errors="replace").partition("\0")[0] or "x"
            file.writestr(zipfile.ZipInfo(name), member)  # without the time of day, to be repeated
    return buffer.getvalue()


def mutated(draw, data, depth=2):
    """A file with one change, in a part of it or in a part of a part."""
    pieces, join = parts(data)
    if depth and draw(st.integers(0, 7)) and (len(pieces) > 1 or join is zipped):
        at = draw(st.integers(0, len(pieces) - 1))
        return join(
            [
                mutated(draw, piece, depth - 1) if index == at else piece
                for index, piece in enumerate(pieces)
            ]
        )
    words = list(WORD.finditer(data))
    kind = draw(
        st.sampled_from(
            ["token", "word", "byte", "cut", "double", "bytes"]
            if words
            else ["byte", "cut", "bytes"]
        )
    )
    if kind in ("token", "word"):
        word = draw(st.sampled_from(words))
        new = (
            draw(st.sampled_from(TOKENS)).encode()
            if kind == "token"
            else draw(st.sampled_from(words))[0]
        )
        return data[: word.start()] + new + data[word.end() :]
    if kind == "byte" and data:
        at = draw(st.integers(0, len(data) - 1))
        return data[:at] + bytes([draw(st.integers(0, 255))]) + data[at + 1 :]
    start, end = sorted(draw(st.integers(0, len(data))) for _ in range(2))
    middle = {"cut": b"", "double": 2 * data[start:end]}.get(kind)
    return data[:start] + (draw(st.binary(max_size=9)) if middle is None else middle) + data[end:]


@st.composite
def files(draw, loader):
    """A file of the corpus with one to four changes."""
    data = draw(
        st.sampled_from([path.read_bytes() for path in sorted((CORPUS / loader).iterdir())])
    )
    for _ in range(draw(st.integers(1, 4))):
        data = mutated(draw, data)
    return data


def check(loader, data, folder):
    """Whether a file is taken; else it is refused by one line in time."""
    with warnings.catch_warnings(action="error"):
        signal.signal(signal.SIGVTALRM, late)
        signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
        try:
            LOADERS[loader](data, folder)
        except SsmHdlError as error:
            text = str(error)
            assert text.isprintable() and len(text) < 1000, text
            return False
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return True


def late(number, frame):
    raise AssertionError(f"it takes more than {LIMIT_S} seconds")


def fuzz(loader, folder, number, count):
    """How many inputs of a seed are taken and refused; AssertionError or what a loader raises,
    of the smallest such input."""
    told, failing = Counter(), b""

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    @given(files(loader))
    def run(data):
        nonlocal failing
        try:
            told["taken" if check(loader, data, folder) else "refused"] += 1
        except BaseException:
            failing = data
            raise

    try:
        run()
    except Exception:
        path = CORPUS / loader / f"failed-{sha256(failing).hexdigest()[:8]}"
        path.write_bytes(failing)
        print(f"seed {number}: kept in {path}", file=sys.stderr)
        raise
    return told


def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def main(wanted, loaders):
    torch.set_num_threads(1)
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        for loader in loaders or LOADERS:
            before, found = (
                megabytes(),
                known.setdefault(
                    loader, {"inputs": 0, "taken": 0, "refused": 0, "cpu_s": 0, "peak_mb": 0}
                ),
            )
            while found["inputs"] < wanted:
                began, number = time.process_time(), found["inputs"] // CHUNK
                told = fuzz(loader, Path(name), number, CHUNK)
                found["inputs"] += CHUNK
                for outcome in ("taken", "refused"):
                    found[outcome] += told[outcome]
                found["cpu_s"] = round(found["cpu_s"] + time.process_time() - began, 1)
                found["peak_mb"] = max(found["peak_mb"], megabytes() - before)
                assert found["peak_mb"] < LIMIT_MB, (
                    f"{loader}, seed {number}: {found['peak_mb']} MB"
                )
                RESULTS.write_text(json.dumps(known, indent=2) + "\n")
                print(loader, found, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
