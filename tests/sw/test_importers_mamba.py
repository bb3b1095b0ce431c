"""Public Mambas: the packages themselves beside their imports,
single blocks beside their equations, and what is refused."""

from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ssm_hdl import SsmHdlError
from ssm_hdl.errors import UsageError
from ssm_hdl.sw import checkpoint, data, importers

TEXT = replace(data.SPECS["listops"], tokens=11, classes=11, per_step=True)
NUMBERS = replace(data.SPECS["hapt"], name="numbers", classes=3, per_step=False, class_names=())
WIDTH, INNER, MODES, RANK = 4, 8, 3, 2


def check(path, state, spec, logits, codes, **options):
    """Import a state dict, compare the logits, and reload the checkpoint."""
    save_file(
        {name: tensor.clone().contiguous() for name, tensor in state.items()},
        path / "public.safetensors",
    )
    imported = importers.load(path / "public.safetensors", None, spec, **options)
    with torch.no_grad():
        torch.testing.assert_close(imported.model(codes), logits, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(
            imported.model.forward_recurrent(codes), logits, atol=1e-5, rtol=1e-5
        )
    assert checkpoint.load(imported.save(path / "ours")).model.config == imported.model.config
    return imported.model


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("layout", ["transformers", "mamba_ssm"])
def test_transformers_and_its_import_compute_the_same(tmp_path, tied, layout):
    from transformers import MambaConfig, MambaForCausalLM

    torch.manual_seed(0)
    options = {
        "vocab_size": 11,
        "hidden_size": 8,
        "state_size": 4,
        "num_hidden_layers": 2,
        "tie_word_embeddings": tied,
    }
    theirs = MambaForCausalLM(MambaConfig(**options, initializer_range=0.5)).eval()
    state = theirs.state_dict()
    if layout == "mamba_ssm":
        state["backbone.embedding.weight"] = state.pop("backbone.embeddings.weight")
    elif tied:
        del state["lm_head.weight"]  # as save_pretrained leaves it out
    codes = torch.randint(11, (2, 40))
    with torch.no_grad():
        logits = theirs(codes).logits
    assert check(tmp_path, state, TEXT, logits, codes[..., None]).config.tied == tied


@pytest.mark.parametrize("padded", [11, 16])
def test_mambapy_and_its_import_compute_the_same(tmp_path, padded):
    from mambapy.mamba import Mamba, MambaConfig, RMSNorm

    torch.manual_seed(0)
    parts = {
        "embedding": nn.Embedding(padded, 8),
        "mamba": Mamba(MambaConfig(d_model=8, n_layers=2, d_state=4)),
    }
    parts |= {"norm_f": RMSNorm(8), "lm_head": nn.Linear(8, padded, bias=False)}
    theirs = nn.Sequential(OrderedDict(parts))  # mambapy.lm, whose import needs mamba_ssm
    codes = torch.randint(11, (2, 32))
    with torch.no_grad():
        logits = theirs(codes)[..., :11]
    model = check(tmp_path, theirs.state_dict(), TEXT, logits, codes[..., None])
    assert (model.config.modes, model.config.tied, model.tokens) == (4, False, 11)


def single(norm=False, final=False, **extra):
    """A state dict of one block between ``linear_in`` and ``classifier``,
    6 channels and 3 classes."""
    torch.manual_seed(3)
    shapes = {
        "linear_in.weight": (WIDTH, 6),
        "linear_in.bias": (WIDTH,),
        "classifier.weight": (3, WIDTH),
        "classifier.bias": (3,),
    }
    shapes |= {
        "mamba.in_proj.weight": (2 * INNER, WIDTH),
        "mamba.out_proj.weight": (WIDTH, INNER),
        "mamba.D": (INNER,),
    }
    shapes |= {
        "mamba.conv1d.weight": (INNER, 1, 3),
        "mamba.conv1d.bias": (INNER,),
        "mamba.A_log": (INNER, MODES),
    }
    shapes |= {
        "mamba.x_proj.weight": (RANK + 2 * MODES, INNER),
        "mamba.dt_proj.weight": (INNER, RANK),
    }
    shapes |= {"mamba.dt_proj.bias": (INNER,)}
    shapes |= dict.fromkeys(["norm.weight"] * norm + ["norm_f.weight"] * final, (WIDTH,))
    return {name: torch.randn(shape) / 2 for name, shape in shapes.items()} | extra


def reference(state, x, norm, final, residual):
    """The logits of `single`, step by step in NumPy's double precision."""
    s = {name.removeprefix("mamba."): tensor.double().numpy() for name, tensor in state.items()}

    def rms(u, weight):
        return u / np.sqrt((u * u).mean(-1, keepdims=True) + 1e-5) * weight

    def silu(u):
        return u / (1 + np.exp(-u))

    window, h, outputs = np.zeros((len(x), INNER, 3)), np.zeros((len(x), INNER, MODES)), []
    for t in range(x.shape[1]):
        u = x[:, t].astype(np.float64) @ s["linear_in.weight"].T + s["linear_in.bias"]
        inner, gate = np.split(
            (rms(u, s["norm.weight"]) if norm else u) @ s["in_proj.weight"].T, 2, -1
        )
        window = np.concatenate([window[..., 1:], inner[..., None]], -1)
        active = silu((window * s["conv1d.weight"][:, 0]).sum(-1) + s["conv1d.bias"])
        rank, b, c = np.split(active @ s["x_proj.weight"].T, [RANK, RANK + MODES], -1)
        dt = np.log1p(np.exp(rank @ s["dt_proj.weight"].T + s["dt_proj.bias"]))[..., None]
        h = np.exp(-dt * np.exp(s["A_log"])) * h + dt * active[..., None] * b[:, None]
        y = ((h * c[:, None]).sum(-1) + s["D"] * active) * silu(gate)
        out = y @ s["out_proj.weight"].T + (u if residual else 0)
        outputs.append(rms(out, s["norm_f.weight"]) if final else out)
    return np.mean(outputs, 0) @ s["classifier.weight"].T + s["classifier.bias"]


@pytest.mark.parametrize("residual", ["yes", "no"])
@pytest.mark.parametrize(("norm", "final"), [(False, False), (True, False), (True, True)])
def test_a_single_block_is_imported_with_its_logits(tmp_path, norm, final, residual):
    state, x = single(norm, final), torch.randn(2, 40, 6)
    logits = torch.from_numpy(reference(state, x.numpy(), norm, final, residual == "yes")).float()
    model = check(tmp_path, state, NUMBERS, logits, x, residual=residual, pooling="mean")
    kind = ("rms" if norm else "none", final, residual == "yes", 3)
    assert (
        model.config.norm,
        model.config.final_norm,
        model.config.residual,
        model.config.taps,
    ) == kind


def test_a_bare_a_and_absent_biases_are_taken(tmp_path):
    state, x = single(), torch.randn(2, 40, 6)
    absent = {
        name: torch.zeros_like(state[name])
        for name in ("linear_in.bias", "mamba.conv1d.bias", "classifier.bias")
    }
    logits = torch.from_numpy(reference(state | absent, x.numpy(), False, False, False)).float()
    state["mamba.A"] = -state.pop("mamba.A_log").exp()
    check(
        tmp_path,
        {name: tensor for name, tensor in state.items() if name not in absent},
        NUMBERS,
        logits,
        x,
        residual="no",
        pooling="mean",
    )


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            {"mamba.A_log": torch.ones(2), "mamba.dt_bias": torch.ones(2)},
            r"is a Mamba-2 \(mamba.A_log has one number for each head",
        ),
        (
            {"mamba.A_log": None, "mamba.A": torch.ones(8, 3)},
            "has 24 values of mamba.A that are not below 0",
        ),
        (
            {"mamba.A_b_log": torch.ones(8, 3)},
            r"is bidirectional \(mamba.A_b_log\), so it cannot be streamed",
        ),
        (
            {"mamba_bwd.A_log": torch.ones(8, 3)},
            r"is bidirectional \(mamba_bwd.A_log\), so it cannot be streamed",
        ),
        (
            {"norm.weight": torch.ones(4), "norm.bias": torch.ones(4)},
            "has norm.bias, as a LayerNorm has; a Mamba with RMSNorms",
        ),
        (
            {"mamba.in_proj.bias": torch.ones(16)},
            "has mamba.in_proj.bias, which a model of layout mamba that can be imported",
        ),
        (
            {"mamba.dt_proj.bias": torch.full((8,), torch.inf)},
            "mamba.dt_proj.bias has 8 values that are not finite",
        ),
        (
            {"mamba.A_log": torch.full((8, 3), 200.0)},
            "24 of 24 values of A of layer 0 are not finite",
        ),
        (
            {"mamba.in_proj.weight": torch.ones(16, 3)},
            r"has 8 channels in a block \(mamba.A_log\) of width 3 \(mamba.in_proj\)",
        ),
        ({"mamba.x_proj.weight": None}, r"lacks mamba.x_proj.weight of shape \(8, 8\)"),
        (
            {"classifier.weight": None},
            r"lacks decoder.weight of shape \(3, 4\); if it is there by another name, give --map",
        ),
        (
            {"linear_in.weight": torch.ones(4, 5)},
            r"linear_in.weight has shape \(4, 5\), it should have \(4, 6\)",
        ),
    ],
)
def test_a_public_mamba_that_does_not_fit_is_refused(tmp_path, extra, message):
    save_file(
        {name: tensor for name, tensor in single(**extra).items() if tensor is not None},
        tmp_path / "a.safetensors",
    )
    with pytest.raises(SsmHdlError, match=message):
        importers.load(tmp_path / "a.safetensors", None, NUMBERS, residual="no", pooling="mean")


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("block", ["mixer.", "mamba.", ""])
@pytest.mark.parametrize("norm", ["norm", "ln_1", None])
def test_the_residual_is_asked_for_unless_a_package_has_the_names(tmp_path, layers, block, norm):
    named = {name: t for name, t in single().items() if not name.startswith("mamba.")} | {
        "final_norm.weight": torch.rand(4)
    }
    own = [
        (name.removeprefix("mamba."), t)
        for name, t in single().items()
        if name.startswith("mamba.")
    ]
    for i in range(layers):
        named |= {f"layers.{i}.{block}{name}": t for name, t in own} | (
            {f"layers.{i}.{norm}.weight": torch.rand(4)} if norm else {}
        )
    save_file({name: t.clone() for name, t in named.items()}, tmp_path / "a.safetensors")
    if (block, norm) == ("mixer.", "norm"):
        with pytest.raises(UsageError, match="whose blocks add their inputs; leave --residual out"):
            importers.load(tmp_path / "a.safetensors", None, NUMBERS, residual="no", pooling="mean")
        added, options = True, {"pooling": "mean"}
    else:
        with pytest.raises(
            UsageError,
            match=r"do not tell whether a block adds its input.*; give --residual yes or no",
        ):
            importers.load(tmp_path / "a.safetensors", None, NUMBERS)
        added, options = False, {"residual": "no", "pooling": "mean"}
    config = importers.load(tmp_path / "a.safetensors", None, NUMBERS, **options).model.config
    assert (config.residual, config.norm, config.final_norm, config.layers) == (
        added,
        "rms" if norm else "none",
        True,
        layers,
    )


