"""Quantisation-aware training: the forward pass is the golden model's,
the gradients are of the exact functions."""

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from ssm_hdl import SQ, UQ, Manifest, SsmHdlError, registry
from ssm_hdl.hadamard import matrix
from ssm_hdl.operations import Argmax, Edge, Hadamard, Norm, Taps, Tensors
from ssm_hdl.sim.golden import evaluate, run
from ssm_hdl.sw.data import Split
from ssm_hdl.sw.evaluate import evaluate_integer
from ssm_hdl.sw.models.convolution import convolve
from ssm_hdl.sw.qat.lookup import SLOPES
from ssm_hdl.sw.qat.model import QatModel, outputs
from ssm_hdl.sw.qat.norm import forward as norm
from ssm_hdl.sw.qat.scan import Bank, scan, states
from ssm_hdl.sw.qat.store import codes_of, store

ROOT = Path(__file__).parents[2]
FEATURES = [
    (),
    ("exponent",),
    ("delta",),
    ("dither",),
    ("exponent", "delta", "dither", "narrow"),
    ("mean",),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("features", FEATURES)
def test_forward_is_the_golden_model(random_manifest, features, seed):
    manifest = random_manifest(
        channels=3, modes=5, steps=300, classes=4, seed=seed, features=features
    )
    edge = manifest.input.format
    samples = np.random.default_rng(seed).integers(edge.min, edge.max + 1, (6, 300, 1))
    golden = run(manifest, samples)
    assert np.array_equal(outputs(QatModel(manifest), samples), golden.outputs)
    model = QatModel(manifest)
    # with gradients
    assert np.array_equal(
        model(torch.from_numpy(samples).double()).detach().numpy(), golden.outputs
    )


@pytest.mark.parametrize("options", [{}, {"features": ["mean"]}, {"pooled": False}], ids=str)
def test_sequences_of_several_lengths_in_a_batch_are_those_without_padding(
    random_manifest, random_samples, options
):
    manifest = random_manifest(channels=3, modes=2, steps=16, **options)
    samples, lengths = random_samples(manifest, 7), np.array([3, 16, 1, 3, 9, 16, 2])
    split = Split(samples, np.full((7, 16)[: 2 - manifest.output.per_sequence], -1), lengths)
    assert np.array_equal(
        outputs(QatModel(manifest), samples, lengths), evaluate_integer(manifest, split).outputs
    )


@pytest.mark.parametrize("features", FEATURES)
def test_forward_of_a_deep_model_is_the_golden_model(random_manifest, features):
    manifest = random_manifest(
        channels=6, modes=5, steps=300, classes=4, features=features, layers=2
    )
    samples = np.random.default_rng(2).integers(0, 256, (6, 300, 1))
    golden = run(manifest, samples)
    model = QatModel(manifest)
    assert np.array_equal(outputs(model, samples), golden.outputs)
    codes = model(torch.from_numpy(samples).double())
    assert np.array_equal(codes.detach().numpy(), golden.outputs)
    codes.sum().backward()
    assert all(
        latent.grad.abs().max() > 0
        for name, latent in model.latents.items()
        if "decoder" not in name
    )
    back = model.manifest().tensors.codes
    assert all(np.array_equal(back[name], array) for name, array in manifest.tensors.codes.items())


def test_an_embedding_is_trained(random_manifest):
    manifest = random_manifest(channels=6, modes=5, steps=20, layers=1, tokens=11)
    samples = np.random.default_rng(2).integers(0, 16, (6, 20, 1))
    samples[samples == 3] = 4
    model = QatModel(manifest)
    codes = model(torch.from_numpy(samples).double())
    assert np.array_equal(codes.detach().numpy(), run(manifest, samples).outputs)
    codes.sum().backward()
    touched = model.latents["encoder/weight"].grad.abs().sum(1) > 0
    assert touched.tolist() == [row != 3 for row in range(11)]
    with torch.no_grad():
        model.latents["encoder/weight"] += 1.3
    back = model.manifest()
    assert np.array_equal(
        back.tensors.codes["encoder.weight"],
        np.minimum(manifest.tensors.codes["encoder.weight"] + 1, 127),
    )
    assert np.array_equal(outputs(model, samples), run(back, samples).outputs)


@pytest.mark.parametrize(
    "op",
    [
        Taps(name="y", input="x", taps=3),
        Hadamard(name="y", input="x", shift=2, format=SQ(8, 4)),
        Argmax(name="y", input="x"),
    ],
    ids=lambda op: op.op,
)
def test_forward_of_an_operation_is_the_golden_model(op):
    node = op.bind((Edge("x", 24, SQ(4, 4)),), Tensors({}, {}), 8)
    x = np.random.default_rng(0).integers(-128, 128, (3, 8, 24)) >> 3
    y = registry.qat(op.op)(node, torch.from_numpy(x).double())
    assert np.array_equal(y.numpy(), evaluate(node, x).codes)


def test_gradients_of_taps_and_hadamard_are_those_of_their_matrices():
    """Of taps, an element has the gradients of its places in this step and those after it;
    of a Hadamard, H is transposed."""
    x = torch.zeros(2, 8, 12, dtype=torch.float64, requires_grad=True)
    gradient = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 8, 12, 3)))
    node = Taps(name="y", input="x", taps=3).bind((Edge("x", 12, SQ(4, 4)),), Tensors({}, {}), 8)
    registry.qat("taps")(node, x).backward(gradient.flatten(-2))
    exact = gradient[..., 2].clone()
    exact[:, :-1] += gradient[:, 1:, :, 1]
    exact[:, :-2] += gradient[:, 2:, :, 0]
    torch.testing.assert_close(x.grad, exact)
    x.grad, node = (
        None,
        Hadamard(name="y", input="x", shift=2, format=SQ(4, 4)).bind(
            node.inputs, Tensors({}, {}), 8
        ),
    )
    registry.qat("hadamard")(node, x).backward(gradient[..., 0])
    torch.testing.assert_close(x.grad, gradient[..., 0] @ torch.from_numpy(matrix(12) / 4))


