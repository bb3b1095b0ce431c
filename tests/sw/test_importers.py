"""Files of public checkpoints, and those in the minimal S4D layout: imported with their logits, or refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ssm_hdl import SsmHdlError
from ssm_hdl.sw import checkpoint, data, importers

SPEC = data.SPECS["digits"]


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
    imported = importers.load(path, "s4d", SPEC)
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
        ({"s4_layers.0.kernel.C": None}, r"another layout: s4_layers.0.kernel.C is missing, it should have shape \(H, N, 2\)"),
        ({"s4_layers.0.kernel.C": torch.ones(1)}, r"kernel.C has shape \(1,\), it should have shape \(H, N, 2\)"),
        ({"s4_layers.0.kernel.C": torch.ones(4, 3, 1)}, r"kernel.C has shape \(4, 3, 1\), it should have \(4, 3, 2\)"),
        ({"s4_layers.0.kernel.B": torch.ones(4, 3)}, "has s4_layers.0.kernel.B, which"),
        ({"encoder.weight": torch.ones(4, 3)}, r"encoder.weight has shape \(4, 3\), it should have \(4, 1\)"),
        ({"decoder.weight": torch.ones(2, 4)}, r"decoder.weight has shape \(2, 4\), it should have \(10, 4\)"),
        ({"decoder.bias": torch.full((10,), float("inf"))}, "decoder.bias has 10 values that are not finite"),
    ],
)
def test_a_public_checkpoint_that_does_not_fit_is_refused(tmp_path, extra, message):
    state = {name: tensor for name, tensor in (public()[0] | extra).items() if tensor is not None}
    torch.save(state, tmp_path / "public.pt")
    with pytest.raises(SsmHdlError, match=message):
        importers.load(tmp_path / "public.pt", "s4d", SPEC)


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
        importers.load(tmp_path / "evil.pt", "s4d", SPEC)
    assert "run" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"1234", b"PK\x03\x04 cut off", b"\x08\0\0\0\0\0\0\0{"])
@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pt"])
def test_a_damaged_file_is_refused(tmp_path, content, suffix):
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(SsmHdlError, match=r"cannot read .*damaged"):
        importers.load(path, "s4d", SPEC)


def test_a_missing_file_and_an_unknown_layout_and_option_are_refused(tmp_path):
    with pytest.raises(SsmHdlError, match=r"cannot read .*nothing\.pt: No such file"):
        importers.load(tmp_path / "nothing.pt", "s4d", SPEC)
    with pytest.raises(SsmHdlError, match="layout of checkpoints is called 'mamba'; there are s4d, s5-jax, s5-pytorch"):
        importers.load(tmp_path / "nothing.pt", "mamba", SPEC)
    with pytest.raises(SsmHdlError, match="gate half_glu2 is an option of s5-jax; a checkpoint of s5-pytorch leaves no choice"):
        importers.load(tmp_path / "nothing.pt", "s5-pytorch", SPEC, gate="half_glu2")


def test_pickled_arrays_of_numpy_are_refused(tmp_path, capsys):
    np.savez(tmp_path / "evil.npz", evil=np.array([Evil()], dtype=object))
    with pytest.raises(SsmHdlError, match=r"cannot read .* as arrays of numbers"):
        importers.load(tmp_path / "evil.npz", "s5-jax", SPEC)
    assert "run" not in capsys.readouterr().out
