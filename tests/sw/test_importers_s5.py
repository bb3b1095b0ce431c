"""S5 checkpoints of the JAX code and of s5-pytorch, imported beside NumPy and the real package."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ssm_hdl import SsmHdlError
from ssm_hdl.errors import UsageError
from ssm_hdl.sw import checkpoint, data, importers

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it calls torch.jit.script
    from s5 import S5Block

SPEC = data.SPECS["digits"]
TOKENS = replace(SPEC, tokens=7)


def jax_tree(width=4, modes=3, layers=2, classes=10, inward=1, norm="layer_bias", outs=("out2",)):
    """A flattened tree of the JAX code with random arrays."""
    random = np.random.default_rng(0)

    def normal(*shape):
        return random.normal(size=shape).astype(np.float32)

    tree = {
        "params/encoder/encoder/kernel": normal(inward, width),
        "params/encoder/encoder/bias": normal(width),
    }
    tree |= {
        "params/decoder/kernel": normal(width, classes),
        "params/decoder/bias": normal(classes),
    }
    for i in range(layers):
        layer = f"params/encoder/layers_{i}"
        tree |= {
            f"{layer}/seq/Lambda_re": -np.abs(normal(modes)),
            f"{layer}/seq/Lambda_im": 5 * normal(modes),
        }
        tree |= {
            f"{layer}/seq/B": normal(modes, width, 2),
            f"{layer}/seq/C": normal(width, modes, 2),
        }
        tree |= {
            f"{layer}/seq/D": normal(width),
            f"{layer}/seq/log_step": normal(modes, 1) - 3,
            f"{layer}/norm/scale": normal(width),
        }
        if norm != "layer":
            tree[f"{layer}/norm/bias"] = normal(width)
        if norm == "batch":
            statistics = f"batch_stats/encoder/layers_{i}/norm"
            tree |= {
                f"{statistics}/mean": normal(width),
                f"{statistics}/var": np.abs(normal(width)),
            }
        for out in outs:
            tree |= {
                f"{layer}/{out}/kernel": normal(width, width),
                f"{layer}/{out}/bias": normal(width),
            }
    return tree


def jax_logits(tree, x, gate, discretization, clip):
    """The JAX model written out in NumPy, step by step; x (L, inward),
    numbers or one-hot tokens."""
    t = {name.split("/", 1)[1]: array.astype(np.float64) for name, array in tree.items()}

    def dense(name, value):
        return value @ t[f"{name}/kernel"] + t[f"{name}/bias"]

    def complex_of(name):
        return t[name][..., 0] + 1j * t[name][..., 1]

    x = dense("encoder/encoder", x)
    for i in range(2):
        layer = f"encoder/layers_{i}"
        if f"{layer}/norm/mean" in t:
            u = (x - t[f"{layer}/norm/mean"]) / np.sqrt(t[f"{layer}/norm/var"] + 1e-5)
        else:
            u = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-6)
        u = u * t[f"{layer}/norm/scale"] + t.get(f"{layer}/norm/bias", 0)
        real = (
            np.minimum(t[f"{layer}/seq/Lambda_re"], -1e-4) if clip else t[f"{layer}/seq/Lambda_re"]
        )
        a, dt = real + 1j * t[f"{layer}/seq/Lambda_im"], np.exp(t[f"{layer}/seq/log_step"][:, 0])
        if discretization == "zoh":
            a_bar, gain = np.exp(a * dt), (np.exp(a * dt) - 1) / a
        else:
            a_bar, gain = (1 + a * dt / 2) / (1 - a * dt / 2), dt / (1 - a * dt / 2)
        h, y = 0, []
        for step in u:
            h = a_bar * h + gain * (complex_of(f"{layer}/seq/B") @ step)
            y.append(2 * (complex_of(f"{layer}/seq/C") @ h).real + t[f"{layer}/seq/D"] * step)
        y = np.stack(y)
        g = y / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
        first = {
            "half_glu2": lambda y=y: y,
            "full_glu": lambda g=g, layer=layer: dense(f"{layer}/out1", g),
        }.get(gate, lambda g=g: g)()
        second = 1 if gate == "none" else 1 / (1 + np.exp(-dense(f"{layer}/out2", g)))
        x = x + first * second
    return dense("decoder", x.mean(0))


@pytest.mark.parametrize(
    ("norm", "gate", "outs", "options", "kind"),
    [
        ("layer_bias", "half_glu1", ("out2",), {"gate": "half_glu1"}, "npz"),
        (
            "layer",
            "half_glu2",
            ("out2",),
            {"gate": "half_glu2", "discretization": "bilinear"},
            "safetensors",
        ),
        ("batch", "full_glu", ("out1", "out2"), {"clip_eigs": True}, "params"),
        ("layer", "none", (), {}, "dots"),
    ],
)
@pytest.mark.parametrize("tokens", [0, 7])
def test_a_jax_tree_is_imported_with_its_logits(tmp_path, norm, gate, outs, options, kind, tokens):
    tree = jax_tree(inward=tokens or 1, norm=norm, outs=outs)
    if options.get("clip_eigs"):
        tree["params/encoder/layers_1/seq/Lambda_re"][0] = 0.01
    if kind == "safetensors":
        path = tmp_path / "s5.safetensors"
        save_file({name: torch.from_numpy(array) for name, array in tree.items()}, path)
    else:
        path, plain = (
            tmp_path / "s5.npz",
            {name.split("/", 1)[1]: array for name, array in tree.items()},
        )
        written = {
            "npz": tree,
            "params": plain,
            "dots": {name.replace("/", "."): array for name, array in plain.items()},
        }[kind]
        np.savez(path, **written)
    spec = TOKENS if tokens else SPEC
    imported = importers.load(path, "s5-jax", spec, **options)
    config = imported.model.config
    assert (config.norm, config.gate, config.layers, config.skip, config.gelu) == (
        norm,
        gate,
        2,
        "input",
        "tanh",
    )
    x = torch.randint(0, tokens, (2, 30, 1)) if tokens else torch.randn(2, 30, 1)
    dense = np.eye(tokens)[x[..., 0]] if tokens else x.double().numpy()
    clip, discretization = options.get("clip_eigs", False), options.get("discretization", "zoh")
    expected = np.stack([jax_logits(tree, sample, gate, discretization, clip) for sample in dense])
    with torch.no_grad():
        np.testing.assert_allclose(imported.model(x).numpy(), expected, atol=1e-4, rtol=1e-4)
        loaded = checkpoint.load(imported.save(tmp_path / "ours.safetensors"))
        assert torch.equal(loaded.model(x), imported.model(x))
    assert (loaded.inputs, loaded.metadata["name"]) == (spec, "s5")


def lru(kind, width=4, modes=3):
    """An LRU as flax saves it or as a state dict of torch, and its logits by the recurrence."""
    random = np.random.default_rng(1)

    def normal(*shape):
        return random.normal(size=shape)

    m = {"encoder": (normal(width, 1), normal(width)), "decoder": (normal(10, width), normal(10))}
    layers = []
    for _ in range(2):
        layer = {name: (normal(width, width), normal(width)) for name in ("out1", "out2")}
        layer |= {
            "nu_log": normal(modes) - 3,
            "theta_log": normal(modes),
            "gamma_log": normal(modes) - 1,
            "D": normal(width),
        }
        layer |= {
            "B": normal(modes, width) + 1j * normal(modes, width),
            "C": normal(width, modes) + 1j * normal(width, modes),
        }
        layers.append(layer | {"norm": (random.uniform(0.5, 1.5, width), normal(width))})
    flax = kind == "flax"
    tree = {}

    def dense(name, pair):
        weight, bias = pair
        tree[f"{name}/kernel" if flax else f"{name}.weight"] = weight.T if flax else weight
        tree[f"{name}/bias" if flax else f"{name}.bias"] = bias

    dense("encoder/encoder" if flax else "encoder", m["encoder"])
    dense("decoder", m["decoder"])
    for i, layer in enumerate(layers):
        block = f"encoder/layers_{i}/" if flax else f"layers.{i}."
        seq = f"{block}seq/" if flax else f"{block}lru."
        for name in ("nu_log", "theta_log", "gamma_log", "D"):
            tree[seq + name] = layer[name]
        for name in "BC":
            if kind == "complex":
                tree[seq + name] = layer[name].astype(np.complex64)
            else:
                tree |= {f"{seq}{name}_re": layer[name].real, f"{seq}{name}_im": layer[name].imag}
        gain, bias = layer["norm"]
        tree |= (
            {f"{block}normalization/scale": gain, f"{block}normalization/bias": bias}
            if flax
            else {}
        )
        tree |= {} if flax else {f"{block}norm.weight": gain, f"{block}norm.bias": bias}
        for name in ("out1", "out2"):
            dense(block + name, layer[name])

    def forward(x):
        x = x @ m["encoder"][0].T + m["encoder"][1]
        for layer in layers:
            gain, bias = layer["norm"]
            u = (x - x.mean(1, keepdims=True)) / np.sqrt(
                x.var(1, keepdims=True) + (1e-6 if flax else 1e-5)
            ) * gain + bias
            pole = np.exp(-np.exp(layer["nu_log"]) + 1j * np.exp(layer["theta_log"]))
            h, y = 0, []
            for step in u:
                h = pole * h + np.exp(layer["gamma_log"]) * (layer["B"] @ step)
                y.append((layer["C"] @ h).real + layer["D"] * step)
            y = torch.tensor(np.stack(y))
            g = nn.functional.gelu(y, approximate="tanh" if flax else "none").numpy()
            value, gate = (g @ layer[name][0].T + layer[name][1] for name in ("out1", "out2"))
            x = x + value / (1 + np.exp(-gate))
        return m["decoder"][0] @ x.mean(0) + m["decoder"][1]

    return {
        name: np.asarray(a, a.dtype if a.dtype.kind == "c" else np.float32)
        for name, a in tree.items()
    }, forward


@pytest.mark.parametrize("kind", ["flax", "torch", "complex"])
def test_an_lru_is_an_s5_of_given_poles(tmp_path, kind):
    tree, forward = lru(kind)
    if kind == "complex":
        tree = {name.replace("norm", "ln_1"): array for name, array in tree.items()}
    torch.save({name: torch.from_numpy(array) for name, array in tree.items()}, tmp_path / "lru.pt")
    options = (
        {} if kind == "flax" else {"norm_order": "prenorm", "activation": "gelu", "pooling": "mean"}
    )
    imported = importers.load(tmp_path / "lru.pt", None, SPEC, **options)
    assert (imported.model.config.discretization, imported.model.config.gate) == (
        "none",
        "full_glu",
    )
    for option, given in (("clip_eigs", True), ("gate", "half_glu1"), ("discretization", "zoh")):
        with pytest.raises(UsageError, match=f"leave --{option.replace('_', '-')} out"):
            importers.load(tmp_path / "lru.pt", None, SPEC, **options, **{option: given})
    x = torch.randn(2, 30, 1)
    with torch.no_grad():
        np.testing.assert_allclose(
            imported.model(x).numpy(), [forward(one) for one in x.double().numpy()], atol=1e-4
        )
        loaded = checkpoint.load(imported.save(tmp_path / "ours.safetensors"))
        assert torch.equal(loaded.model(x), imported.model(x))
    if kind != "flax":
        with pytest.raises(SsmHdlError, match="give --norm-order prenorm or postnorm"):
            importers.load(tmp_path / "lru.pt", None, SPEC)


NAN = np.full((3, 1), np.nan, np.float32)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"layers_1/seq/B": None}, {}, r"lacks encoder/layers_1/seq/B of shape \(3, 4, 2\)"),
        (
            {"layers_0/seq/C": np.zeros((4, 3), np.float32)},
            {},
            r"layers_0/seq/C has shape \(4, 3\), it should have \(4, 3, 2\)",
        ),
        (
            {"layers_0/seq/C": np.zeros((4, 6, 2), np.float32)},
            {},
            r"is bidirectional \(encoder/layers_0/seq/C\)",
        ),
        (
            {"layers_0/seq/C1": np.zeros((4, 3, 2), np.float32)},
            {},
            r"is bidirectional \(encoder/layers_0/seq/C1\)",
        ),
        (
            {"layers_1/seq/log_step": NAN},
            {},
            "layers_1/seq/log_step has 3 values that are not finite",
        ),
        (
            {"layers_0/seq/D": np.zeros(4, np.int32)},
            {},
            "layers_0/seq/D is torch.int32; real floating-point numbers",
        ),
        (
            {"layers_0/seq/Lambda_re": None},
            {},
            r"layers encoder/layers_\[1\], and encoder/layers_0/\w+/\w+ is of no SSM",
        ),
        (
            {"layers_0/extra": np.zeros(1, np.float32)},
            {},
            "has encoder/layers_0/extra, which a model of layout s5-jax",
        ),
        (
            {"layers_3/seq/Lambda_re": np.zeros(3, np.float32)},
            {},
            r"layers encoder/layers_\[0, 1, 3\]; one list of 0, 1, 2",
        ),
        (
            {"layers_0/seq/D": np.zeros((4, 4), np.float32)},
            {},
            r"has a dense D \(encoder/layers_0/seq/D of shape \(4, 4\)\)",
        ),
        (
            {},
            {"gate": None},
            (
                r"which of two gates the only dense is of \(encoder/layers_0/out2\).*; "
                r"give --gate half_glu1 or half_glu2"
            ),
        ),
        ({}, {"gate": "full"}, r"full is no choice; .* give --gate half_glu1 or half_glu2"),
        (
            {"layers_0/seq/Lambda_re": np.full(3, 0.5, np.float32)},
            {},
            r"3 eigenvalues .* above 0 .*; give --clip-eigs",
        ),
        (
            {},
            {"discretization": "euler"},
            "no discretization is called 'euler'; there are zoh, bilinear",
        ),
    ],
)
def test_a_jax_tree_that_does_not_fit_is_refused(tmp_path, change, options, message):
    tree = jax_tree() | {f"params/encoder/{name}": array for name, array in change.items()}
    np.savez(
        tmp_path / "s5.npz", **{name: array for name, array in tree.items() if array is not None}
    )
    with pytest.raises(SsmHdlError, match=message):
        importers.load(tmp_path / "s5.npz", "s5-jax", SPEC, **{"gate": "half_glu1"} | options)


class Stack(nn.Module):
    """What the importer takes: blocks of the real package between an encoder and a decoder."""

    last = False

    def __init__(self, layers=2, tokens=0, width=6, modes=4, **options):
        super().__init__()
        self.encoder = nn.Embedding(tokens, width) if tokens else nn.Linear(1, width)
        self.layers = nn.ModuleList(
            [S5Block(width, modes, **{"bidir": False} | options) for _ in range(layers)]
        )
        self.decoder = nn.Linear(width, 10)

    def forward(self, x):
        x = self.encoder(x[..., 0] if isinstance(self.encoder, nn.Embedding) else x)
        for layer in self.layers:
            x = layer(x)
        return self.decoder(x[:, -1] if self.last else x.mean(1))


@pytest.fixture
def stack():
    """``stack(**options)``: a ``Stack`` with norms that differ from their initial values."""

    def make(**options):
        torch.manual_seed(6)
        model = Stack(**options)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "norm" in name:
                    parameter.copy_(torch.rand_like(parameter) + 0.5)
        return model

    return make


@pytest.mark.parametrize(
    "options",
    [{}, {"tokens": 7}, {"layers": 11}, {"block_count": 2, "ff_mult": 2.5}, {"modes": 5}],
    ids=str,
)
@pytest.mark.parametrize("kind", ["torch", "safetensors"])
def test_s5_pytorch_and_its_import_compute_the_same(tmp_path, stack, options, kind):
    theirs, path, tokens = stack(**options), tmp_path / "theirs.bin", options.get("tokens", 0)
    if kind == "torch":
        torch.save({"state_dict": theirs.state_dict()}, path)
    else:
        save_file({name: tensor.contiguous() for name, tensor in theirs.state_dict().items()}, path)
    spec = TOKENS if tokens else SPEC
    theirs.last = kind == "safetensors"
    ours = importers.load(path, "s5-pytorch", spec, pooling="last" if theirs.last else "mean")
    x = torch.randint(0, tokens, (3, 40, 1)) if tokens else torch.randn(3, 40, 1)
    with torch.no_grad():
        torch.testing.assert_close(ours.model(x), theirs(x), atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(ours.model.forward_recurrent(x), theirs(x), atol=1e-5, rtol=1e-5)
    loaded = checkpoint.load(ours.save(tmp_path / "ours.safetensors"))
    assert (loaded.model.config, loaded.inputs) == (ours.model.config, spec)


@pytest.mark.parametrize(
    ("options", "change", "message"),
    [
        ({"bidir": True}, {}, r"is bidirectional \(C has 8 columns\)"),
        ({"glu": False}, {}, r"without GEGLU \(layers.0.ff_enc.weight\)"),
        ({}, {"decoder.weight": None}, r"lacks decoder.weight of shape \(10, 6\)"),
        (
            {},
            {"layers.1.s5.seq.B": torch.zeros(4, 6)},
            r"layers.1.s5.seq.B has shape \(4, 6\), it should have \(4, 6, 2\)",
        ),
        (
            {},
            {"layers.1.ff_norm.weight": torch.full((6,), torch.inf)},
            "layers.1.ff_norm.weight has 6 values that are not finite",
        ),
        (
            {},
            {"layers.0.s5.seq.Lambda": torch.zeros(4)},
            "layers.0.s5.seq.Lambda is torch.float32; complex numbers are wanted",
        ),
        (
            {},
            {"layers.1.s5.seq.C": torch.zeros(6, 4)},
            "layers.1.s5.seq.C is torch.float32; complex numbers are wanted",
        ),
        (
            {},
            {"layers.1.s5.seq.D": torch.zeros(6) * 1j},
            "seq.D is torch.complex64; real floating-point numbers are wanted",
        ),
        (
            {},
            {"head.weight": torch.zeros(1)},
            "has head.weight, which a model of layout s5-pytorch",
        ),
        ({}, {"layers.0.s5.seq.BH": torch.zeros(1)}, "has a factorized B and C"),
        ({"tokens": 7}, {}, r"encoder.weight has shape \(7, 6\), it should have \(6, 1\)"),
        (
            {"layers": 0},
            {},
            r"another layout: no s5.seq.Lambda of an S5Block; it begins with decoder.bias",
        ),
    ],
)
def test_a_checkpoint_of_s5_pytorch_that_does_not_fit_is_refused(
    tmp_path, stack, options, change, message
):
    state = dict(stack(**options).state_dict()) | change
    torch.save(
        {name: tensor for name, tensor in state.items() if tensor is not None}, tmp_path / "s5.pt"
    )
    with pytest.raises(SsmHdlError, match=message):
        importers.load(tmp_path / "s5.pt", "s5-pytorch", SPEC, pooling="mean")


@pytest.mark.filterwarnings("ignore:ComplexHalf support")
def test_half_complex_numbers_are_taken(tmp_path, stack):
    half = {
        name: t.to(torch.complex32) if t.is_complex() else t.half()
        for name, t in stack().state_dict().items()
    }
    torch.save(half, tmp_path / "s5.pt")
    found = (
        importers.load(tmp_path / "s5.pt", None, SPEC, pooling="max").model.blocks[0].seq.Lambda_re
    )
    assert torch.equal(found, half["layers.0.s5.seq.Lambda"].to(torch.complex64).real)


def test_s5_pytorch_answers_at_every_step_if_the_labels_do(tmp_path, stack):
    torch.save(stack().state_dict(), tmp_path / "s5.pt")
    model = importers.load(tmp_path / "s5.pt", None, replace(SPEC, per_step=True)).model
    assert model(torch.randn(2, 20, 1)).shape == (2, 20, 10)


def test_a_jax_tree_of_a_negative_variance_is_refused(tmp_path):
    tree = jax_tree(norm="batch")
    name = next(name for name in tree if name.endswith("layers_1/norm/var"))
    np.savez(tmp_path / "s5.npz", **tree | {name: -tree[name]})
    with pytest.raises(SsmHdlError, match="layers_1/norm/var with values below 0"):
        importers.load(tmp_path / "s5.npz", None, SPEC, gate="half_glu1")


def test_the_command_imports_and_says_what_it_cannot(cli, refused, stack, tmp_path):
    torch.save(stack().state_dict(), tmp_path / "theirs.pt")
    words = [
        "import",
        tmp_path / "theirs.pt",
        "--from",
        "s5-pytorch",
        "--inputs",
        "digits",
        "--out",
        tmp_path / "ours.safetensors",
        "--pooling",
        "mean",
    ]
    done = cli(*words, "--mean", 0, "--std", 1, "--json")
    assert done.status == 0, done.err
    found = checkpoint.load(tmp_path / "ours.safetensors")
    assert (found.inputs.mean, found.inputs.std, found.model.config.layers) == ((0.0,), (1.0,), 2)
    assert '"skip": "norm"' in done.out
    assert cli("info", (tmp_path / "ours.safetensors").rename(tmp_path / "ours")).status == 0
    refused("--std", *words, "--std", 0, status=2)
    refused("--mean nan is not finite", *words, "--mean", "nan", status=2)
    for option in (("--gate", "half_glu1"), ("--clip-eigs",)):
        refused(
            f"{option[0]} is for checkpoints of s5-jax; .* is one of", *words, *option, status=2
        )
    refused("no data set is called 'cifar'", *words[:5], "cifar", *words[6:], status=2)
    refused("cannot write", *words[:7], tmp_path, *words[8:])