@pytest.mark.parametrize("center,epsilon", [(True, 0), (True, 3000), (False, 0)])
def test_gradient_of_the_norm_is_that_of_floats(center, epsilon):
    op = Norm(name="y", input="x", center=center, epsilon=epsilon, format=SQ(3, 5))
    node = op.bind((Edge("x", 12, SQ(4, 4)),), Tensors({}, {}), 8)
    random = np.random.default_rng(0)
    x = (
        torch.from_numpy(random.integers(-100, 100, (4, 5, 12)) >> random.integers(0, 6, (4, 5, 1)))
        .double()
        .requires_grad_()
    )
    gradient = torch.from_numpy(random.normal(size=x.shape))
    norm(node, x).backward(gradient)
    got, x.grad = x.grad, None
    d = x - x.mean(-1, keepdim=True) if center else x
    (d / torch.sqrt((d * d).mean(-1, keepdim=True) + epsilon / 144) * 32).backward(gradient)
    torch.testing.assert_close(got, x.grad)


def test_gradient_of_equal_elements_is_zero_and_so_is_that_of_saturated_results():
    node = Norm(name="y", input="x", format=SQ(2, 6)).bind(
        (Edge("x", 16, SQ(4, 4)),), Tensors({}, {}), 8
    )
    x = torch.tensor([[5.0] * 16, [0.0] * 15 + [9.0]], dtype=torch.float64, requires_grad=True)
    y = norm(node, x)
    assert y[0].abs().max() == 0 and y[1, 15] == 127
    y[:, 15].sum().backward()
    assert x.grad.abs().max() == 0


