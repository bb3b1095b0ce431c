"""Mamba: the scan against its definition, the step against the sequence,
and what a checkpoint holds."""

import math
from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from ssm_hdl import SsmHdlError
from ssm_hdl.errors import UsageError
from ssm_hdl.sw import checkpoint, data
from ssm_hdl.sw.models.mamba import Mamba, MambaConfig
from ssm_hdl.sw.models.selective import readout, select, states
from ssm_hdl.sw.models.selective_kernels import CHUNK

SMALL = {"width": 6, "layers": 2, "modes": 3}
TEXT = replace(data.SPECS["listops"], tokens=11, classes=11, per_step=True)


def make(dtype=torch.float64, classes=4, **options):
    torch.manual_seed(0)
    return Mamba(MambaConfig(**SMALL | options), classes=classes, channels=2).to(dtype).eval()


@pytest.mark.parametrize("steps", [1, CHUNK, CHUNK + 5, 2 * CHUNK])
def test_the_compiled_scan_and_its_gradients_are_those_of_the_loop(steps):
    torch.manual_seed(0)
    dt, v, b, c = (torch.randn(3, steps, size) for size in (20, 20, 5, 5))
    arguments = [functional.softplus(dt - 2), -torch.rand(20, 5) * 8 - 0.01, v, b, c]
    arguments[0][0, 0] = 300.0  # exp of it is below the smallest float
    ours = [one.clone().requires_grad_() for one in arguments]
    double = [one.double().requires_grad_() for one in arguments]
    y, wanted, weight = (
        select(*ours),
        readout(states(*double[:4]), double[4]),
        torch.randn(3, steps, 20),
    )
    torch.testing.assert_close(y.double(), wanted, atol=1e-5, rtol=1e-5)
    (y * weight).sum().backward()
    (wanted * weight).sum().backward()
    for one, other in zip(ours, double, strict=True):
        torch.testing.assert_close(one.grad.double(), other.grad, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"norm": "none", "residual": False, "final_norm": False},
        {"expand": 3, "rank": 2, "taps": 2, "pooling": "last"},
    ],
)
def test_step_by_step_equals_the_sequence(options):
    model, x = make(**options), torch.randn(2, 19, 2, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(model(x), model.forward_recurrent(x), atol=1e-12, rtol=0)
        single = make(torch.float32, **options)
        torch.testing.assert_close(
            single(x.float()), single.forward_recurrent(x.float()), atol=1e-5, rtol=1e-5
        )


def test_a_block_is_its_equations():
    model = make(layers=1)
    taps, mixer = model.trace(torch.randn(2, 9, 2, dtype=torch.float64)), model.blocks[0].mixer
    taps = {name.removesuffix("_0"): value for name, value in taps.items()}
    x = taps["encoder"]
    close = torch.testing.assert_close
    close(
        taps["norm"],
        (
            x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * model.blocks[0].norm.weight
        ).detach(),
    )
    close(
        torch.cat([taps["inner"], taps["gate"]], -1),
        (taps["norm"] @ mixer.in_proj.weight.mT).detach(),
    )
    conv1d = functional.conv1d(
        taps["inner"].mT, mixer.conv1d.weight, mixer.conv1d.bias, padding=3, groups=12
    )
    close(taps["conv"], conv1d[..., :9].mT.detach())
    close(taps["active"], taps["conv"] * torch.sigmoid(taps["conv"]))
    close(
        torch.cat([taps["rank"], taps["b"], taps["c"]], -1),
        (taps["active"] @ mixer.x_proj.weight.mT).detach(),
    )
    close(
        taps["step"],
        functional.softplus(taps["rank"] @ mixer.dt_proj.weight.mT + mixer.dt_proj.bias).detach(),
    )
    close(taps["rate"], torch.log2(taps["step"] * math.log2(math.e)))
    close(taps["drive"], taps["step"] * taps["active"])
    h = torch.zeros(2, 12, 3, dtype=torch.float64)
    for t in range(9):
        h = torch.exp(taps["step"][:, t, :, None] * -mixer.A_log.exp()) * h
        h = (h + taps["drive"][:, t, :, None] * taps["b"][:, t, None]).detach()
        close(taps["state"][:, t], h)
        close(taps["scan"][:, t], (taps["c"][:, t, None] * h).sum(-1))
    close(taps["sum"], (taps["scan"] + mixer.D * taps["active"]).detach())
    close(taps["gated"], taps["sum"] * taps["gate"] * torch.sigmoid(taps["gate"]))
    close(taps["residual"], (x + taps["gated"] @ mixer.out_proj.weight.mT).detach())
    assert list(taps)[-4:] == ["residual", "norm_f", "pool", "decoder"]


def test_a_tap_can_replace_an_activation():
    model, x = make(torch.float32), torch.randn(2, 9, 2)
    with torch.no_grad():
        torch.testing.assert_close(
            model(x, lambda name, value: value), model(x), atol=1e-5, rtol=1e-5
        )
        cut = model(x, lambda name, value: value * 0 if name == "norm_f" else value)
    torch.testing.assert_close(cut, model.decoder.bias.detach().expand(2, 4))


def test_initialisation_is_that_of_mamba_ssm():
    mixer = Mamba(MambaConfig(width=64, dt_range=(0.01, 0.1))).blocks[0].mixer
    assert torch.equal(mixer.A_log, torch.log(torch.arange(1.0, 17)).repeat(128, 1))
    assert torch.equal(mixer.D, torch.ones(128))
    dt = functional.softplus(mixer.dt_proj.bias)
    assert ((dt > 0.0099) & (dt < 0.1001)).all() and mixer.dt_proj.weight.shape == (128, 4)


@pytest.mark.parametrize("tied", [False, True])
def test_a_checkpoint_holds_a_language_model_and_a_tied_table_once(tmp_path, tied):
    model = MambaConfig(**SMALL, tied=tied).build(TEXT).eval()
    checkpoint.Checkpoint(model, TEXT, {"name": "m"}).save(tmp_path / "m.safetensors")
    loaded = checkpoint.load(tmp_path / "m.safetensors").model
    x = torch.arange(11).view(1, 11, 1)
    with torch.no_grad():
        assert torch.equal(model(x), loaded(x)) and model(x).shape == (1, 11, 11)
        assert torch.equal(loaded.decoder.weight, loaded.encoder.weight) == tied
    assert ("decoder.weight" in loaded.state_dict()) == (not tied)


def test_the_text_model_has_the_products_that_are_published():
    """Counted by reference equations: 3 E D + E (R + 2 N) + R E + K E + alpha E N
    weights of a block."""
    mixer = Mamba(MambaConfig(width=64, layers=2), classes=73, tokens=73).blocks[0].mixer
    assert (
        sum(p.numel() for p in mixer.parameters())
        == 3 * 128 * 64 + 128 * 36 + 4 * 128 + 4 * 128 + 128 * 16 + 3 * 128
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "a Mamba of width 0 is empty"),
        ({"taps": 0}, "taps 0 is empty"),
        ({"dt_range": (0.0, 1.0)}, r"dt cannot be drawn from \(0.0, 1.0\)"),
    ],
)
def test_impossible_models_are_refused(options, message):
    with pytest.raises(SsmHdlError, match=message):
        Mamba(MambaConfig(**SMALL | options))


def test_a_tied_model_needs_as_many_outputs_as_tokens():
    with pytest.raises(
        UsageError, match="listops has 16 tokens and 10 outputs; a tied decoder needs equally many"
    ):
        MambaConfig(**SMALL, tied=True).build(data.SPECS["listops"])
