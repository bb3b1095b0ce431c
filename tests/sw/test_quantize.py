"""PTQ: the manifest computes the model, with the accuracy that the widths allow."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssm_hdl import SQ, Manifest, SsmHdlError
from ssm_hdl.sim.golden import run
from ssm_hdl.sw import checkpoint as checkpoints
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.data import SPECS, Split
from ssm_hdl.sw.models.s4d import S4D
from ssm_hdl.sw.quantize import Recipe, effort, quantize
from ssm_hdl.sw.quantize.calibrate import calibrate
from ssm_hdl.sw.quantize.equalise import equalise, rescale
from ssm_hdl.sw.quantize.modes import Modes, balance
from ssm_hdl.sw.quantize.rows import Moments, fit, nearest, values
from ssm_hdl.sw.quantize.s4d import S4DLowering
from ssm_hdl.sw.quantize.transition import store
from ssm_hdl.sw.train import logits
from ssm_hdl.weights import tensors_to_bytes

ROOT = Path(__file__).parents[2]
WIDE = Recipe(
    name="wide",
    weights=16,
    activations={"default": 16, "readout": 12, "mixing": 12},
    pool=16,
    samples=64,
)


@pytest.fixture(scope="module")
def small():
    """An untrained model: as random as the initial weights are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Checkpoint(S4D(4, 5, dt_range=(1e-2, 1)), SPECS["digits"], {"name": "Small-1"})


@pytest.fixture(scope="module")
def trained():
    return checkpoints.load(ROOT / "checkpoints" / "digits.safetensors")


def ratio_db(signal, noise):
    return 10 * np.log10(np.mean(np.square(signal)) / np.mean(np.square(noise)))


def sqnr(manifest, checkpoint, split):
    """Of the logits, in dB, with their mean error off."""
    wanted = logits(
        checkpoint.model, torch.from_numpy(checkpoint.inputs.normalise(split.codes))
    ).numpy()
    return ratio_db(
        wanted, run(manifest, split.codes).outputs * manifest.output.format.lsb - wanted
    )


def test_wide_integers_are_the_float_model(small, digits):
    quantized = quantize(small, digits, WIDE)
    assert sqnr(quantized.manifest, small, digits.test) > 45
    assert min(error.sqnr_db for error in quantized.errors.values()) > 40
    assert max(np.abs(error.bias).max() for error in quantized.errors.values()) < 0.02


def test_every_bit_of_the_weights_counts(small, digits):
    def reached(bits):
        recipe = Recipe(name="r", weights=bits, activations=WIDE.activations, samples=64)
        return sqnr(quantize(small, digits, recipe).manifest, small, digits.test)

    assert reached(4) + 5 < reached(6) < reached(8) - 5


def test_the_manifest_says_what_it_is(small, digits, tmp_path):
    manifest = quantize(small, digits, Recipe.load("w8a8")).manifest
    assert manifest.name == "small_1"
    assert manifest.graph.description == "S4D, H = 4, N = 5, for digits; quantized by recipe w8a8"
    assert [(node.name, node.op.op) for node in manifest.nodes.values()] == [
        ("encoder", "dense"),
        ("ssm", "scan"),
        ("readout", "dense"),
        ("gelu", "lookup"),
        ("mixing", "dense"),
        ("value", "slice"),
        ("gate", "slice"),
        ("sigmoid", "lookup"),
        ("glu", "multiply"),
        ("residual", "add"),
        ("pool", "mean"),
        ("decoder", "dense"),
    ]
    widths = {name: node.output.format.width for name, node in manifest.nodes.items()}
    assert widths == dict.fromkeys(manifest.nodes, 8) | {"ssm": 16, "pool": 15, "decoder": 16}
    tensors = {name: format.width for name, format in manifest.tensors.formats.items()}
    weights = dict.fromkeys(
        [f"{name}.weight" for name in ("encoder", "readout", "mixing", "decoder")], 8
    )
    biases = dict.fromkeys(
        [f"{name}.bias" for name in ("encoder", "readout", "mixing", "decoder")], 16
    )
    assert tensors == weights | biases | {"ssm.transition": 16}
    manifest.save(tmp_path)
    samples = digits.test.codes[:5]
    assert np.array_equal(
        run(Manifest.load(tmp_path), samples).outputs, run(manifest, samples).outputs
    )


