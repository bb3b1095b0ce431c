"""Checkpoints: written and read back, imported from the minimal S4D layout, and refused when they do not fit."""

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from ssm_hdl import SsmHdlError
from ssm_hdl.sw import checkpoint, data
from ssm_hdl.sw.models.s4d import S4D

SPEC = data.SPECS["digits"]


@pytest.fixture
def saved(tmp_path):
    """A checkpoint, and its file."""
    torch.manual_seed(4)
    original = checkpoint.Checkpoint(S4D(4, 3), SPEC, {"name": "test", "accuracy": "0.5", "command": "none", "seed": "4"})
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
        ({"encoder.weight": torch.zeros(4, 2)}, {}, r"encoder.weight has shape \(4, 2\).* has \(4, 1\)"),
        ({"s4_layers.0.kernel.C": nan_c()}, {}, "kernel.C has 1 values that are not finite"),
        ({"encoder.bias": torch.zeros(4, dtype=torch.int32)}, {}, "encoder.bias is torch.int32"),
        ({"dropout": torch.zeros(1)}, {}, "has a tensor dropout, which"),
        ({}, {"width": "5"}, "has shape"),
        ({}, {"width": "wide"}, r"damaged metadata: .*'wide'"),
        ({}, {"width": "0"}, "width 0 is empty"),
        ({}, {"inputs.mean": None}, "lacks 'inputs.mean' in its metadata"),
        ({}, {"inputs.input_format": "float"}, "'float' is not a format"),
        ({}, {"schema": "2"}, "schema 2, model s4d; this version reads schema 1"),
        ({}, {"model": "s5"}, "schema 1, model s5"),
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
    for read in (checkpoint.load, lambda path: checkpoint.import_s4d(path, SPEC)):
        with pytest.raises(SsmHdlError, match="cannot read"):
            read(saved[1])


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(SsmHdlError, match=r"cannot read .*nothing\.safetensors"):
        checkpoint.load(tmp_path / "nothing.safetensors")
    with pytest.raises(SsmHdlError, match=r"cannot read .*nothing\.pt: No such file"):
        checkpoint.import_s4d(tmp_path / "nothing.pt", SPEC)


def public(width=4, modes=3, classes=10):
    """A state dict in the minimal S4D layout, and its logits as a function written out without our model."""
    torch.manual_seed(5)
    state = {
        "encoder.weight": torch.randn(width, 1),
        "encoder.bias": torch.randn(width),
        "s4_layers.0.D": torch.randn(width),
        "s4_layers.0.kernel.C": torch.randn(width, modes, 2),
        "s4_layers.0.kernel.log_dt": torch.rand(width) - 4,
        "s4_layers.0.kernel.log_A_real": torch.randn(width, modes),
        "s4_layers.0.kernel.A_imag": torch.randn(width, modes) * 4,
        "s4_layers.0.output_linear.0.weight": torch.randn(2 * width, width, 1),
        "s4_layers.0.output_linear.0.bias": torch.randn(2 * width),
        "decoder.weight": torch.randn(classes, width),
        "decoder.bias": torch.randn(classes),
    }
    s = {name.removeprefix("s4_layers.0.").removeprefix("kernel."): tensor.double() for name, tensor in state.items()}

    def forward(x):
        steps = x.shape[1]
        u = x.double() @ s["encoder.weight"].T + s["encoder.bias"]
        a = -s["log_A_real"].exp() + 1j * s["A_imag"]
        dt_a = a * s["log_dt"].exp()[:, None]
        c = torch.view_as_complex(s["C"]) * (dt_a.exp() - 1) / a
        kernel = 2 * torch.einsum("hn,hnl->hl", c, (dt_a[..., None] * torch.arange(steps)).exp()).real
        y = torch.stack([(u[:, : t + 1].flip(1) * kernel.T[: t + 1]).sum(1) for t in range(steps)], 1) + u * s["D"]
        y = nn.functional.gelu(y) @ s["output_linear.0.weight"][..., 0].T + s["output_linear.0.bias"]
        return (u + nn.functional.glu(y, dim=-1)).mean(1) @ s["decoder.weight"].T + s["decoder.bias"]

    return state, forward


@pytest.mark.parametrize("kind", ["safetensors", "torch", "nested", "parallel", "double"])
def test_a_public_checkpoint_is_imported_with_its_logits(tmp_path, kind):
    state, forward = public()
    path = tmp_path / "public.bin"
    written = {
        "safetensors": state,
        "torch": state,
        "nested": {"model": state, "acc": 97.0, "epoch": 3},
        "parallel": {f"module.{name}": tensor for name, tensor in state.items()},
        "double": {name: tensor.double() for name, tensor in state.items()},
    }[kind]
    if kind == "safetensors":
        save_file(written, path)
    else:
        torch.save(written, path)
    imported = checkpoint.import_s4d(path, SPEC)
    assert (imported.model.width, imported.model.modes, imported.metadata["name"]) == (4, 3, "public")
    x = torch.randn(2, 20, 1)
    with torch.no_grad():
        torch.testing.assert_close(imported.model(x).double(), forward(x), atol=1e-5, rtol=1e-5)
    assert checkpoint.load(imported.save(tmp_path / "ours")).inputs == SPEC


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"norms.0.weight": torch.ones(4)}, r"has a norm \(norms.0.weight\); the S4D of the paper has none"),
        ({"s4_layers.1.D": torch.ones(4)}, r"more than one layer \(s4_layers.1.D\)"),
        ({"s4_layers.0.kernel.C": None}, "is not a minimal S4D: s4_layers.0.kernel.C is missing"),
        ({"s4_layers.0.kernel.C": torch.ones(1)}, r"kernel.C has shape \(1,\), it should have shape \(H, N, 2\)"),
        ({"s4_layers.0.kernel.C": torch.ones(4, 3, 1)}, r"kernel.C has shape \(4, 3, 1\);"),
        ({"s4_layers.0.kernel.B": torch.ones(4, 3)}, "has a tensor s4_layers.0.kernel.B"),
        ({"encoder.weight": torch.ones(4, 3)}, r"encoder.weight has shape \(4, 3\);.* 1 input"),
        ({"decoder.weight": torch.ones(2, 4)}, r"decoder.weight has shape \(2, 4\);.* 10 classes"),
        ({"decoder.bias": torch.full((10,), float("inf"))}, "decoder.bias has 10 values that are not finite"),
    ],
)
def test_a_public_checkpoint_that_does_not_fit_is_refused(tmp_path, extra, message):
    state = {name: tensor for name, tensor in (public()[0] | extra).items() if tensor is not None}
    torch.save(state, tmp_path / "public.pt")
    with pytest.raises(SsmHdlError, match=message):
        checkpoint.import_s4d(tmp_path / "public.pt", SPEC)


class Evil:
    """A pickle that would run code."""

    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Evil(), "as safetensors or as a torch state dict"),
        ([1], "holds no state dict"),
        ({"a": 1}, "holds no state dict"),
    ],
)
def test_a_torch_file_that_is_no_state_dict_is_refused_and_not_run(tmp_path, capsys, content, message):
    torch.save(content, tmp_path / "evil.pt")
    with pytest.raises(SsmHdlError, match=message):
        checkpoint.import_s4d(tmp_path / "evil.pt", SPEC)
    assert "run" not in capsys.readouterr().out
