"""Fine-tuning: what is learnt, runs that are stopped and go on,
and a float model as the teacher."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from safetensors import safe_open

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.operations import Tensors
from ssm_hdl.sim.golden import run
from ssm_hdl.sw.checkpoint import load as load_checkpoint
from ssm_hdl.sw.qat.finetune import finetune
from ssm_hdl.sw.qat.finetune_config import FinetuneConfig

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def teacher():
    return load_checkpoint(ROOT / "checkpoints" / "digits.safetensors")


def damaged(manifest, bits=3):
    """The same program with all but ``bits`` bits of the read-out's and of
    mixing's weights lost."""
    codes = dict(manifest.tensors.codes)
    for name in ("readout.weight", "mixing.weight"):
        codes[name] = codes[name] >> 8 - bits << 8 - bits
    return Manifest(manifest.graph, Tensors(codes, manifest.tensors.formats))


def test_training_repairs_what_was_lost(manifest, digits):
    epochs = []
    broken = damaged(manifest)
    done = finetune(broken, digits, FinetuneConfig(epochs=4, batch_size=32), on_epoch=epochs.append)
    assert epochs[-1].loss < 0.6 * epochs[0].loss
    assert done.best > done.before
    assert (
        run(done.manifest, digits.val.codes).outputs.argmax(1) == digits.val.labels
    ).mean() == done.best
    formats = {name: node.output.format for name, node in done.manifest.nodes.items()}
    assert formats == {name: node.output.format for name, node in broken.nodes.items()}
    assert np.array_equal(
        done.manifest.tensors.codes["ssm.transition"], broken.tensors.codes["ssm.transition"]
    )


def test_nothing_better_than_the_start_gives_the_start(manifest, digits):
    done = finetune(manifest, digits, FinetuneConfig(epochs=1, images=32, learning_rate=3.0))
    assert done.best == done.before
    assert np.array_equal(
        done.manifest.tensors.codes["mixing.weight"], manifest.tensors.codes["mixing.weight"]
    )


class Stop(Exception):
    """What a user does with a key."""


def test_a_run_that_is_stopped_ends_as_if_it_had_not_been(manifest, digits, tmp_path):
    config, broken = FinetuneConfig(epochs=3, images=200, seed=4), damaged(manifest)
    whole = finetune(broken, digits, config)

    def stop(epoch):
        if epoch.number == 2:
            raise Stop

    kept = tmp_path / "run.safetensors"
    with pytest.raises(Stop):
        finetune(broken, digits, config, kept, on_epoch=stop)
    numbers = []
    resumed = finetune(
        broken, digits, config, kept, on_epoch=lambda epoch: numbers.append(epoch.number)
    )
    assert numbers == [3]
    assert (resumed.before, resumed.best) == (whole.before, whole.best)
    for name, codes in whole.manifest.tensors.codes.items():
        assert np.array_equal(resumed.manifest.tensors.codes[name], codes), name


def test_a_kept_run_is_taken_up_by_its_own_options_only(manifest, digits, tmp_path):
    kept, config = tmp_path / "run.safetensors", FinetuneConfig(epochs=1, images=32)
    finetune(manifest, digits, config, kept)
    before = kept.read_bytes()
    for other, options in (
        (manifest, FinetuneConfig(epochs=2, images=32)),
        (damaged(manifest), config),
    ):
        with pytest.raises(
            SsmHdlError, match="keeps a run from another manifest, with other samples or options"
        ):
            finetune(other, digits, options, kept)
    assert kept.read_bytes() == before
    with safe_open(kept, framework="numpy") as file:
        assert file.metadata().keys() == {"key", "run"}
    kept.write_bytes(before[:100])
    with pytest.raises(SsmHdlError, match="is damaged or not a kept run"):
        finetune(manifest, digits, config, kept)


def test_what_cannot_be_trained_is_said(random_manifest, manifest, digits):
    with pytest.raises(SsmHdlError, match="fine-tuning with learning_rate -1 cannot work"):
        FinetuneConfig(learning_rate=-1)
    with pytest.raises(
        SsmHdlError,
        match="does not put out 10 numbers for each sequence, as the labels of digits need",
    ):
        finetune(random_manifest(classes=3), digits, FinetuneConfig())
    with pytest.raises(
        SsmHdlError, match=r"fine-tuning diverged in epoch 1: .* with a learning_rate below 100"
    ):
        finetune(manifest, digits, FinetuneConfig(epochs=1, learning_rate=100))


def test_progress_is_shown(manifest, digits, capsys):
    finetune(
        manifest, digits, FinetuneConfig(epochs=1, images=16), progress=Console(force_terminal=True)
    )
    assert "epoch 1" in capsys.readouterr().out


