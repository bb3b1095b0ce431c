"""Samples line by line, from a pipe, a file that grows and a sensor;
and the command on a simulated board."""

import io
import json
import os
import sys
import threading
import tty
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.boards.build import PLAN
from ssm_hdl.boards.catalog import find_board
from ssm_hdl.files import sealed_json
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Tensors
from ssm_hdl.samples import InputSpec
from ssm_hdl.sim.golden import run
from ssm_hdl.sw.stream import Samples, results, writer
from ssm_hdl.sw.virtual import built, target_of


class Golden:
    """A host whose board is the golden model."""

    def __init__(self, manifest):
        self.manifest, self.before, self.parts = manifest, [], 0

    def restart(self):
        self.before = []

    def go_through(self, samples):
        self.before += samples.tolist()
        self.parts += 1
        return self.run(np.array(self.before)[np.newaxis])[0, -len(samples) :]

    def run(self, samples):
        return run(self.manifest, samples).outputs


THREE = """
schema_version: 1
name: three
steps: 5
input: {name: x, size: 3, format: "SQ(3, 7)"}
operations:
- {name: y, op: add, inputs: [x, x], format: "SQ(4, 7)"}
output: y
"""


@pytest.fixture
def three():
    """Three numbers per time step."""
    return Manifest(Graph.model_validate(yaml.safe_load(THREE)), Tensors({}, {}))


@pytest.fixture
def pipe(tmp_path):
    """``pipe(text)``: the path of a pipe from which this text comes."""

    def make(text, name="pipe"):
        os.mkfifo(tmp_path / name)
        threading.Thread(target=(tmp_path / name).write_text, args=(text,)).start()
        return str(tmp_path / name)

    return make


def text_of(codes):
    return "".join(" ".join(map(str, step)) + "\n" for step in codes.tolist())


def stream(manifest, source, **options):
    return np.concatenate(list(results(Golden(manifest), Samples(manifest, source, **options))))


def test_a_result_for_every_step(random_manifest, random_samples, pipe):
    manifest = random_manifest(steps=5, pooled=False)
    codes = random_samples(manifest, 3, 17)  # longer than a sequence, and an empty line ends each
    got = stream(manifest, pipe("\n".join(map(text_of, codes))))
    assert np.array_equal(got, run(manifest, codes).outputs.reshape(got.shape))
    got = stream(manifest, pipe(text_of(codes.reshape(-1, 1)), "cut"), length=17)
    assert np.array_equal(got, run(manifest, codes).outputs.reshape(got.shape))


def test_a_result_for_every_sequence(random_manifest, random_samples, pipe):
    manifest = random_manifest(steps=6)
    codes = random_samples(manifest, 4)
    lines = (
        text_of(codes[:2].reshape(-1, 1))
        + json.dumps(codes[2].ravel().tolist())
        + "\n"
        + text_of(codes[3, :2]).strip()
    )
    got = stream(manifest, pipe(lines), length=6)
    assert np.array_equal(got[:3], run(manifest, codes[:3]).outputs)
    assert np.array_equal(got[3:], run(manifest, codes[3:, :2]).outputs)


def test_values_become_codes_as_those_of_a_file(random_manifest, pipe):
    manifest = random_manifest(steps=5, pooled=False)
    spec = InputSpec(
        "mine", "UQ(0, 8)", (0.0,), (1.0,), 5, 0, targets=2, per_step=True, scale=(4.0,)
    )
    manifest = Manifest(manifest.graph.model_copy(update={"samples": spec}), manifest.tensors)
    samples = Samples(manifest, pipe("\ufeff1.0; 3.99,7\r\n-1\n"))
    assert [None if step is None else step.tolist() for step in samples] == [
        [64],
        [255],
        [255],
        [0],
        None,
    ]
    assert samples.saturated == 2


@pytest.mark.parametrize(
    "text, message",
    [
        ("1\n2\nx\n", "line 3 of .*pipe: x are no numbers"),
        ("1.5\n", "line 1 of .*pipe: 1.5 are no integers; random_s4d takes codes of"),
        ("nan\n", "a number that is not finite"),
        ("1\n,,\n", "line 2 of .*pipe: ,, are no numbers"),
        ("[]\n", "are no numbers"),
        ("1,,2\n", "1,,2 are no numbers"),
        ("1_0\n", "1_0 are no numbers"),
        ("1000000\n", "1000000 has a code outside"),
    ],
)
def test_lines_that_are_no_samples(random_manifest, pipe, text, message):
    with pytest.raises(SsmHdlError, match=message):
        list(Samples(random_manifest(), pipe(text)))