def test_layers_numbered_from_1_and_their_listed_norms_are_taken(tmp_path):
    rest = {name: t for name, t in single().items() if not name.startswith("mamba.")}
    own = {
        name.replace("mamba.", "layers.{}.mamba."): t
        for name, t in single().items()
        if name.startswith("mamba.")
    }
    numbered = {name.format(i): t.clone() for i in (1, 2) for name, t in own.items()}
    numbered |= {f"norms.{i}.weight": torch.full((4,), float(i)) for i in (1, 2)}
    save_file(rest | numbered, tmp_path / "a.safetensors")
    model = importers.load(
        tmp_path / "a.safetensors", None, NUMBERS, residual="yes", pooling="max"
    ).model
    assert (model.config.layers, model.config.pooling) == (2, "max")
    assert torch.equal(model.blocks[1].norm.weight, torch.full((4,), 2.0))
    with pytest.raises(
        UsageError,
        match=r"do not tell how the steps are pooled; give --pooling mean or last or max$",
    ):
        importers.load(tmp_path / "a.safetensors", None, NUMBERS, residual="yes")


def test_layers_of_which_some_have_a_norm_are_refused(tmp_path):
    numbered = {
        name.replace("mamba.", "layers.0.mixer."): tensor for name, tensor in single().items()
    }
    save_file(
        numbered
        | {"layers.1.mixer.A_log": torch.ones(8, 3), "layers.1.norm.weight": torch.ones(4)},
        tmp_path / "c",
    )
    with pytest.raises(SsmHdlError, match="has 1 norms in 2 blocks"):
        importers.load(tmp_path / "c", None, NUMBERS)


def test_a_vocabulary_that_is_not_the_data_s_is_refused(tmp_path):
    numbered = {
        name.replace("mamba.", "layers.0.mixer."): tensor for name, tensor in single().items()
    }
    numbered |= {"embedding.weight": torch.ones(10, 4), "lm_head.weight": torch.ones(10, 4)}
    save_file(numbered, tmp_path / "a.safetensors")
    with pytest.raises(
        SsmHdlError, match=r"embedding.weight has shape \(10, 4\), it should have \(11, 4\)"
    ):
        importers.load(tmp_path / "a.safetensors", None, TEXT, residual="yes")
