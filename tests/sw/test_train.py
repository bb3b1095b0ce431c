"""Training: it learns, is repeatable, and reports errors."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console

from ssm_hdl import SsmHdlError
from ssm_hdl.errors import UsageError
from ssm_hdl.sw import data
from ssm_hdl.sw.models.s4d import S4DConfig
from ssm_hdl.sw.models.s5 import S5Config
from ssm_hdl.sw.presets import PRESETS, preset
from ssm_hdl.sw.train import accuracy, logits, rotated, tensors, train
from ssm_hdl.sw.train_config import change

TINY = replace(PRESETS["digits"], model=S4DConfig(width=4, modes=4, dt_range=(1e-2, 1.0)), epochs=8)


def test_the_presets_are_listed(cli):
    done = cli("train", "--presets")
    assert done.status == 0 and [line.split()[0] for line in done.out.splitlines()[2:]] == list(
        PRESETS
    )
    assert [
        row["preset"] for row in json.loads(cli("train", "--presets", "--json").out)["presets"]
    ] == list(PRESETS)


def test_a_short_training_improves_and_repeats_bit_by_bit(digits):
    epochs = []
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    console = Console(file=terminal, width=100)
    first = train(digits, TINY, progress=console, on_epoch=epochs.append)
    second = train(digits, TINY)
    assert [epoch.number for epoch in epochs] == list(range(1, 9))
    assert epochs[-1].loss < epochs[0].loss - 0.2
    assert epochs[-1].best == max(epoch.accuracy for epoch in epochs) > 0.2
    assert "epoch 8" in terminal.getvalue()
    states = first.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert first.metadata == second.metadata


def test_the_best_epoch_is_kept_and_described(digits):
    checkpoint = train(
        digits, replace(TINY, epochs=2, seed=3), command="ssm-hdl train digits --seed 3"
    )
    assert checkpoint.inputs == digits.spec
    assert checkpoint.metadata == {
        "name": "digits",
        "accuracy": f"{accuracy(checkpoint.model, digits, digits.test):.4f}",
        "val_accuracy": f"{accuracy(checkpoint.model, digits, digits.val):.4f}",
        "command": "ssm-hdl train digits --seed 3",
        "seed": "3",
    }


@pytest.mark.parametrize(
    "option",
    ["dropout=2", "dropout=nan", "epsilon=0", "width=100000000", "layers=5000", "hidden=-1"],
)
def test_an_option_out_of_its_range_is_refused(option):
    with pytest.raises(UsageError, match=f"--set {option}: must be (at most|at least|less|more)"):
        change(PRESETS["small"], [option])


def test_another_seed_is_another_training(digits):
    first, second = (train(digits, replace(TINY, epochs=1, seed=seed)).model for seed in (0, 1))
    assert not torch.equal(first.encoder.weight, second.encoder.weight)


def test_training_uses_the_threads_of_its_configuration_and_gives_them_back(digits):
    before, during = torch.get_num_threads(), []
    train(
        digits,
        replace(TINY, epochs=1, threads=3),
        on_epoch=lambda epoch: during.append(torch.get_num_threads()),
    )
    assert (during, torch.get_num_threads()) == ([3], before)


def test_training_leaves_the_global_random_state_alone(digits):
    state = torch.get_rng_state()
    train(digits, replace(TINY, epochs=1))
    assert torch.equal(torch.get_rng_state(), state)


def test_logits_do_not_depend_on_the_batch(digits):
    model = train(digits, replace(TINY, epochs=1)).model
    inputs, labels = tensors(digits, digits.val)
    torch.testing.assert_close(
        logits(model, inputs, batch_size=7), logits(model, inputs), atol=1e-5, rtol=0
    )
    expected = np.mean(logits(model, inputs).argmax(1).numpy() == labels.numpy())
    assert accuracy(model, digits, digits.val) == expected


def test_a_set_without_validation_samples_is_refused(digits):
    with pytest.raises(
        SsmHdlError, match="the validation part of digits has no sample with a label"
    ):
        train(replace(digits, val=digits.val.head(0)), TINY)


def test_a_diverging_training_is_stopped(digits):
    with pytest.raises(
        SsmHdlError, match=r"training digits diverged in epoch 1 \(loss .*lower learning_rate"
    ):
        train(digits, replace(TINY, learning_rate=1e30))


def test_bad_requests_are_refused(digits):
    with pytest.raises(SsmHdlError, match="'s4d-16'; there are digits, s4d-16h"):
        preset("s4d-16")
    with pytest.raises(SsmHdlError, match="epochs 0 cannot work"):
        replace(TINY, epochs=0)
    with pytest.raises(SsmHdlError, match="learning_rate nan"):
        replace(TINY, learning_rate=float("nan"))
    with pytest.raises(SsmHdlError, match="s4d-16h is trained on mnist, not on digits"):
        train(digits, preset("s4d-16h"))


def test_an_s5_is_trained_and_repeats_bit_by_bit_with_its_dropout(digits):
    model = S5Config(width=6, modes=4, layers=2, norm="batch", dropout=0.1, dt_range=(1e-2, 1.0))
    config = replace(PRESETS["s5-digits"], model=model, epochs=4)
    epochs = []
    first, second = train(digits, config, on_epoch=epochs.append), train(digits, config)
    assert epochs[-1].loss < epochs[0].loss - 0.2
    states = first.model.state_dict(), second.model.state_dict()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not first.model.training
    assert first.metadata["accuracy"] == f"{accuracy(first.model, digits, digits.test):.4f}"


def test_the_dynamics_are_slower_and_do_not_decay(digits):
    config = replace(PRESETS["s5-digits"], epochs=1, weight_decay=0.5)
    before = {name: value.clone() for name, value in untrained(digits, config).named_parameters()}
    after = dict(train(digits, replace(config, ssm_learning_rate=1e-9)).model.named_parameters())
    slow = {name for name in before if torch.allclose(before[name], after[name], atol=1e-6)}
    assert slow == {
        f"layers.{i}.seq.{name}"
        for i in range(2)
        for name in ("Lambda_re", "Lambda_im", "B", "log_step")
    }


def untrained(dataset, config):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return config.model.build(dataset)


def test_an_s4d_is_not_trained_on_tokens(digits):
    with pytest.raises(SsmHdlError, match="digits differs; train a deep S4D or an S5"):
        train(replace(digits, tokens=32), TINY)


def test_the_commands_take_an_s5_and_say_what_they_cannot(cli, refused, tmp_path):
    path = tmp_path / "s5.safetensors"
    trained = json.loads(cli("train", "s5-digits", "--epochs", 1, "--out", path, "--json").out)
    assert (trained["model"], trained["layers"], trained["command"]) == (
        "s5",
        2,
        "ssm-hdl train s5-digits --epochs 1",
    )
    assert json.loads(cli("eval", path, "--json").out)["accuracy"] == pytest.approx(
        trained["accuracy"], abs=1e-4
    )
    info = json.loads(cli("info", path, "--json").out)
    assert (info["model"], info["modes"], info["norm"]) == ("s5", 8, "layer")
    few = tmp_path / "few.yaml"
    few.write_text("samples: 16\n")
    quantized = json.loads(
        cli("quantize", path, "--recipe", few, "--out", tmp_path / "manifest", "--json").out
    )
    assert {"norm_0", "drive_1", "residual_1", "decoder"} <= quantized["edges"].keys()
    refused(
        "torch cannot use the device 'abacus'.*leave --device out",
        "train",
        "s5-digits",
        "--device",
        "abacus",
        "--out",
        path,
        status=2,
    )


def test_rotated_sequences_are_those_of_a_sensor_worn_in_another_way():
    spec = replace(
        data.SPECS["hapt"], mean=(1.0, -2.0, 3.0, 0.5, 0.0, 1.0), std=(2.0, 1.0, 0.5, 3.0, 1.0, 1.0)
    )
    mean, std = torch.tensor(spec.mean), torch.tensor(spec.std)
    inputs = torch.randn(4, 50, 6)
    before, after = (
        (x * std + mean).unflatten(-1, (2, 3)) for x in (inputs, rotated(inputs, spec, 0.3))
    )
    torch.testing.assert_close(after.norm(dim=-1), before.norm(dim=-1))
    torch.testing.assert_close(
        (after[:, :, 0] * after[:, :, 1]).sum(-1), (before[:, :, 0] * before[:, :, 1]).sum(-1)
    )
    assert (after - before).abs().amax((1, 2, 3)).min() > 0.05
    torch.testing.assert_close(
        torch.linalg.det(after[:, :3, 0]), torch.linalg.det(before[:, :3, 0]), rtol=1e-3, atol=1e-3
    )
    assert rotated(inputs, spec, 0) is inputs
    with pytest.raises(
        SsmHdlError,
        match="hapt has 4 channels, which are no vectors of three axes; choose another preset",
    ):
        rotated(inputs[..., :4], spec, 0.3)