def test_a_line_of_another_size(three, pipe):
    with pytest.raises(SsmHdlError, match=r"line 1 of .* has 2 numbers; three takes 3 a time step"):
        stream(three, pipe("1 2\n"))


def test_a_file_that_grows_and_a_sensor(three, tmp_path):
    manifest, path = three, tmp_path / "grows"
    path.write_text("1 2 3\n4 5")
    steps = iter(Samples(manifest, str(path)))
    assert next(steps).tolist() == [1, 2, 3]
    with path.open("a") as file:
        file.write(" 6\n")
    assert next(steps).tolist() == [4, 5, 6]
    master, slave = os.openpty()
    tty.setraw(slave)
    os.write(master, b"5 6\n1 2 3\n7 8 9\n")  # the first line has lost its beginning
    sensor = Samples(manifest, os.ttyname(slave))
    # what came before the port was open may be lost
    threading.Timer(0.3, os.write, (master, b"1 2 3\n7 8 9\n")).start()
    assert next(iter(sensor)).tolist() in ([1, 2, 3], [7, 8, 9])
    with pytest.raises(SsmHdlError, match="there is no /dev/ttyUSB99; --stream takes"):
        Samples(manifest, "/dev/ttyUSB99")
    os.close(master)


def test_what_a_line_says(random_manifest):
    manifest = random_manifest()
    names = ("yes", "no", "none")
    spec = InputSpec("mine", "UQ(0, 8)", (0.0,), (1.0,), 6, 3, class_names=names)
    named = Manifest(manifest.graph.model_copy(update={"samples": spec}), manifest.tensors)
    output = np.array([1024, 5120, -512])
    assert writer(manifest, False)(0, output) == "1\t5\t-0.5"
    assert writer(named, False)(0, output) == "no\t1\t5\t-0.5"
    assert json.loads(writer(named, True)(7, output)) == {
        "sequence": 7,
        "class": 1,
        "name": "no",
        "values": [1, 5, -0.5],
    }


def test_the_command_on_a_simulated_board(
    random_manifest, random_samples, cli, refused, pipe, as_built, monkeypatch, tmp_path
):
    manifest = random_manifest(steps=5, pooled=False)
    board = find_board("icebreaker")
    path, target = manifest.save(tmp_path / "small").parent, target_of(manifest, board)
    fast = "--simulated", "--baud", 9_000_000
    codes = random_samples(manifest, 1, 9)
    done = cli("run", path, *fast, "--stream", pipe(text_of(codes[0])), "--json", "--count", 8)
    assert done.status == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert [line["step"] for line in lines] == list(range(8))
    assert [line["values"] for line in lines] == manifest.values(
        run(manifest, codes).outputs[0, :8]
    ).tolist()
    with monkeypatch.context() as patch, Path("/dev/full").open("wb", 0) as full:
        patch.setattr(sys, "stdout", io.TextIOWrapper(full, write_through=True))
        refused(
            "cannot write the answer to stdout: No space",
            "run",
            path,
            *fast,
            "--stream",
            pipe(text_of(codes[0]), "full"),
        )
    refused("ended before a sample came", "run", path, *fast, "--stream", pipe("", "empty"))
    report = as_built(manifest, target, path)
    assert built(path, manifest) == replace(target, built=report)
    done = cli("run", path, *fast, "--count", 2, "--json")
    answer = json.loads(done.out)
    assert (answer["differences"], answer["sequences"], answer["port"]) == (
        0,
        2,
        "the simulated iCEBreaker",
    )
    refused("built for the iCEBreaker", "run", path, *fast, "--board", "ulx3s-25f", status=2)
    (path / PLAN).write_text(
        target.plan.to_json().replace('"multipliers": 1', '"multipliers": 2', 1)
    )
    refused("plan.json is not what `build` writes .its sha256 is not that", "run", path, *fast)
    (path / PLAN).write_text(sealed_json({}))
    refused("plan.json is no plan", "run", path, *fast)
