"""Samples in a file, through the commands: other tasks than a class for each sequence,
and what is kept of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.fingerprint import fingerprint
from ssm_hdl.samples import InputSpec
from ssm_hdl.sim.golden import run
from ssm_hdl.sw import checkpoint, data
from ssm_hdl.sw.presets import PRESETS
from ssm_hdl.sw.train import logits, loss_of, tensors, train
from ssm_hdl.sw.train_config import change

TINY = change(replace(PRESETS["small"], epochs=3), ["width=4", "modes=2"])
KEPT = InputSpec(
    "a file, of mine.npz", "UQ(0, 8)", (1e-7,), (1e20,), 64, 2, per_step=True,
    class_names=("a: b", "true"), channel_names=("x, y",), rate=50.0, scale=(1e-5,),
)  # fmt: skip


@pytest.fixture
def file(tmp_path):
    """``file(y)``: a data set of 40 samples of 16 steps and 2 channels with these labels;
    its file."""

    def make(y, **arrays):
        x = np.random.default_rng(0).normal(size=(40, 16, 2))
        np.savez(tmp_path / "mine.npz", x=x, y=y, **arrays)
        return tmp_path / "mine.npz"

    return make


def test_a_manifest_keeps_its_samples_and_its_fingerprint(random_manifest, tmp_path):
    plain = random_manifest(pooled=False)
    kept = Manifest(plain.graph.model_copy(update={"samples": KEPT}), plain.tensors)
    path = kept.save(tmp_path)
    assert Manifest.load(path).graph.samples == KEPT
    assert fingerprint(Manifest.load(path)) == fingerprint(plain)
    path.write_text(path.read_text().replace("  rate: 50.0", "  pace: 50.0"))
    with pytest.raises(SsmHdlError, match=r"samples\.pace: is not known"):
        Manifest.load(path)
    path.write_text(
        path.read_text().replace("  pace: 50.0\n", "").replace("std: [1.0e+20]", "std: [-1]")
    )
    with pytest.raises(SsmHdlError, match=r"a deviation of -1\.0; it is a number above 0"):
        Manifest.load(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"mean": (0.0,) * 2, "std": (1.0,) * 2, "scale": (), "channel_names": ()},
            "channels 2, the operations 1",
        ),
        ({"input_format": "SQ(1, 7)"}, r"input_format SQ\(1, 7\), the operations UQ\(0, 8\)"),
        ({"tokens": 256}, "tokens 256, the operations 0"),
        ({"classes": 4, "class_names": ()}, "outputs 4, the operations 2"),
        ({"classes": 0, "targets": 1, "class_names": ()}, "outputs 1, the operations 2"),
        ({"per_step": False}, "per_step False, the operations True"),
    ],
)
def test_samples_that_do_not_go_with_the_ports_are_refused(random_manifest, change, words):
    plain = random_manifest(pooled=False)
    with pytest.raises(SsmHdlError, match=f"random_s4d: samples have {words}; change one of them"):
        Manifest(plain.graph.model_copy(update={"samples": replace(KEPT, **change)}), plain.tensors)


def test_a_manifest_that_could_not_be_loaded_is_not_written(random_manifest, tmp_path):
    graph = random_manifest().graph.model_copy(update={"name": "always"})
    with pytest.raises(SsmHdlError, match="name: 'always' is a keyword"):
        Manifest(graph, random_manifest().tensors).save(tmp_path / "far")
    assert not (tmp_path / "far").exists()


def test_a_checkpoint_keeps_its_samples(tmp_path):
    torch.manual_seed(0)
    saved = checkpoint.Checkpoint(TINY.model.build(KEPT).eval(), KEPT, {"name": "a"})
    path = saved.save(tmp_path / "a.safetensors")
    assert checkpoint.load(path).inputs == KEPT
    assert checkpoint.load(path).save(tmp_path / "b.safetensors").read_bytes() == path.read_bytes()


def test_numbers_are_trained_in_units_of_their_own(file):
    y = 1000 + 50 * np.random.default_rng(1).normal(size=(40, 3)) * [1, 10, 0]
    dataset = data.load(file(y))
    found = train(dataset, replace(TINY, dataset=dataset.name))
    outputs = logits(found.model, tensors(dataset, dataset.train)[0]).numpy()
    # The guess of a model that has learnt nothing is the mean,
    # so the units are those of the labels.
    assert np.abs(outputs.mean(0) - dataset.train.labels.mean(0)).max() < 300
    assert found.metadata.keys() >= {"r2", "val_r2"} and "accuracy" not in found.metadata


def test_the_loss_leaves_out_what_has_no_label():
    outputs, labels = torch.randn(4, 5, 3), torch.randint(0, 3, (4, 5))
    known = labels > 0
    expected = torch.nn.functional.cross_entropy(outputs[known], labels[known])
    assert torch.equal(loss_of(outputs, torch.where(known, labels, -1)), expected)
    numbers = torch.randn(4, 5, 3)
    numbers[1, 2] = float("nan")
    assert torch.isfinite(loss_of(outputs, numbers))


@pytest.mark.parametrize(
    ("y", "score"), [(np.arange(40) % 2, "accuracy"), (np.arange(40) / 40, "R2")]
)
def test_both_scores_of_a_training_say_their_part(cli, file, tmp_path, y, score):
    given = "--data", file(y), "--epochs", 1, "--out", tmp_path / "small.safetensors"
    done = cli("train", "small", *given)
    assert [line.split()[:2] for line in done.out.splitlines() if f" {score} " in line] == [
        ["test", score],
        ["val", score],
    ]


def test_samples_without_labels_train_nothing(file):
    dataset = data.load(file(np.where(np.arange(640).reshape(40, 16) < 1, 1, -1)))
    with pytest.raises(
        SsmHdlError, match=r"validation part of mine\.npz has no sample with a label"
    ):
        train(dataset, replace(TINY, dataset=dataset.name))
    single = data.load(file(np.arange(40) % 2, split=np.zeros(40, int)))
    with pytest.raises(
        SsmHdlError, match=r"validation part of mine\.npz has no sample with a label"
    ):
        train(replace(single, val=single.val.head(0)), replace(TINY, dataset=single.name))


@pytest.mark.parametrize("task", ["classes of steps", "numbers", "numbers of steps"])
def test_every_task_goes_from_training_to_equal_rtl(cli, file, tmp_path, task):
    random = np.random.default_rng(2)
    y = {
        "classes of steps": random.integers(-1, 3, (40, 16)),
        "numbers": random.normal(size=(40, 2)) * [1e-20, 1e20],
    }
    path = file(y.get(task, random.normal(size=(40, 16))), split=np.arange(40) % 3)
    model, folder, recipe = (
        tmp_path / "model.safetensors",
        tmp_path / "model",
        tmp_path / "few.yaml",
    )
    recipe.write_text("samples: 8\n")
    options = ("--set", "width=4", "--set", "modes=2", "--epochs", 1, "--data", path)
    trained = json.loads(cli("train", "small", *options, "--out", model, "--json").out)
    assert cli("quantize", model, "--recipe", recipe, "--data", path, "--out", folder).status == 0
    first = "accuracy" if task == "classes of steps" else "r2"
    floats = json.loads(cli("eval", model, "--data", path, "--json").out)
    assert floats[first] == pytest.approx(trained[first], abs=1e-4)
    assert len(floats.get("targets", {}).get("r2", ())) == {
        "numbers": 2,
        "numbers of steps": 1,
    }.get(task, 0)
    answer = json.loads(
        cli("eval", folder, "--data", path, "--out", tmp_path / "out.npy", "--json").out
    )
    manifest, split = (
        Manifest.load(folder),
        data.load_for(Manifest.load(folder).graph.samples, path).test,
    )
    outputs, scale = run(manifest, split.codes).outputs, manifest.graph.samples.target_scale
    # large and small ones fill one format
    assert task != "numbers" or (np.abs(outputs).max(0) > 1 << 10).all()
    assert np.array_equal(np.load(tmp_path / "out.npy"), outputs) and answer["sequences"] == 13
    assert answer["labelled"] == {"classes of steps": (split.labels >= 0).sum(), "numbers": 13}.get(
        task, 13 * 16
    )
    cli("eval", folder, "--data", path, "--out", tmp_path / "out.npy", "--values")
    assert np.array_equal(
        np.load(tmp_path / "out.npy"),
        outputs * (manifest.output.format.lsb * np.array(scale or 1.0)),
    )
    tuned = json.loads(
        cli(
            "finetune", folder, "--data", path, "--epochs", 1, "--out", tmp_path / "qat", "--json"
        ).out
    )
    assert f"val_{first}" in tuned
    words = ("finetune", folder, "--data", path, "--epochs", 1, "--teacher", model)
    taught = json.loads(cli(*words, "--out", tmp_path / "taught", "--json").out)
    assert taught[f"val_{first}_before"] == tuned[f"val_{first}_before"] <= taught[f"val_{first}"]
    # their folders'
    assert (manifest.name, tuned["name"], Manifest.load(tmp_path / "qat").name) == (
        "model",
        "qat",
        "qat",
    )
    same = json.loads(
        cli("simulate", folder, "--samples", "test", "--data", path, "--count", 2, "--json").out
    )
    assert (same["differences"], same["elements"]) == (0, outputs[:2].size)


@pytest.mark.parametrize(
    "labels", [np.arange(40) % 20, np.arange(640).reshape(40, 16) % 3 - 1, np.linspace(0, 1, 40)]
)
def test_what_a_file_holds_is_shown_in_80_columns(cli, file, tmp_path, labels):
    path = file(labels, rate=50, channels=["acceleration along the axis of the motor", "y"])
    done = cli("data", path, "--picture", tmp_path / "some.png")
    assert done.status == 0, done.err
    assert (
        max(
            map(len, (line.rstrip() for line in done.out.splitlines() if str(tmp_path) not in line))
        )
        <= 80
    )
    assert (tmp_path / "some.png").read_bytes().startswith(b"\x89PNG")
    answer = json.loads(cli("data", path, "--json").out)
    assert [part["samples"] for part in answer["parts"].values()] == [28, 6, 6]
    if labels.dtype.kind == "i":
        counts = [sum(row[part] for part in ("train", "val", "test")) for row in answer["labels"]]
        assert counts == np.bincount(labels[labels >= 0]).tolist()
    assert [row["name"] for row in answer["channels"]] == [
        "acceleration along the axis of the motor",
        "y",
    ]


def test_a_manifest_by_hand_takes_codes_in_a_file(cli, refused, random_manifest, tmp_path):
    random_manifest().save(tmp_path / "manifest")
    np.savez(tmp_path / "codes.npz", x=np.arange(48, dtype=np.uint8).reshape(8, 6, 1))
    done = json.loads(
        cli(
            "eval",
            tmp_path / "manifest",
            "--data",
            tmp_path / "codes.npz",
            "--split",
            "all",
            "--json",
        ).out
    )
    assert (done["sequences"], done["labelled"], "accuracy" in done) == (8, 0, False)
    np.savez(tmp_path / "codes.npz", x=np.zeros((8, 6, 1)))
    refused(
        "x are floats; the model.* takes integers",
        "eval",
        tmp_path / "manifest",
        "--data",
        tmp_path / "codes.npz",
    )
    refused("no data set has sequences of 6 steps", "eval", tmp_path / "manifest", status=2)


def test_padding_is_not_simulated(cli, random_manifest, tmp_path):
    random_manifest(pooled=False).save(tmp_path / "manifest")
    x, length = np.arange(48, dtype=np.uint8).reshape(8, 6, 1), np.array([1, 6, 6, 3, 2, 6, 1, 5])
    np.savez(
        tmp_path / "codes.npz", x=x, y=np.zeros((8, 6), int), length=length, split=np.full(8, 2)
    )
    words = (
        "simulate",
        tmp_path / "manifest",
        "--samples",
        "test",
        "--data",
        tmp_path / "codes.npz",
        "--stalls",
        0.3,
    )
    done = json.loads(cli(*words, "--json").out)
    assert (done["sequences"], done["elements"], done["differences"]) == (8, 2 * length.sum(), 0)


def test_a_manifest_of_another_number_of_classes_is_not_taken_for_mnist(
    refused, random_manifest, tmp_path
):
    random_manifest(steps=784).save(tmp_path / "ecg")
    refused(
        "no data set has sequences of 784 steps of 1 x .* and 3 classes",
        "eval",
        tmp_path / "ecg",
        "--data",
        "data/mnist",
        status=2,
    )
