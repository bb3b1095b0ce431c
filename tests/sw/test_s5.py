"""The float S5: its two modes, its formulas, its options, its taps."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from ssm_hdl import SsmHdlError
from ssm_hdl.sw.models.hippo import diagonal_hippo, normal_hippo
from ssm_hdl.sw.models.norm import BatchNorm
from ssm_hdl.sw.models.recurrence import double, recur, run
from ssm_hdl.sw.models.s5 import S5Config
from ssm_hdl.sw.models.stack import Stack as S5

SMALL = {"width": 5, "modes": 4, "layers": 2}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(1)


def make(classes=3, tokens=0, **options):
    """A small model in evaluation, float64, with norms and eigenvalues that training
    might have left."""
    model = S5(S5Config(**SMALL | options), classes, tokens).double().eval()
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if "norm" in name:
                tensor.copy_(torch.rand_like(tensor) + 0.5)
    return model


def random_poles(modes):
    return torch.polar(
        0.99 * torch.rand(modes, dtype=torch.float64).sqrt(),
        3 * torch.randn(modes, dtype=torch.float64),
    )


def test_the_recurrence_is_its_formula_and_has_its_gradients():
    a, v = random_poles(3), torch.randn(2, 7, 6, dtype=torch.float64)
    h, expected = np.zeros((2, 3), complex), []
    for t in range(7):
        h = a.numpy() * h + v[:, t, :3].numpy() + 1j * v[:, t, 3:].numpy()
        expected.append(np.concatenate([h.real, h.imag], -1))
    np.testing.assert_allclose(recur(a, v).numpy(), np.stack(expected, 1), atol=1e-13)
    assert torch.autograd.gradcheck(recur, (a.requires_grad_(), v.requires_grad_()))


@pytest.mark.parametrize("steps", [1, 2, 13, 64])
@pytest.mark.parametrize("backward", [False, True])
def test_the_scan_by_doubling_equals_the_walk(steps, backward):
    a, v = random_poles(5), torch.randn(3, steps, 10, dtype=torch.float64)
    before = v.clone()
    torch.testing.assert_close(double(a, v, backward), run(a, v, backward), atol=1e-12, rtol=0)
    assert torch.equal(v, before)


OPTIONS = [
    {},
    {"norm": "layer_bias", "gate": "half_glu2", "discretization": "bilinear"},
    {"norm": "batch", "gate": "full_glu", "epsilon": 1e-5},
    {"gate": "none", "gelu": "erf", "skip": "norm", "hidden": 7, "clip": False},
    {"layers": 3, "modes": 6, "blocks": 3, "dt_range": (0.01, 1.0), "hidden": 1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("tokens", [0, 6])
def test_parallel_form_equals_recurrent_form(options, tokens):
    model = make(tokens=tokens, **options)
    x = (
        torch.randint(0, tokens, (4, 50, 1))
        if tokens
        else torch.randn(4, 50, 1, dtype=torch.float64)
    )
    with torch.no_grad():
        torch.testing.assert_close(model(x), model.forward_recurrent(x), atol=1e-12, rtol=0)


def test_a_long_float32_sequence_recurs_like_its_parallel_form():
    model = S5(S5Config(width=16, modes=16, layers=2)).eval()
    x = torch.randn(2, 784, 1)
    with torch.no_grad():
        torch.testing.assert_close(model(x), model.forward_recurrent(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize("discretization", ["zoh", "bilinear"])
def test_the_ssm_is_the_formula_of_the_paper_with_its_factor_2(discretization):
    """An impulse into one channel: y_t = 2 Re(C Lbar^t Bbar) + D [t = 0], in NumPy,
    by the full matrices with both conjugates."""
    ssm = make(discretization=discretization).blocks[0].seq
    p = {name: tensor.detach().numpy() for name, tensor in ssm.named_parameters()}
    a, dt = p["Lambda_re"] + 1j * p["Lambda_im"], np.exp(p["log_step"])
    b, c = p["B"][..., 0] + 1j * p["B"][..., 1], p["C"][..., 0] + 1j * p["C"][..., 1]
    a, dt, b, c = (
        np.append(a, a.conj()),
        np.append(dt, dt),
        np.concatenate([b, b.conj()]),
        np.concatenate([c, c.conj()], 1),
    )
    if discretization == "zoh":
        a_bar, b_bar = np.exp(a * dt), ((np.exp(a * dt) - 1) / a)[:, None] * b
    else:
        a_bar, b_bar = (1 + a * dt / 2) / (1 - a * dt / 2), (dt / (1 - a * dt / 2))[:, None] * b
    powers = np.stack([c @ np.diag(a_bar**t) @ b_bar for t in range(6)])
    assert abs(powers.imag).max() < 1e-12
    powers[0] += np.diag(p["D"])
    impulses = torch.zeros(5, 6, 5, dtype=torch.float64)
    impulses[range(5), 0, range(5)] = 1
    found = ssm(impulses, lambda name, value: value).detach().numpy()
    np.testing.assert_allclose(found, powers.real.transpose(2, 0, 1), atol=1e-12)


def test_hippo_n_is_hippo_legs_plus_its_rank_one_term():
    """HiPPO-LegS after arXiv 2008.07669: -(2n+1)^(1/2) (2k+1)^(1/2) below the diagonal,
    -(n+1) on it, 0 above."""
    n = np.arange(8)
    root = np.sqrt(2 * n + 1)
    legs = -np.tril(np.outer(root, root), -1) - np.diag(n + 1.0)
    np.testing.assert_allclose(normal_hippo(8).numpy(), legs + np.outer(root, root) / 2, atol=1e-12)


@pytest.mark.parametrize("blocks", [1, 2])
def test_the_initial_eigenvalues_and_vectors_diagonalise_hippo_n(blocks):
    eigenvalues, vectors = diagonal_hippo(4, blocks)
    assert (eigenvalues.shape, vectors.shape) == ((4,), (8, 4))
    normal = torch.block_diag(*[normal_hippo(8 // blocks)] * blocks).to(vectors.dtype)
    torch.testing.assert_close(normal @ vectors, vectors * eigenvalues, atol=1e-12, rtol=0)
    torch.testing.assert_close(
        vectors.mH @ vectors, torch.eye(4, dtype=vectors.dtype), atol=1e-12, rtol=0
    )
    assert (eigenvalues.imag < 0).all()
    both = 2 * ((vectors * eigenvalues) @ vectors.mH).real
    torch.testing.assert_close(both, normal.real, atol=1e-12, rtol=0)


def test_initialisation_follows_the_paper():
    ssm = S5(S5Config(width=64, modes=32, dt_range=(0.01, 0.1), blocks=4)).blocks[0].seq
    assert set(ssm.Lambda_re.tolist()) == {-0.5}
    assert ((ssm.log_step.exp() >= 0.01 - 1e-6) & (ssm.log_step.exp() <= 0.1 + 1e-6)).all()
    # V has orthonormal columns: B = V^H B' keeps the variance 1 / 64 of B', C = C' V twice that,
    # as C' is complex
    assert ssm.B.square().sum(-1).mean().item() == pytest.approx(1 / 64, rel=0.1)
    assert ssm.C.square().sum(-1).mean().item() == pytest.approx(2 / 64, rel=0.1)


@pytest.mark.parametrize("gate", ["none", "half_glu1", "half_glu2", "full_glu"])
@pytest.mark.parametrize("gelu", ["tanh", "erf"])
def test_a_gate_is_its_formula(gate, gelu):
    model = make(gate=gate, gelu=gelu, layers=1)
    taps = model.trace(torch.randn(2, 9, 1, dtype=torch.float64))
    block, y, gate_of = model.blocks[0], taps["readout_0"], torch.sigmoid
    if gelu == "tanh":
        g = y / 2 * (1 + torch.tanh(np.sqrt(2 / np.pi) * (y + 0.044715 * y**3)))
    else:
        g = y / 2 * (1 + torch.erf(y / np.sqrt(2)))
    expected = {
        "none": lambda: g,
        "half_glu1": lambda: g * gate_of(block.out2(g)),
        "half_glu2": lambda: y * gate_of(block.out2(g)),
        "full_glu": lambda: block.out1(g) * gate_of(block.out2(g)),
    }[gate]()
    torch.testing.assert_close(taps["residual_0"] - taps["encoder"], expected.detach())


def test_the_skip_and_the_feed_forward_network_are_their_formulas():
    model = make(skip="norm", hidden=3, gate="none", gelu="erf", layers=1, norm="layer_bias")
    taps, block = model.trace(torch.randn(2, 9, 1, dtype=torch.float64)), model.blocks[0]
    norm = functional.layer_norm(taps["encoder"], [5], block.norm.weight, block.norm.bias, 1e-6)
    torch.testing.assert_close(taps["norm_0"], norm.detach())
    torch.testing.assert_close(
        taps["residual_0"], (norm + functional.gelu(taps["readout_0"])).detach()
    )
    value, gate = (taps["ff_norm_0"] @ block.ff_enc.weight.mT).chunk(2, -1)
    out = (value * functional.gelu(gate)) @ block.ff_dec.weight.mT
    torch.testing.assert_close(taps["ff_residual_0"], (taps["ff_norm_0"] + out).detach())


def test_every_tap_has_its_shape_and_a_tap_can_replace_an_activation():
    model = make()
    x = torch.randn(2, 9, 1, dtype=torch.float64)
    taps = model.trace(x)
    block = ["norm", "drive", "state", "readout", "gelu", "gate", "sigmoid", "glu", "residual"]
    names = [
        "encoder",
        *(f"{name}_{number}" for number in range(2) for name in block),
        "pool",
        "decoder",
    ]
    assert list(taps) == names
    shapes = {"drive": (2, 9, 8), "state": (2, 9, 8), "pool": (2, 5), "decoder": (2, 3)}
    assert all(taps[name].shape == shapes.get(name.split("_")[0], (2, 9, 5)) for name in names)
    with torch.no_grad():
        torch.testing.assert_close(taps["decoder"], model(x))
        cut = model(x, lambda name, value: value * 0 if name == "pool" else value)
    torch.testing.assert_close(cut, model.decoder.bias.detach().expand(2, 3))


def test_batch_norm_learns_the_statistics_and_is_affine_in_evaluation():
    norm, x = BatchNorm(4, 1e-5), 3 * torch.randn(50, 20, 4) + 2
    y = norm(x)
    torch.testing.assert_close(y.mean((0, 1)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std((0, 1)), torch.ones(4), atol=1e-3, rtol=0)
    for _ in range(200):
        norm(x)
    torch.testing.assert_close(norm.eval()(x), y, atol=1e-2, rtol=0)
    torch.testing.assert_close(norm(x[:, 0]), norm(x)[:, 0])


def test_clipped_eigenvalues_decay_and_others_do_as_they_like():
    for clip in (True, False):
        ssm = make(clip=clip).blocks[0].seq
        with torch.no_grad():
            ssm.Lambda_re[0] = 0.3
            assert (ssm.discrete()[0].abs() < 1).all() == clip


def test_dropout_leaves_out_whole_channels_in_training_alone():
    model = S5(S5Config(width=64, modes=4, gate="none", dropout=0.5))
    x, seen = torch.randn(1, 30, 1), {}
    model.train()(x, lambda name, value: seen.setdefault(name, value))
    branch = seen["residual_0"] - seen["encoder"]
    dropped = (branch == 0).all(1).sum().item()
    assert 32 < dropped < 62  # twice one half: after the GELU and after the gate
    assert (branch != 0).any(1).sum() == 64 - dropped
    model.eval()
    with torch.no_grad():
        assert torch.equal(model(x), model(x))


def test_dynamics_are_lambda_b_and_the_steps_of_every_block():
    model = make()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    wanted = {
        f"layers.{i}.seq.{name}"
        for i in range(2)
        for name in ("Lambda_re", "Lambda_im", "B", "log_step")
    }
    assert {names[id(parameter)] for parameter in model.dynamics()} == wanted


def test_the_papers_mnist_model_has_its_parameters():
    with torch.device("meta"):
        model = S5(S5Config(width=96, modes=64, layers=4, norm="layer_bias"))
    assert sum(parameter.numel() for parameter in model.parameters()) == 138_634


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "an S5 of width 0 is empty"),
        ({"layers": 0}, "layers 0 is empty"),
        ({"modes": 4, "blocks": 3}, "4 modes cannot be divided into 3 blocks"),
        ({"dt_range": (0.0, 1.0)}, r"dt cannot be drawn from \(0.0, 1.0\)"),
    ],
)
def test_impossible_models_are_refused(options, message):
    with pytest.raises(SsmHdlError, match=message):
        S5(S5Config(**SMALL | options))
