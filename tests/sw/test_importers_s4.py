"""Deep S4D and full S4 of state-spaces/s4: their logits,
and the questions that their arrays leave open."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from public import public
from torch.nn import functional

from ssm_hdl import SsmHdlError
from ssm_hdl.errors import UsageError
from ssm_hdl.sw import checkpoint, data, importers

SPEC = data.SPECS["digits"]
RGB = replace(SPEC, name="rgb", mean=(0.0,) * 3, std=(1.0,) * 3)


def save(tmp_path, state):
    torch.save({"model": state, "acc": 84.0}, tmp_path / "public.pth")
    return tmp_path / "public.pth"


@pytest.mark.parametrize("order", ["prenorm", "postnorm"])
def test_a_model_of_example_py_is_imported_with_its_logits(tmp_path, order):
    state, forward = public(layers=3, channels=3, norm=True)
    imported = importers.load(save(tmp_path, state), None, RGB, norm_order=order)
    x = torch.randn(2, 40, 3)
    with torch.no_grad():
        torch.testing.assert_close(imported.model(x).double(), forward(x, order), atol=1e-4, rtol=0)
        torch.testing.assert_close(
            imported.model.forward_recurrent(x), imported.model(x), atol=1e-4, rtol=0
        )
        loaded = checkpoint.load(imported.save(tmp_path / "ours.safetensors"))
        assert torch.equal(loaded.model(x), imported.model(x))
    assert (loaded.model.config.order, loaded.model.config.layers, loaded.inputs) == (order, 3, RGB)


def test_norms_in_the_blocks_and_over_the_batch_are_read(tmp_path):
    state, forward = public(layers=2, norm=True)
    moved = {
        name.replace("norms.0", "s4_layers.0.norm").replace("norms.1", "s4_layers.1.norm"): t
        for name, t in state.items()
    }
    imported = importers.load(save(tmp_path, moved), None, SPEC, norm_order="prenorm")
    x = torch.randn(2, 20, 1)
    with torch.no_grad():
        torch.testing.assert_close(
            imported.model(x).double(), forward(x, "prenorm"), atol=1e-4, rtol=0
        )
    last = {"final_norm.weight": torch.rand(4), "final_norm.bias": torch.randn(4)}
    found = importers.load(save(tmp_path, moved | last), None, SPEC, norm_order="prenorm").model
    with torch.no_grad():
        end = functional.layer_norm(imported.model.trace(x)["residual_1"], [4], *last.values())
        torch.testing.assert_close(found(x), imported.model.decoder(end.mean(1)), atol=1e-5, rtol=0)
    counted = {
        f"norms.{i}.{name}": torch.rand(4)
        for i in range(2)
        for name in ("running_mean", "running_var")
    }
    counted |= {f"norms.{i}.num_batches_tracked": torch.tensor(9) for i in range(2)}
    assert (
        importers.load(
            save(tmp_path, state | counted), None, SPEC, norm_order="postnorm"
        ).model.config.norm
        == "batch"
    )


def renumbered(state, **first):
    """With layers and norms numbered from other numbers than 0."""
    for name, number in first.items():
        state = {
            re.sub(
                rf"^{name}\.(\d+)", lambda m, n=number: f"{m[0].split('.')[0]}.{int(m[1]) + n}", k
            ): t
            for k, t in state.items()
        }
    return state


@pytest.mark.parametrize(
    "first", [{"s4_layers": 1}, {"s4_layers": 1, "norms": 1}], ids=["layers", "both"]
)
def test_layers_are_numbered_from_0_or_1(tmp_path, first):
    state, forward = public(layers=4, norm=True)
    imported = importers.load(
        save(tmp_path, renumbered(state, **first)), None, SPEC, norm_order="postnorm"
    )
    x = torch.randn(2, 20, 1)
    with torch.no_grad():
        torch.testing.assert_close(
            imported.model(x).double(), forward(x, "postnorm"), atol=1e-4, rtol=1e-4
        )


def test_a_gap_among_the_layers_is_closed_by_map(tmp_path):
    state, _ = public(layers=2)
    gap = {name.replace("s4_layers.1", "s4_layers.2"): tensor for name, tensor in state.items()}
    with pytest.raises(
        SsmHdlError, match=r"layers s4_layers.\[0, 2\]; .* give --map s4_layers.2=s4_layers.1$"
    ):
        importers.load(save(tmp_path, gap), None, SPEC)
    found = importers.load(
        tmp_path / "public.pth", None, SPEC, None, {"s4_layers.2": "s4_layers.1"}
    )
    assert torch.equal(found.model.blocks[1].seq.D, state["s4_layers.1.D"])
    first = {
        name.replace("encoder", "s4_layers.0"): tensor
        for name, tensor in renumbered(state, s4_layers=1).items()
    }
    with pytest.raises(
        SsmHdlError,
        match=r"s4_layers.0.\w+ is of no SSM; if it is the encoder, give --map s4_layers.0=encoder",
    ):
        importers.load(save(tmp_path, first), None, SPEC)
    importers.load(tmp_path / "public.pth", None, SPEC, None, {"s4_layers.0": "encoder"})


def test_an_encoder_and_a_decoder_for_other_samples_say_what_those_have(tmp_path):
    for options, words in (
        ({"channels": 3}, "digits has 1 channel"),
        ({"classes": 4}, "digits has 10 classes"),
    ):
        with pytest.raises(
            SsmHdlError,
            match=f": {words}; give the samples that it was trained on with --inputs or --data",
        ):
            importers.load(save(tmp_path, public(**options)[0]), None, SPEC)


def test_other_names_convolutions_and_missing_biases_are_read(tmp_path):
    state, forward = public(layers=2, channels=3, norm=True)
    bias, names = (
        state.pop("decoder.bias"),
        {
            "encoder": "stem.0",
            "decoder": "head",
            "norms.0": "blocks.0.ln",
            "norms.1": "blocks.1.ln",
        },
    )
    names |= {f"s4_layers.{i}": f"blocks.{i}.s4d" for i in range(2)}
    for old, new in names.items():
        state = {name.replace(old, new): tensor for name, tensor in state.items()}
    state["stem.0.weight"] = state["stem.0.weight"][..., None]
    with pytest.raises(SsmHdlError, match=r"give --map stem\.0=encoder"):
        importers.load(save(tmp_path, state), None, RGB, norm_order="postnorm")
    imported = importers.load(
        tmp_path / "public.pth",
        None,
        RGB,
        None,
        {"stem.0": "encoder", "head": "decoder"},
        norm_order="postnorm",
    )
    x = torch.randn(2, 40, 3)
    with torch.no_grad():
        torch.testing.assert_close(
            imported.model(x).double() + bias, forward(x, "postnorm"), atol=1e-4, rtol=0
        )


VERSIONS = {
    "4": ("layer.kernel", "A_real", "inv_dt", -1, "zoh"),
    "3": ("kernel.kernel", "inv_A_real", "log_dt", 1, "bilinear"),
}


def full_s4(version, copies=4, discretization=None):
    """A state dict of full S4 in mode diag, and its logits by the recurrence,
    written out in NumPy."""
    kernel, real, dt, sign, usual = VERSIONS[version]
    state, _ = public(norm=True, layers=2)
    for name in [name for name in state if ".kernel." in name or name.endswith(".D")]:
        del state[name]
    for i in range(2):
        prefix = f"s4_layers.{i}.{kernel}"
        d = f"s4_layers.{i}.layer.D" if version == "4" else f"s4_layers.{i}.D"
        state |= {d: torch.randn(1, 4), f"{prefix}.C": torch.randn(1, 4, 3, 2)}
        state |= {
            f"{prefix}.{real}": torch.randn(copies, 3),
            f"{prefix}.A_imag": 4 * torch.randn(copies, 3),
        }
        state[f"{prefix}.B"] = (
            torch.randn(1, copies, 3, 2) if version == "4" else torch.randn(copies, 3, 2)
        )
        state[f"{prefix}.{dt}"] = (torch.rand(4, 1) if version == "4" else torch.rand(4)) - 4

    def forward(x):
        s = {name: tensor.double().numpy() for name, tensor in state.items()}
        u = x.double().numpy() @ s["encoder.weight"].T + s["encoder.bias"]
        for i in range(2):
            prefix = f"s4_layers.{i}.{kernel}"
            a = np.tile(
                -np.exp(s[f"{prefix}.{real}"]) + sign * 1j * s[f"{prefix}.A_imag"], (4 // copies, 1)
            )
            b = np.tile((s[f"{prefix}.B"] @ [1, 1j]).reshape(copies, 3), (4 // copies, 1))
            c, step = s[f"{prefix}.C"][0] @ [1, 1j], np.exp(s[f"{prefix}.{dt}"]).reshape(4, 1)
            pole, gain = np.exp(a * step), (np.exp(a * step) - 1) / a
            if (discretization or usual) == "bilinear":
                pole, gain = (1 + a * step / 2) / (1 - a * step / 2), step / (1 - a * step / 2)
            d = s[f"s4_layers.{i}.layer.D" if version == "4" else f"s4_layers.{i}.D"][0]
            h, y = np.zeros((len(u), 4, 3), complex), []
            for t in range(u.shape[1]):
                h = pole * h + gain * b * u[:, t, :, None]
                y.append(2 * (c * h).sum(-1).real + d * u[:, t])
            weight, bias = (
                state[f"s4_layers.{i}.output_linear.0.{part}"].double()
                for part in ("weight", "bias")
            )
            active = functional.gelu(torch.from_numpy(np.stack(y, 1)))
            z = torch.from_numpy(u) + functional.glu(active @ weight[..., 0].T + bias, dim=-1)
            norm = (state[f"norms.{i}.{part}"].double() for part in ("weight", "bias"))
            u = functional.layer_norm(z, [4], *norm).numpy()
        return u.mean(1) @ s["decoder.weight"].T + s["decoder.bias"]

    return state, forward


@pytest.mark.parametrize(
    ("version", "copies", "discretization"),
    [("4", 4, None), ("4", 2, "bilinear"), ("3", 4, None), ("3", 1, "zoh")],
)
def test_full_s4_of_mode_diag_is_imported_with_its_logits(
    tmp_path, version, copies, discretization
):
    state, forward = full_s4(version, copies, discretization)
    options = {"norm_order": "postnorm", "activation": "gelu"} | (
        {"discretization": discretization} if discretization else {}
    )
    imported = importers.load(save(tmp_path, state), None, SPEC, **options)
    x = torch.randn(2, 30, 1)
    with torch.no_grad():
        np.testing.assert_allclose(imported.model(x).numpy(), forward(x), atol=1e-4)


def test_what_cannot_stream_or_is_not_told_is_refused_in_words(tmp_path):
    state, _ = full_s4("4")
    both = state | {"s4_layers.0.layer.kernel.C": torch.ones(2, 4, 3, 2)}
    with pytest.raises(
        SsmHdlError, match=r"is bidirectional, or has several channels .*, so it cannot be streamed"
    ):
        importers.load(save(tmp_path, both), None, SPEC, activation="gelu")
    with pytest.raises(
        UsageError,
        match="do not tell the activation after the SSM; give --activation gelu or gelu_tanh",
    ):
        importers.load(save(tmp_path, state), None, SPEC)
    with pytest.raises(
        UsageError, match=r"whether the norm comes before .*; give --norm-order prenorm or postnorm"
    ):
        importers.load(save(tmp_path, state), None, SPEC, activation="gelu")
    with pytest.raises(
        UsageError, match=r"sandwich is no choice; .* give --norm-order prenorm or postnorm"
    ):
        importers.load(save(tmp_path, state), None, SPEC, activation="gelu", norm_order="sandwich")


@pytest.fixture(params=["mean"])
def labelled(request, tmp_path):
    """A checkpoint, and an .npz file with the labels that it gives by postnorm without
    normalisation, sorted by them."""
    state, forward = public(layers=2, channels=2, classes=3, norm=True)
    random = np.random.default_rng(0)
    x = (random.integers(0, 200, (150, 1, 2)) + random.integers(0, 56, (150, 12, 2))).astype(
        np.uint8
    )
    logits = forward(torch.from_numpy(x / 255), "postnorm", request.param)
    state["decoder.bias"] -= logits.mean(0).float()  # so that all classes occur
    y = (logits - logits.mean(0)).argmax(1).numpy()
    order = np.argsort(y, kind="stable")
    np.savez(
        tmp_path / "mine.npz",
        x=x[order],
        y=y[order],
        split=["train"] * 150,
        format="UQ(0, 8)",
        classes=["a", "b", "c"],
    )
    return save(tmp_path, state), tmp_path / "mine.npz"


def test_the_command_asks_in_one_line_and_exits_with_2(refused, labelled, tmp_path):
    path, mine = labelled
    refused(
        "say what public.pth was trained on: give --inputs digits, mnist", "import", path, status=2
    )
    refused(
        "does not tell its normalisation: give --mean and --std",
        "import",
        path,
        "--inputs",
        mine,
        status=2,
    )
    words = [
        "import",
        path,
        "--inputs",
        mine,
        "--mean",
        0,
        "--std",
        1,
        "--out",
        tmp_path / "ours.safetensors",
    ]
    refused("give --norm-order prenorm or postnorm", *words, status=2)
    refused(
        "--map decoder is not OLD=NEW",
        *words,
        "--norm-order",
        "prenorm",
        "--map",
        "decoder",
        status=2,
    )


def test_the_command_asks_for_all_at_once_and_says_its_pooling(cli, refused, tmp_path):
    words = [
        "import",
        save(tmp_path, full_s4("4")[0]),
        "--inputs",
        "digits",
        "--out",
        tmp_path / "ours.safetensors",
    ]
    told = (
        "--activation gelu or gelu_tanh, --norm-order prenorm or postnorm, "
        "or labelled samples to measure it with"
    )
    refused(
        f"do not tell the activation after the SSM, and whether .*; give {told}", *words, status=2
    )
    words += ["--activation", "gelu", "--norm-order", "postnorm"]
    for given, said in (((), True), (("--pooling", "last"), False)):
        done = cli(*words, *given)
        assert done.status == 0, done.err
        assert ("pooling: mean; give --pooling last or max" in " ".join(done.err.split())) == said


@pytest.mark.parametrize("labelled", ["mean", "last", "max"], indirect=True)
def test_the_command_measures_the_readings_on_labelled_samples(cli, labelled, tmp_path, request):
    path, mine = labelled
    done = cli("import", path, "--data", mine, "--out", tmp_path / "ours.safetensors", "--json")
    assert done.status == 0, done.err
    answer = json.loads(done.out)
    best, *others = answer["readings"]
    assert (best["norm_order"], best["normalisation"], best["accuracy"]) == (
        "postnorm",
        "none",
        1.0,
    )
    assert best["pooling"] == answer["pooling"] == request.node.callspec.params["labelled"]
    assert len(others) == 17 and max(other["accuracy"] for other in others) < 1.0
    assert {other["samples"] for other in others} <= {100, 150} and others[-1]["samples"] == 100
    assert (
        checkpoint.load(tmp_path / "ours.safetensors").model.config.order
        == answer["order"]
        == "postnorm"
    )
    assert answer["mean"] == [0.0, 0.0]