def test_the_recipe_rules_each_width(small, digits):
    recipe = Recipe(
        name="own",
        weights={"default": 5, "mixing": 4},
        activations={"default": 6, "gelu": 7},
        transition=12,
        state=11,
        biases=10,
        pool=9,
        output=13,
        samples=32,
    )
    manifest = quantize(small, digits, recipe).manifest
    widths = {name: node.output.format.width for name, node in manifest.nodes.items()}
    assert widths == dict.fromkeys(manifest.nodes, 6) | {
        "gelu": 7,
        "ssm": 11,
        "pool": 9,
        "decoder": 13,
    }
    tensors = {name: format.width for name, format in manifest.tensors.formats.items()}
    assert tensors["mixing.weight"] == 4
    assert tensors["readout.weight"] == tensors["decoder.weight"] == 5
    assert tensors["mixing.bias"] == 10
    assert tensors["ssm.transition"] == 12


@pytest.mark.parametrize("clip", ["mse", "minmax", "percentile"])
def test_the_committed_digits_lose_little(trained, digits, clip):
    quantized = quantize(trained, digits, Recipe(name="w8a8", clip=clip, state_margin=1.25))
    assert (
        sqnr(quantized.manifest, trained, digits.test)
        > {"mse": 27, "minmax": 21, "percentile": 21}[clip]
    )
    assert run(quantized.manifest, digits.test.codes).saturations["ssm"] == 0


def test_fitting_to_the_float_model_pays(trained, digits):
    recipe = Recipe(name="w8a8", samples=256)
    plain = S4DLowering(trained, digits.train.head(256), recipe).lower({}).manifest
    quantized = quantize(trained, digits, recipe).manifest
    assert sqnr(quantized, trained, digits.test) > sqnr(plain, trained, digits.test) + 3


def test_the_committed_manifest_is_as_good_as_its_checkpoint(trained, digits):
    manifest = Manifest.load(ROOT / "manifests" / "digits")
    correct = (run(manifest, digits.test.codes).outputs.argmax(1) == digits.test.labels).mean()
    assert correct >= float(trained.metadata["accuracy"]) - 0.005
    assert sqnr(manifest, trained, digits.test) > 27


def test_the_committed_mnist_manifest_is_the_checkpoint():
    """On strokes drawn at random, for MNIST itself does not come with the project."""
    trained = checkpoints.load(ROOT / "checkpoints" / "s4d-16h.safetensors")
    manifest = Manifest.load(ROOT / "manifests" / "s4d-16h")
    random = np.random.default_rng(0)
    codes = np.zeros((8, 784, 1), np.int64)
    for image in codes.reshape(8, 28, 28):
        for _ in range(3):
            row, column, length = random.integers(4, 18, 3)
            image[row : row + 2, column : column + length // 2] = image[
                row : row + length // 2, column : column + 2
            ] = 250
    assert sqnr(manifest, trained, Split(codes, np.zeros(8, np.int64))) > 20


def test_progress_adds_up(small, digits):
    done = []
    recipe = Recipe(name="few", samples=40)
    quantize(small, digits, recipe, done.append)
    assert sum(done) == effort(small, digits, recipe)
    assert effort(small, digits, Recipe(name="all", samples=10**6, state_margin=1.25)) == 6 * len(
        digits.train
    )


@pytest.mark.parametrize("name", ["digits", "s5-digits"])
def test_padding_is_not_read(digits, name):
    checkpoint, few = (
        checkpoints.load(ROOT / "checkpoints" / f"{name}.safetensors"),
        digits.train.head(24),
    )
    junk = np.pad(few.codes, ((0, 0), (0, 9), (0, 0)), constant_values=16)
    padded = replace(digits, train=Split(junk, few.labels, np.full(24, 64)))
    plain, same = (
        quantize(checkpoint, samples, Recipe(name="r", samples=24)) for samples in (digits, padded)
    )
    assert tensors_to_bytes(same.manifest.tensors) == tensors_to_bytes(plain.manifest.tensors)
    assert (same.manifest.graph, str(same.errors)) == (plain.manifest.graph, str(plain.errors))


def test_the_state_margin_that_fits_is_no_worse_than_a_fixed_one(trained, digits):
    def reached(margin):
        recipe = Recipe(name="r", weights=6, state=6, transition=6, samples=64, state_margin=margin)
        return quantize(trained, digits, recipe).errors["readout"].sqnr_db

    assert reached("fit") > max(reached(1.25), reached(0.4))


