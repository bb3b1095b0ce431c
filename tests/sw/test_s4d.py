"""The float S4D: its two modes, its formulas, its taps."""

import numpy as np
import pytest
import torch

from ssm_hdl import SsmHdlError
from ssm_hdl.sw.models.convolution import convolve, fft_length
from ssm_hdl.sw.models.s4d import S4D


@pytest.fixture
def model():
    torch.manual_seed(1)
    return S4D(width=6, modes=5)


def test_fft_length_has_factors_2_and_5_only():
    assert [fft_length(least) for least in (1, 2, 3, 7, 127, 1567)] == [1, 2, 4, 8, 128, 1600]


def test_convolution_is_the_sum_and_has_its_gradients():
    torch.manual_seed(0)
    u = torch.randn(2, 3, 7, dtype=torch.float64, requires_grad=True)
    k = torch.randn(3, 7, dtype=torch.float64, requires_grad=True)
    result, u_array, k_array = (tensor.detach().numpy() for tensor in (convolve(u, k), u, k))
    for b, h in np.ndindex(2, 3):
        np.testing.assert_allclose(
            result[b, h], np.convolve(u_array[b, h], k_array[h])[:7], atol=1e-12
        )
    assert torch.autograd.gradcheck(convolve, (u, k))


@pytest.mark.parametrize(
    ("width", "modes", "steps"), [(16, 32, 784), (8, 8, 64), (1, 1, 1), (3, 2, 5)]
)
def test_fft_mode_equals_recurrent_mode(width, modes, steps):
    torch.manual_seed(2)
    model = S4D(width, modes)
    x = torch.randn(3, steps, 1)
    with torch.no_grad():
        torch.testing.assert_close(model(x), model.forward_recurrent(x), atol=1e-5, rtol=0)
        double = model.double()
        torch.testing.assert_close(
            double(x.double()), double.forward_recurrent(x.double()), atol=1e-12, rtol=0
        )


def test_step_carries_its_state(model):
    x = torch.randn(4, 9, 1)
    with torch.no_grad():
        state, outputs = model.initial_state(4), []
        for t in range(9):
            output, state = model.step(x[:, t], state)
            outputs.append(output)
    torch.testing.assert_close(
        torch.stack(outputs, 1), model.trace(x)["residual"], atol=1e-5, rtol=0
    )
    assert state.shape == (4, 6, 5)


def test_ssm_is_the_formula_of_the_paper_with_its_factor_2():
    """One channel, one mode, an impulse: y_t = 2 Re(C Bbar Abar^t) + D [t = 0],
    with no library of ours in between."""
    model = S4D(width=1, modes=1).double()
    with torch.no_grad():
        model.encoder.weight.fill_(1)
        model.encoder.bias.fill_(0)
    kernel = model.layer.kernel
    a = complex(-np.exp(kernel.log_A_real.item()), kernel.A_imag.item())
    dt, c = np.exp(kernel.log_dt.item()), complex(*kernel.C[0, 0].tolist())
    a_bar = np.exp(a * dt)
    expected = 2 * (c * (a_bar - 1) / a * a_bar ** np.arange(6)).real
    expected[0] += model.d.item()
    impulse = torch.zeros(1, 6, 1, dtype=torch.float64)
    impulse[0, 0, 0] = 1
    np.testing.assert_allclose(
        model.trace(impulse)["readout"][0, :, 0].numpy(), expected, rtol=1e-9
    )
    np.testing.assert_allclose(model.a_bar.numpy(), [[a_bar]])
    np.testing.assert_allclose(model.b_bar.numpy(), [[(a_bar - 1) / a]], rtol=1e-9)


@pytest.mark.parametrize("width", [16, 64, 256, 512])
def test_parameter_count_is_that_of_the_paper(width):
    with torch.device("meta"):
        model = S4D(width, modes=32)
    # B is 1, as large
    count = (
        sum(parameter.numel() for parameter in model.parameters()) + model.layer.kernel.C.numel()
    )
    assert (
        {16: 3850, 64: 21514, 256: 184330, 512: 630794}[width]
        == count
        == 2 * width**2 + 208 * width + 10
    )


def test_initialisation_is_s4d_lin(model):
    np.testing.assert_allclose(
        model.layer.kernel.a().detach().numpy(),
        np.tile(-0.5 + 1j * np.pi * np.arange(5), (6, 1)),
        rtol=1e-6,
    )
    assert (
        (model.layer.kernel.log_dt.exp() >= 1e-3) & (model.layer.kernel.log_dt.exp() <= 1e-1)
    ).all()


def test_trace_names_every_tap_and_they_fit_together(model):
    x = torch.randn(3, 11, 1)
    taps = model.trace(x, states=True)
    names = "encoder ssm readout gelu mixing value gate sigmoid glu residual pool decoder"
    assert list(taps) == names.split()
    assert list(model.trace(x)) == [name for name in names.split() if name != "ssm"]
    shapes = {"ssm": (3, 11, 6, 5), "mixing": (3, 11, 12), "pool": (3, 6), "decoder": (3, 10)}
    assert {name: tuple(tap.shape) for name, tap in taps.items()} == {
        name: shapes.get(name, (3, 11, 6)) for name in taps
    }
    with torch.no_grad():
        torch.testing.assert_close(taps["decoder"], model(x))
    readout = 2 * (model.c * model.b_bar * taps["ssm"]).sum(-1).real + model.d * taps["encoder"]
    torch.testing.assert_close(taps["readout"], readout, atol=1e-5, rtol=0)
    torch.testing.assert_close(taps["mixing"], torch.cat([taps["value"], taps["gate"]], -1))
    torch.testing.assert_close(taps["residual"], taps["encoder"] + taps["value"] * taps["sigmoid"])


def test_impossible_models_are_refused():
    with pytest.raises(SsmHdlError, match="modes 0 is empty"):
        S4D(width=4, modes=0)
    with pytest.raises(SsmHdlError, match=r"dt cannot be drawn from \(0, 1\)"):
        S4D(width=4, modes=3, dt_range=(0, 1))
