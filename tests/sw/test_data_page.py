"""The page docs/data.md, command by command, without `build`: place and route take a minute.
`generate` sizes the same design."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
WALK, REST = PAGE.split("## The arrays")
COMMANDS = {
    part: [
        line.split()[1:]
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
    ]
    for part, text in (("walk", WALK), ("rest", REST))
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_two_arrays_become_verilog(cli, refused, here):
    (program,) = re.findall(r"```python\n(.*?)```", WALK, re.DOTALL)
    (here / "motor.py").write_text(program)
    subprocess.run([sys.executable, "motor.py"], check=True)
    assert [name for name, *_ in COMMANDS["walk"]] == [
        "data",
        "train",
        "quantize",
        "eval",
        "simulate",
        "generate",
        "build",
    ]
    for name, *arguments in COMMANDS["walk"][:-1]:
        done = cli(name, *arguments, "--json")
        assert done.status == 0, done.err
        answer = json.loads(done.out)
        if name == "eval":
            assert [(model["correct"], model["labelled"]) for model in answer["models"]] == [
                (60, 60),
                (60, 60),
            ]
            assert "both recognise 60 of 60 test samples" in WALK
        if name == "simulate":
            assert (answer["differences"], answer["elements"]) == (0, 80)
    assert (here / "motor.png").exists() and "module motor" in (here / "motor.v").read_text()
    for name, *arguments in (words for words in COMMANDS["rest"] if "motor" in words):
        assert cli(name, *arguments).status == 0
    assert np.load("outputs.npy").shape == (400, 4)
    np.savez("ecg.npz", x=np.zeros((9, 128, 1)), y=np.arange(9) % 4)
    (said,) = re.findall(r"```text\nssm-hdl: (.*?)\n", REST)
    refused(re.escape(said), "eval", "motor", "--data", "ecg.npz")


def test_a_recording_is_trained_and_judged_in_windows(cli, here):
    labels = np.arange(3000) // 250 % 3
    x = np.sin(np.cumsum(0.1 + 0.4 * labels))[:, np.newaxis] * 500
    np.savez("recording.npz", x=x.round().astype(np.int16), y=labels)
    for name, *arguments in (words for words in COMMANDS["rest"] if "recording.npz" in words):
        done = cli(name, *arguments, *(["--epochs", 4] if name == "train" else []), "--json")
        assert done.status == 0, done.err
    models = json.loads(done.out)["models"]
    assert [(model["arithmetic"], model["labelled"], model["sequences"]) for model in models] == [
        ("float", 450, 1),
        ("integer", 450, 1),
    ]


def test_a_text_is_trained_and_judged_in_bits_per_character(cli, here):
    book = "".join(f"{number} green bottles hanging on the wall. " for number in range(99))
    (here / "book.txt.gz").write_bytes(gzip.compress(book.encode()))
    small = ["--epochs", 2, "--set", "width=4", "--set", "layers=1"]
    for name, *arguments in (words for words in COMMANDS["rest"] if "book" in " ".join(words)):
        done = cli(name, *arguments, *(small if name == "train" else []), "--json")
        assert done.status == 0, done.err
    answer = json.loads(done.out)
    assert (answer["sequences"], answer["labelled"]) == (1, round(0.1 * len(book)) - 1)
    assert 0 < answer["bits_per_character"] < np.log2(len(set(book))) + 0.5