@pytest.mark.parametrize("parts", [1, 2])
def test_gradients_of_states_are_those_of_the_recurrence(random_manifest, parts):
    manifest = random_manifest(channels=3, modes=4, steps=30, layers=parts - 1)
    node = manifest.nodes["ssm_1" if parts == 2 else "ssm"]
    bank = Bank(node)
    channels = node.inputs[0].size
    shape = (2, 30, channels, 2) if parts == 2 else (2, 30, channels)
    u = torch.from_numpy(np.random.default_rng(0).integers(-4, 5, shape)).double().requires_grad_()
    h = states(bank, u)
    assert np.array_equal(
        h.detach().numpy(), evaluate(node, u.detach().numpy().astype(np.int64)).codes
    )
    gradient = torch.randn(h.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    h.backward(gradient)
    got, u.grad = u.grad, None
    drive = torch.view_as_complex(u) if parts == 2 else u.to(torch.complex128)
    state, linear = torch.zeros(2, *bank.poles.shape, dtype=torch.complex128), []
    for t in range(30):
        state = bank.poles * state + bank.gain * drive[:, t, :, None]
        linear.append(torch.view_as_real(state).flatten(1, 2))
    torch.stack(linear, 1).backward(gradient)
    torch.testing.assert_close(got, u.grad)


def test_forward_is_the_golden_model_on_every_digit(manifest, digits):
    model = QatModel(manifest)
    for split in (digits.train, digits.val, digits.test):
        assert np.array_equal(outputs(model, split.codes), run(manifest, split.codes).outputs)


@pytest.mark.parametrize("name", ["s4d-16h-w4a6x6", "s4d-16h-w4a6x8-qat"])
def test_a_module_between_codes_is_the_golden_model_of_its_manifest(name):
    """As it is in the midst of training: latents are fractions, and the program is delta,
    dithered, with exponents."""
    model = QatModel(Manifest.load(ROOT / "manifests" / name))
    noise = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for latent in model.latents.values():
            latent.add_(torch.randn(latent.shape, generator=noise, dtype=latent.dtype))
    samples = np.random.default_rng(0).integers(0, 256, (2, 784, 1))
    assert np.array_equal(outputs(model, samples), run(model.manifest(), samples).outputs)
    assert not np.array_equal(
        outputs(model, samples), run(Manifest.load(ROOT / "manifests" / name), samples).outputs
    )


def test_a_manifest_comes_back_as_it_went_in(manifest):
    back = QatModel(manifest).manifest()
    assert back.graph == manifest.graph
    assert back.tensors.formats == manifest.tensors.formats
    assert all(
        np.array_equal(back.tensors.codes[name], codes)
        for name, codes in manifest.tensors.codes.items()
    )


def test_rounding_passes_gradients_and_saturation_does_not():
    x = torch.tensor([-5000.0, -100, 3, 100, 5000], dtype=torch.float64, requires_grad=True)
    codes = store(x, 6, SQ(4, 4))
    assert codes.tolist() == [-128, -25, 1, 25, 127]
    codes.sum().backward()
    assert x.grad.tolist() == [0, 0.25, 0.25, 0.25, 0]


@pytest.mark.parametrize("sign", [1, -1])
def test_latents_move_back_into_their_format_but_not_out(sign):
    latent = torch.tensor([-9.4, -8.2, 0.5, 7.4, 9.0], dtype=torch.float64, requires_grad=True)
    codes = codes_of(latent, SQ(4, 0))
    assert codes.tolist() == [-8, -8, 1, 7, 7]
    (sign * codes).sum().backward()
    inward = [1, 1, 1, 1, 1]
    inward[:2] = [0, 0] if sign > 0 else [1, 1]  # a step of descent would go down
    inward[3:] = [0, 0] if sign < 0 else [1, 1]
    assert latent.grad.tolist() == [sign * way for way in inward]


@pytest.mark.parametrize("name", SLOPES)
def test_slopes_are_those_of_the_functions(name):
    function = {
        "gelu": torch.nn.functional.gelu,
        "gelu_tanh": partial(torch.nn.functional.gelu, approximate="tanh"),
        "log2_softplus": lambda x: torch.log2(torch.log1p(torch.exp(x)) * math.log2(math.e)),
        "sigmoid": torch.sigmoid,
        "silu": torch.nn.functional.silu,
        "softplus": lambda x: torch.log1p(torch.exp(x)),
    }[name]
    x = torch.linspace(-6, 6, 50, dtype=torch.float64, requires_grad=True)
    function(x).sum().backward()
    torch.testing.assert_close(SLOPES[name](x.detach()), x.grad)
    far = {"log2_softplus": (math.log2(math.e), 0), "sigmoid": (0, 0), "softplus": (0, 1)}.get(
        name, (0, 1)
    )
    assert SLOPES[name](
        torch.tensor([-9000.0, 9000.0], dtype=torch.float64)
    ).tolist() == pytest.approx(far, abs=1e-3)


def test_gradients_of_scan_and_readout_are_those_of_the_convolution(random_manifest):
    manifest = random_manifest(channels=3, modes=4, steps=40, classes=4)
    model = QatModel(manifest)
    bank, node = model.banks["readout"], manifest.nodes["readout"]
    weight = torch.from_numpy(node.arrays["weight"]).double().requires_grad_()
    u = (
        torch.from_numpy(np.random.default_rng(0).integers(-4, 5, (5, 40, 3)))
        .double()
        .requires_grad_()
    )
    gradient = torch.randn(
        5, 40, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    scan(bank, u, weight).backward(gradient)
    got = u.grad.clone(), weight.grad.clone()
    # The response of every mode to an impulse, from its definition;
    # the read-out is linear in the weights.
    powers = torch.cumprod(
        torch.cat(
            [torch.ones_like(bank.poles)[..., None], bank.poles[..., None].expand(-1, -1, 39)], -1
        ),
        -1,
    )
    modes = powers * bank.gain[..., None]
    u.grad = weight.grad = None
    complex_weight = torch.view_as_complex(weight)[:, 0]
    response = (complex_weight[..., None] * modes).sum(1).real
    convolve(u.mT, response).mT.backward(gradient)
    torch.testing.assert_close(got[0], u.grad, rtol=1e-4, atol=1e-4 * float(u.grad.abs().max()))
    # states are rounded
    torch.testing.assert_close(
        got[1], weight.grad, rtol=0, atol=0.05 * float(weight.grad.abs().max())
    )


def test_a_scan_that_two_read(manifest, digits):
    readout = next(op for op in manifest.graph.operations if op.name == "readout")
    other = readout.weight.model_copy(update={"tensor": "again.weight"})
    twice = readout.model_copy(update={"name": "again", "weight": other, "bias": None})
    add = next(op for op in manifest.graph.operations if op.name == "residual")
    both = add.model_copy(update={"name": "both", "inputs": ("readout", "again")})
    tail = [
        op.model_copy(update={"input": "both"}) if op.name == "gelu" else op
        for op in manifest.graph.operations
    ]
    at = [op.name for op in tail].index("readout") + 1
    graph = manifest.graph.model_copy(update={"operations": (*tail[:at], twice, both, *tail[at:])})
    codes = dict(manifest.tensors.codes) | {
        "again.weight": manifest.tensors.codes["readout.weight"] // 2
    }
    program = Manifest(graph, Tensors(codes, manifest.tensors.formats))
    model = QatModel(program)
    assert list(model.banks) == ["ssm"]
    assert np.array_equal(
        outputs(model, digits.val.codes[:50]), run(program, digits.val.codes[:50]).outputs
    )


def test_unsigned_inputs_and_wide_sums(manifest):
    assert manifest.input.format == UQ(1, 4)
    wide = manifest.graph.model_dump(mode="json")
    for op in wide["operations"]:
        if op["name"] == "ssm":
            op["format"], op["transition"]["format"] = "SQ(1, 27)", "SQ(1, 27)"
    with pytest.raises(SsmHdlError, match=r"ssm: sums of \d+ bits; training takes at most 51"):
        QatModel(Manifest(type(manifest.graph).model_validate(wide), manifest.tensors))
