"""Checkpoints: written and read back, and refused when they do not fit."""

from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ssm_hdl import SsmHdlError
from ssm_hdl.sw import checkpoint, data
from ssm_hdl.sw.models.s4d import S4D
from ssm_hdl.sw.models.s5 import S5Config
from ssm_hdl.sw.models.stack import Stack as S5

SPEC = data.SPECS["digits"]


@pytest.fixture
def saved(tmp_path):
    """A checkpoint, and its file."""
    torch.manual_seed(4)
    original = checkpoint.Checkpoint(
        S4D(4, 3), SPEC, {"name": "test", "accuracy": "0.5", "command": "none", "seed": "4"}
    )
    return original, original.save(tmp_path / "folder" / "test.safetensors")


def change(path, tensors=None, **metadata):
    """Write the file again with other tensors (None: without that one) and other metadata."""
    with safe_open(path, framework="pt") as file:
        header = file.metadata() | metadata
    merged = load_file(path) | (tensors or {})
    kept = {name: tensor for name, tensor in merged.items() if tensor is not None}
    save_file(kept, path, {key: value for key, value in header.items() if value is not None})


def test_a_checkpoint_survives_its_file(saved):
    original, path = saved
    loaded = checkpoint.load(path)
    assert loaded.inputs == original.inputs
    assert loaded.metadata == original.metadata
    x = torch.randn(2, 64, 1)
    assert torch.equal(loaded.model(x), original.model(x))
    assert all(parameter.requires_grad for parameter in loaded.model.parameters())


@pytest.mark.parametrize("tokens", [0, 16])
def test_an_s5_survives_its_file_with_all_its_options(tmp_path, tokens):
    torch.manual_seed(4)
    config = S5Config(
        width=4,
        modes=3,
        layers=2,
        norm="batch",
        gate="none",
        gelu="erf",
        skip="norm",
        hidden=5,
        clip=False,
    )
    config = config.model_copy(
        update={"discretization": "bilinear", "epsilon": 1e-5, "blocks": 3, "dropout": 0.5}
    )
    inputs = replace(SPEC, tokens=tokens)
    model = S5(config, SPEC.classes, tokens)
    x = torch.randint(0, tokens, (2, 64, 1)) if tokens else torch.randn(2, 64, 1)
    model.train()(x)
    loaded = checkpoint.load(
        checkpoint.Checkpoint(model.eval(), inputs, {"name": "a"}).save(tmp_path / "a.safetensors")
    )
    assert (loaded.inputs, loaded.metadata) == (inputs, {"name": "a"})
    assert loaded.model.config == config.model_copy(update={"blocks": 1, "dropout": 0.0})
    assert torch.equal(loaded.model(x), model(x))


def test_a_model_of_another_family_is_refused(saved):
    assert saved[0].require(S4D) is saved[0].model
    with pytest.raises(SsmHdlError, match="test is an S4D; this is for models of Stack"):
        saved[0].require(S5)


def test_the_same_checkpoint_is_the_same_file(saved, tmp_path):
    path = saved[1]
    assert checkpoint.load(path).save(tmp_path / "again").read_bytes() == path.read_bytes()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def nan_c():
    tensor = torch.zeros(4, 3, 2)
    tensor[1, 1, 1] = float("nan")
    return tensor


@pytest.mark.parametrize(
    ("tensors", "metadata", "message"),
    [
        ({"s4_layers.0.D": None}, {}, r"lacks the tensor s4_layers.0.D of shape \(4,\)"),
        (
            {"encoder.weight": torch.zeros(4, 2)},
            {},
            r"encoder.weight has shape \(4, 2\).* has \(4, 1\)",
        ),
        ({"s4_layers.0.kernel.C": nan_c()}, {}, "kernel.C has 1 values that are not finite"),
        ({"encoder.bias": torch.zeros(4, dtype=torch.int32)}, {}, "encoder.bias is torch.int32"),
        ({"dropout": torch.zeros(1)}, {}, "has a tensor dropout, which"),
        ({}, {"width": "5"}, "has shape"),
        ({}, {"width": "wide"}, r"damaged metadata: .*'wide'"),
        ({}, {"width": "0"}, "width 0 is empty"),
        ({}, {"inputs.mean": None}, "lacks 'inputs.mean' in its metadata"),
        ({}, {"inputs.input_format": "float"}, "'float' is not a format"),
        ({}, {"schema": "2"}, "schema 2, model s4d; this version reads schema 1"),
        ({}, {"model": "lstm"}, "schema 1, model lstm; .* model s4d or s4d_deep or s5"),
        ({}, {"schema": None}, "is not a checkpoint of ssm-hdl"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(saved, tensors, metadata, message):
    change(saved[1], tensors, **metadata)
    with pytest.raises(SsmHdlError, match=message):
        checkpoint.load(saved[1])


@pytest.mark.parametrize("size", [0, 4, 100, -1])
def test_a_truncated_file_is_refused(saved, size):
    saved[1].write_bytes(saved[1].read_bytes()[:size])
    with pytest.raises(SsmHdlError, match="cannot read"):
        checkpoint.load(saved[1])


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(SsmHdlError, match=r"nothing\.safetensors does not exist; `ssm-hdl train`"):
        checkpoint.load(tmp_path / "nothing.safetensors")