def test_the_command(cli, refused, tmp_path):
    words = (
        "finetune",
        ROOT / "manifests" / "digits",
        "--out",
        tmp_path / "qat",
        "--epochs",
        1,
        "--images",
        32,
    )
    done = cli(*words, "--json")
    answer = json.loads(done.out)
    assert done.status == 0 and 0.9 < answer["val_accuracy_before"] <= answer["val_accuracy"]
    assert sorted(path.name for path in (tmp_path / "qat").iterdir()) == [
        "manifest.yaml",
        "weights.safetensors",
    ]
    trained = Manifest.load(tmp_path / "qat").graph.description
    assert trained.endswith("by recipe w8a8; fine-tuned (QAT)")
    refused("--out .*qat/manifest.yaml is a file that", "finetune", tmp_path / "qat",
            "--out", tmp_path / "qat", status=2)  # fmt: skip
    begun = tmp_path / "qat" / "run.safetensors"
    begun.write_bytes(b"a run")
    refused("none", *words, "--again", "--teacher", tmp_path / "none.safetensors")
    refused("none", *words, "--again", "--data", tmp_path / "none.npz")
    assert begun.read_bytes() == b"a run"
    (tmp_path / "there" / "run.safetensors").mkdir(parents=True)
    refused("cannot write .*run.safetensors; choose another place", *words[:3],
            tmp_path / "there", "--again")  # fmt: skip
    refused("there is a folder, not a checkpoint", *words, "--teacher", tmp_path / "there",
            status=2)  # fmt: skip
    refused("learning_rate 0.0 cannot work", *words, "--learning-rate", 0, status=2)
    refused("learning_rate inf cannot work", *words, "--learning-rate", "inf", status=2)
    refused("cannot read|does not exist|no manifest", "finetune", tmp_path / "none")


def test_a_teacher_is_learnt_from_and_labels_are_not(manifest, digits, teacher):
    wrong = replace(digits.train, labels=(digits.train.labels + 1) % 10)
    misled, config = replace(digits, train=wrong), FinetuneConfig(epochs=4, batch_size=32)
    broken, reached = damaged(manifest), []
    for teaches in (teacher, None):
        epochs = []
        before = finetune(broken, misled, config, on_epoch=epochs.append, teacher=teaches).before
        reached.append(epochs[-1].accuracy)
    taught, alone = reached
    assert max(before, alone) < taught


def test_a_run_belongs_to_its_teacher_and_its_samples(manifest, digits, teacher, tmp_path):
    kept, config = tmp_path / "run.safetensors", FinetuneConfig(epochs=1, images=32)
    finetune(manifest, digits, config, kept, teacher=teacher)
    shifted = replace(teacher, inputs=replace(teacher.inputs, mean=(0.1,)))
    other = replace(digits, val=replace(digits.val, labels=digits.val.labels[::-1]))
    for samples, teaches in ((digits, None), (digits, shifted), (other, teacher)):
        with pytest.raises(SsmHdlError, match="manifest, with other samples or options"):
            finetune(manifest, samples, config, kept, teacher=teaches)
    finetune(manifest, digits, config, kept, teacher=teacher)


def test_numbers_that_are_not_finite_train_nothing(manifest, digits, teacher):
    loud = replace(teacher, model=copy.deepcopy(teacher.model))
    torch.nn.init.constant_(loud.model.decoder.weight, 3e38)
    with pytest.raises(SsmHdlError, match="outputs of the teacher digits are not finite numbers"):
        finetune(manifest, digits, FinetuneConfig(images=32), teacher=loud)
    with pytest.raises(SsmHdlError, match="diverged in epoch 1: codes that are not finite"):
        finetune(manifest, digits, FinetuneConfig(images=64, learning_rate=1e308))


def test_a_teacher_of_other_samples_is_refused(manifest, digits, teacher):
    stranger = replace(teacher, inputs=replace(teacher.inputs, classes=7, class_names=()))
    with pytest.raises(SsmHdlError, match="the teacher digits has outputs 7, and digits has 10"):
        finetune(manifest, digits, FinetuneConfig(), teacher=stranger)
    stranger = replace(teacher, inputs=replace(teacher.inputs, scale=(2.0,)))
    with pytest.raises(SsmHdlError, match="the teacher digits has scale"):
        finetune(manifest, digits, FinetuneConfig(), teacher=stranger)
    with pytest.raises(SsmHdlError, match=r"label_smoothing 0.1 is for labels, and a teacher"):
        finetune(manifest, digits, FinetuneConfig(label_smoothing=0.1), teacher=teacher)