def test_equalising_changes_no_result(small, digits):
    samples = digits.train.head(64)
    x = torch.from_numpy(small.inputs.normalise(digits.test.codes))
    recipe = Recipe(name="w8a8")
    equalised = equalise(
        small.model, small.inputs, calibrate(small.model.trace, small.inputs, samples), recipe
    )
    torch.testing.assert_close(equalised.model(x), small.model(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        rescale(small.model, np.array([3, 0.2, 10, 1]))(x), small.model(x), atol=1e-5, rtol=1e-5
    )
    trace, original = equalised.model.trace(x), small.model.trace(x)
    scale = torch.from_numpy(equalised.scale).float()
    for name in ("encoder", "value", "glu", "residual", "pool"):
        torch.testing.assert_close(trace[name], original[name] * scale, atol=1e-4, rtol=1e-4)
    for name in ("readout", "gelu", "gate", "sigmoid"):
        torch.testing.assert_close(trace[name], original[name], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dead", [[1], [0, 1, 2, 3]])
def test_dead_channels_do_no_harm(small, digits, dead):
    model = rescale(small.model, np.ones(4))
    with torch.no_grad():
        for parameter in model.layer.output_linear[0].parameters():
            parameter[dead] = 0
    checkpoint = replace(small, model=model)
    assert sqnr(quantize(checkpoint, digits, WIDE).manifest, checkpoint, digits.test) > 45


def poles(count=1000):
    random = np.random.default_rng(0)
    return random.uniform(0.9, 0.99999, (1, count)) * np.exp(
        1j * random.uniform(-np.pi, np.pi, (1, count))
    )


def test_transitions_are_truncated_towards_zero():
    a_bar = poles()
    for bits in (4, 8, 16):
        stored = store(a_bar, bits, delta=False).values
        assert (np.abs(stored) <= np.abs(a_bar)).all()
        assert (np.abs(stored - a_bar) < np.sqrt(2) * 2.0 ** (1 - bits)).all()


@pytest.mark.parametrize("bits", range(2, 17))
def test_the_delta_form_stays_inside_the_unit_circle(bits):
    a_bar = np.concatenate(
        [poles(), 1 - 10.0 ** -np.linspace(1, 5, 50)[np.newaxis], [[0]]], axis=1
    ).astype(complex)
    stored = store(a_bar, bits, delta=True)
    assert stored.codes.min() >= stored.format.min and stored.codes.max() <= stored.format.max
    assert (np.abs(stored.values) < 1).all()
    assert stored.values[0, -1] == 0
    assert stored.exponent is not None
    assert stored.format.f_bits + stored.exponent.max() <= 18
    one = 1 << stored.format.f_bits + int(stored.exponent.max())
    shift = stored.exponent.max() - stored.exponent
    codes = (stored.codes << shift[..., np.newaxis]) + np.array([one, 0])
    np.testing.assert_array_equal((codes[..., 0] + 1j * codes[..., 1]) / one, stored.values)


def test_the_delta_form_holds_slow_poles_better():
    slow = np.exp(-np.linspace(1e-3, 1e-2, 200) + 1j * np.linspace(0, 0.2, 200))[np.newaxis]
    for bits in (6, 8):
        moved = [np.abs(store(slow, bits, delta).values - slow).max() for delta in (True, False)]
        assert moved[0] < moved[1] / 4


def test_balanced_modes_fit_the_state_and_the_weights():
    random = np.random.default_rng(1)
    transition = random.uniform(0.5, 0.999, (3, 6)) * np.exp(1j * random.uniform(0, 3, (3, 6)))
    gain = 10 ** random.uniform(-2, 1, (3, 6)) * np.exp(1j * random.uniform(0, 6, (3, 6)))
    peak = 10 ** random.uniform(-1, 2, (3, 6))
    modes = Modes(transition, gain, peak, peak**2 / 8, 100)
    state, u = SQ(1, 15), SQ(3, 5)
    for per_channel in (True, False):
        exponent = balance(
            modes, state, -25, u, Recipe(name="r", weights=8, per_channel=per_channel)
        )
        assert (np.ldexp(peak, exponent) < 1).all()
        weights = np.abs(gain) * 2.0**-exponent
        spread = np.log2(weights).std() if not per_channel else np.log2(weights).std(1).max()
        # brought together, for they share a format
        assert spread < np.log2(np.abs(gain) * peak).std()
    filled = balance(modes, state, -25, u, Recipe(name="r", clip="minmax"))
    assert (np.ldexp(peak, filled) > 0.49).all()


def moments_of(x, y):
    x = np.pad(x, ((0, 0), (0, 1)), constant_values=1)
    return Moments((x.T @ x)[np.newaxis] / len(x), (y.T @ x)[np.newaxis] / len(x), len(x))


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("width", [3, 4, 6])
def test_rows_rounded_in_turn_beat_the_nearest(width, per_channel):
    random = np.random.default_rng(2)
    x = random.normal(size=(2000, 12)) @ random.normal(size=(12, 12)) + 1
    weight = random.normal(size=(5, 12)) * 2.0 ** random.integers(-4, 4, (5, 1))
    y = x @ weight.T + random.normal(size=5)
    recipe = Recipe(name="r", per_channel=per_channel)

    def error(rows):
        made = x @ values(rows)[0].T + rows.bias[0]
        return ((made - y) ** 2).mean(0)

    fitted = fit(moments_of(x, y), weight[np.newaxis], width, recipe)
    assert fitted.codes.min() >= fitted.format.min and fitted.codes.max() <= fitted.format.max
    assert fitted.format.width == width and (fitted.exponent is not None) == per_channel
    plain = nearest(weight[np.newaxis], (y - x @ weight.T).mean(0)[np.newaxis], width, recipe)
    assert error(fitted).sum() < 0.8 * error(plain).sum()
    if per_channel:
        assert (error(fitted) / y.var(0)).max() < 2.0 ** (3 - 2 * width)


def test_a_fit_makes_up_for_what_its_inputs_have_lost():
    random = np.random.default_rng(3)
    x = random.normal(size=(4000, 6))
    weight = random.normal(size=(2, 6))
    # what the integers before it make of x
    wrong = x @ (np.eye(6) + random.normal(size=(6, 6)) / 10)
    fitted = fit(moments_of(wrong, x @ weight.T + 3), weight[np.newaxis], 16, Recipe(name="r"))
    np.testing.assert_allclose(
        wrong @ values(fitted)[0].T + fitted.bias[0], x @ weight.T + 3, atol=2e-3
    )


def test_a_fit_does_not_follow_few_samples():
    """A decoder of 64 inputs, calibrated on 40 sequences whose sums over time
    are a little wrong."""
    random = np.random.default_rng(4)
    x, weight = random.normal(size=(2040, 64)), random.normal(size=(3, 64))
    wrong = x + 0.3 * random.normal(size=x.shape)
    y = x @ weight.T
    recipe = Recipe(name="r")
    fitted = fit(moments_of(wrong[:40], y[:40]), weight[np.newaxis], 8, recipe)
    plain = nearest(weight[np.newaxis], np.zeros((1, 3)), 8, recipe)

    def unseen(rows, bias):
        return ((wrong[40:] @ values(rows)[0].T + bias - y[40:]) ** 2).mean()

    assert unseen(fitted, fitted.bias[0]) < 1.1 * unseen(plain, 0)


def test_a_skip_is_exact(small, digits):
    manifest = quantize(small, digits, Recipe.load("w8a8")).manifest
    trace = run(manifest, digits.test.codes[:3], trace=True).trace
    u, skip = trace["encoder"], trace["ssm"].reshape(3, 64, 4, 6, 2)[..., -1, :]
    shift = (
        manifest.tensors.codes["ssm.exponent"][:, -1]
        + 15
        - manifest.nodes["encoder"].output.format.f_bits
    )
    assert np.array_equal(skip[..., 0], u << shift)
    assert not skip[..., 1].any()


def test_states_that_do_not_fit_are_refused():
    modes = Modes(*(np.full((1, 1), x) for x in (0.5 + 0j, 1 + 0j, 2.0**20, 2.0**38)), 100)
    with pytest.raises(SsmHdlError, match="widen one of these two"):
        balance(modes, SQ(1, 3), 9, SQ(1, 15), Recipe(name="r"))


@settings(max_examples=12, deadline=None)
@given(st.data())
def test_any_recipe_makes_a_manifest_or_says_why_not(small, digits, data):
    width = st.integers(2, 16)
    table = st.integers(2, 12)
    names = "encoder", "gelu", "sigmoid", "glu", "residual"
    fields = {
        name: data.draw(width, name) for name in ("transition", "state", "biases", "pool", "output")
    }
    weights = {name: data.draw(width, name) for name in ("encoder", "readout", "mixing", "decoder")}
    edges = {name: data.draw(width, name) for name in names} | {
        name: data.draw(table, name) for name in ("readout", "mixing")
    }
    clip = data.draw(st.sampled_from(["mse", "minmax", "percentile"]))
    recipe = Recipe(
        name="any",
        weights={"default": 8, **weights},
        activations={"default": 8, **edges},
        clip=clip,
        samples=8,
        **fields,
    )
    try:
        manifest = quantize(small, digits, recipe).manifest
    except SsmHdlError as error:
        assert "state" in str(error)
    else:
        assert run(manifest, digits.test.codes[:2]).outputs.shape == (2, 10)


def test_bad_calibration_is_refused(small, digits):
    inputs, train = small.inputs, digits.train
    with pytest.raises(SsmHdlError, match="all calibration samples are the constant 3"):
        calibrate(small.model.trace, inputs, replace(train, codes=np.full_like(train.codes, 3)))
    with pytest.raises(SsmHdlError, match="there are no calibration samples"):
        calibrate(small.model.trace, inputs, train.head(0))
    broken = rescale(small.model, np.ones(4))
    with torch.no_grad():
        broken.layer.D[1] = float("nan")
    with pytest.raises(SsmHdlError, match="values of readout are not finite"):
        calibrate(broken.trace, inputs, train.head(4))
    mnist = replace(digits, name="mnist")
    with pytest.raises(SsmHdlError, match="the checkpoint is for digits, not for mnist"):
        quantize(small, mnist, Recipe.load("w8a8"))


@pytest.mark.parametrize(
    ("activations", "message"),
    [
        (
            16,
            (
                "recipe own: readout has 16 bits, and the table of gelu after it takes at most 12; "
                "give readout a width of its own"
            ),
        ),
        ({"default": 8, "mixing": 13}, "mixing has 13 bits, and the table of sigmoid"),
    ],
)
def test_tables_have_an_end(small, digits, activations, message):
    with pytest.raises(SsmHdlError, match=message):
        quantize(small, digits, Recipe(name="own", activations=activations, samples=8))


def test_channels_without_input_and_poles_that_hardly_decay(small, digits):
    model = rescale(small.model, np.ones(4))
    with torch.no_grad():
        model.encoder.weight.zero_()
        model.encoder.bias.zero_()
        model.layer.kernel.log_dt[:] = -14
    for recipe in ("w4a6x6", Recipe(name="narrow", weights=4, transition=2, state=6)):
        recipe = (Recipe.load(recipe) if isinstance(recipe, str) else recipe).model_copy(
            update={"samples": 16}
        )
        manifest = quantize(replace(small, model=model), digits, recipe).manifest
        assert run(manifest, digits.test.codes[:2]).outputs.shape == (2, 10)


def test_calibration_is_the_trace_of_all_samples(small, digits):
    codes = digits.train.codes[:40]
    calibration = S4DLowering.observe(small, digits.train.head(40))
    trace = small.model.trace(torch.from_numpy(small.inputs.normalise(codes)), states=True)
    states = trace.pop("ssm").numpy()
    peak, power = calibration.states["ssm"]
    np.testing.assert_allclose(
        peak, np.maximum(abs(states.real), abs(states.imag)).max((0, 1)), rtol=1e-6
    )
    np.testing.assert_allclose(power, (abs(states) ** 2).mean((0, 1)), rtol=1e-4)
    assert calibration.edges.keys() == trace.keys()
    for name, edge in trace.items():
        histogram = calibration.edges[name]
        assert histogram.counts.sum() == edge.numel()
        np.testing.assert_allclose(
            histogram.low, edge.reshape(-1, edge.shape[-1]).amin(0).numpy(), rtol=1e-5
        )
        np.testing.assert_allclose(
            histogram.high, edge.reshape(-1, edge.shape[-1]).amax(0).numpy(), rtol=1e-5
        )
