"""The Python API: what it says equals what the commands say, bit for bit."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch

import ssm_hdl
from ssm_hdl.gen.verilog import bare
from ssm_hdl.sim.golden import run
from ssm_hdl.sw.data import load
from ssm_hdl.sw.evaluate import evaluate_integer


@pytest.fixture(scope="module")
def digits():
    return ssm_hdl.load("manifests/digits")


@pytest.fixture(scope="module")
def samples():
    return load("digits").test


def test_a_model_predicts_what_the_golden_model_says(digits, samples):
    codes = samples.codes[:20]
    outputs = run(digits.manifest, codes).outputs
    assert np.array_equal(digits.outputs(codes), outputs)
    assert np.array_equal(digits.predict(codes), outputs.argmax(-1))
    score, known = (
        digits.score(codes, samples.labels[:20]),
        evaluate_integer(digits.manifest, samples.head(20)),
    )
    assert score.scores == known.scores and score.correct == known.correct
    told = f"({known.correct} of 20)"
    assert told in str(score) and told in score._repr_html_() and len(str(score)) < 2000


def test_sequences_of_several_lengths_end_where_they_say(digits, samples):
    codes, length = samples.codes[:6], np.array([64, 10, 33, 64, 1, 33])
    alone = [digits.outputs(codes[i : i + 1, :steps])[0] for i, steps in enumerate(length)]
    assert np.array_equal(digits.outputs(codes, length), alone)


def test_a_converted_model_is_the_manifest_of_quantize(digits, samples, monkeypatch):
    model = ssm_hdl.convert("checkpoints/digits.safetensors", recipe="w8a8")
    assert model.manifest.to_yaml() == digits.manifest.to_yaml()
    calls, wanted = [], model.lowering.wanted
    monkeypatch.setattr(
        type(model.lowering), "wanted", lambda self, x: calls.append(len(x)) or wanted(x)
    )
    module = import_module("ssm_hdl.sw.quantize.compare")
    monkeypatch.setattr(
        module,
        "run",
        lambda manifest, x, **options: calls.append(len(x)) or run(manifest, x, **options),
    )
    trace = model.trace(samples.codes[:11])
    assert calls == [8, 8, 3, 3]  # each model runs each batch once
    assert {len(values) for values in (*trace.integer.values(), *trace.floating.values())} == {11}
    assert (
        trace.integer["decoder"].tolist()
        == (digits.outputs(samples.codes[:11]) * 2.0**-12).tolist()
    )
    assert trace.floating.keys() == trace.errors.keys() and "decoder" in trace.errors
    assert min(error.sqnr_db for error in trace.errors.values()) > 15
    assert "SQNR" in str(trace)
    assert digits.trace(samples.codes[:4]).errors == {}


def test_floats_become_the_codes_of_the_command_line(cli, tmp_path):
    rng = np.random.default_rng(1)
    x, y = rng.normal(0, 3, (60, 16, 2)), np.arange(60) % 3
    x[:, :, 0] += y[:, np.newaxis]
    np.savez(tmp_path / "mine.npz", x=x, y=y)
    assert (
        cli(
            "train",
            "small",
            "--data",
            tmp_path / "mine.npz",
            "--epochs",
            1,
            "--out",
            tmp_path / "m.safetensors",
        ).status
        == 0
    )
    model = ssm_hdl.convert(tmp_path / "m.safetensors", tmp_path / "mine.npz")
    same = ssm_hdl.convert(tmp_path / "m.safetensors", (x, y))
    assert same.manifest.to_yaml() == model.manifest.to_yaml()
    assert (
        cli(
            "quantize",
            tmp_path / "m.safetensors",
            "--data",
            tmp_path / "mine.npz",
            "--out",
            tmp_path / "m",
        ).status
        == 0
    )
    assert ssm_hdl.load(tmp_path / "m").manifest.to_yaml() == model.manifest.to_yaml()
    done = cli(
        "eval",
        tmp_path / "m",
        "--data",
        tmp_path / "mine.npz",
        "--split",
        "all",
        "--out",
        tmp_path / "codes.npy",
    )
    assert done.status == 0, done.err
    assert sorted(np.load(tmp_path / "codes.npy").tolist()) == sorted(model.outputs(x).tolist())
    scale = np.array(model.manifest.graph.samples.scale)
    codes = np.clip(np.floor(x / scale * 2048 + 0.5), -2048, 2047).astype(np.int64)
    assert np.array_equal(model.outputs(codes), model.outputs(x))


def test_a_module_of_pytorch_is_converted_by_its_state_dict(samples, tmp_path):
    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.D = torch.nn.Parameter(torch.randn(8))
            self.kernel = torch.nn.ParameterDict({
                "log_dt": torch.rand(8) - 3, "C": torch.randn(8, 4, 2),
                "log_A_real": torch.zeros(8, 4), "A_imag": 3.14 * torch.arange(4).repeat(8, 1),
            })  # fmt: skip
            self.output_linear = torch.nn.Sequential(torch.nn.Conv1d(8, 16, 1))

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = torch.nn.Linear(1, 8), torch.nn.Linear(8, 10)
            self.s4_layers = torch.nn.ModuleList([Block()])
            self.norms = torch.nn.ModuleList([torch.nn.LayerNorm(8)])

    torch.manual_seed(0)
    net = Net()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    given = {"norm_order": "postnorm", "activation": "gelu", "mean": 0, "std": 1}
    model = ssm_hdl.convert(net, "digits", **given)
    codes = samples.codes[:5]
    assert np.array_equal(
        model.outputs(codes), ssm_hdl.convert(tmp_path / "net.pt", "digits", **given).outputs(codes)
    )
    with pytest.raises(ssm_hdl.SsmHdlError, match=r"norm.order"):
        ssm_hdl.convert(net, "digits", mean=0, std=1)
    with pytest.raises(ssm_hdl.SsmHdlError, match="trained on"):
        ssm_hdl.convert(net)


def test_a_design_prints_draws_writes_and_simulates_itself(cli, digits, samples, tmp_path):
    design = digits.plan("up5k", 16e3)
    text = str(design)
    assert f"{design.report.cycles:,}" in text and max(map(len, text.splitlines())) <= 80
    html = design._repr_html_()
    assert (
        html.startswith("<svg")
        and html.count("<svg") == html.count("</svg>") == 1
        and "mixing" in html
    )
    files = design.write(tmp_path / "digits.v")
    assert (
        cli(
            "generate",
            "manifests/digits",
            "--device",
            "up5k",
            "--rate",
            "16e3",
            "-o",
            tmp_path / "b.v",
        ).status
        == 0
    )
    assert bare(files["verilog"].read_text()) == bare((tmp_path / "b.v").read_text())
    assert "module other" in design.verilog(name="other", wrap="axi-stream")
    assert (
        design.draw(tmp_path / "p.svg").stat().st_size > 1000
        and design.roofline(tmp_path / "r.svg").stat().st_size > 1000
    )
    compared = design.simulate(samples.codes[:3], stalls=0.2)
    assert (compared.equal, compared.differences, compared.elements) == (True, 0, 30)
    assert (
        compared.stress.elements > 30
        and not replace(compared, stress=replace(compared.stress, differences=1)).equal
    )
    with pytest.raises(ssm_hdl.SsmHdlError, match="board="):
        design.build(tmp_path)


def test_a_plan_for_a_board_is_that_of_build(digits):
    design = digits.plan(board="icebreaker", rate_hz=16e3)
    assert design.board.name == "icebreaker" and design.sized.clock_hz == design.board.clock_hz
    with pytest.raises(ssm_hdl.SsmHdlError, match="leave the device"):
        digits.plan("up5k", board="icebreaker")


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((2, 64)),
        np.zeros((0, 64, 1), int),
        np.full((1, 64, 1), 99),
        np.full((1, 64, 1), "a"),
    ],
)
def test_samples_that_do_not_fit_are_refused(digits, x):
    with pytest.raises(ssm_hdl.SsmHdlError):
        digits.predict(x)


def test_the_names_of_the_package_are_its_api():
    assert set(ssm_hdl.__all__) <= set(dir(ssm_hdl)) | {
        "Design",
        "Model",
        "Score",
        "Trace",
        "convert",
        "load",
    }
    for name in ssm_hdl.__all__:
        assert getattr(ssm_hdl, name)
    with pytest.raises(AttributeError, match="nothing"):
        _ = ssm_hdl.nothing


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda digits: digits.plan(3), "plan: device is 3; it must be a string"),
        (
            lambda digits: digits.plan("up5k", rate_hz="x"),
            "plan: rate_hz is 'x'; it must be a number",
        ),
        (
            lambda digits: digits.plan(folding=["mixing"]),
            r"plan: folding is \['mixing'\]; it must be a mapping",
        ),
        (
            lambda digits: digits.plan("up5k", 1.0, fastest=True),
            "rate_hz and fastest are two different wishes",
        ),
        (lambda digits: digits.plan("up5k", 1e9), "(ask for it with fastest)"),
        (lambda digits: digits.plan(dsp=True), "plan: dsp is True; it must be an integer"),
        (lambda digits: digits.plan(dsp="4"), "plan: dsp is '4'; it must be an integer"),
        (
            lambda digits: digits.plan("up5k", rate_hz="16e3"),
            "rate_hz is '16e3'; it must be a number",
        ),
        (lambda digits: digits.plan(fastest=1), "fastest is 1; it must be true or false"),
        (lambda digits: digits.plan(folding={"mixing": True}), "it must be an integer"),
        (lambda digits: digits.plan(clock_hz=1e15), "at most the 1,000 of"),
        (
            lambda digits: digits.plan("up5k", 1e300),
            r"a rate of 1e\+300 time steps per second is none",
        ),
        (
            lambda digits: digits.plan(folding={"mixing": np.int64(77)}),
            "mixing: cannot fold onto 77",
        ),
        (
            lambda digits: digits.plan(board="icebreaker").build("x", seeds=range(-1, 2)),
            r"seeds are \[-1, 0, 1\]; give",
        ),
        (
            lambda digits: ssm_hdl.convert("checkpoints/digits.safetensors", recipe=8),
            "recipe is 8; it must be a string",
        ),
        (
            lambda digits: digits.plan(board="icebreaker").build("x", clock_hz=2e7),
            r"no clock_hz=20000000.0; plan does; its arg",
        ),
        (
            lambda digits: digits.plan(board="icebreaker").build("x", seeds=()),
            r"seeds are \[\]; give at least one",
        ),
        (
            lambda digits: digits.plan(board="icebreaker").build(),
            "build: missing a required argument: 'folder'",
        ),
        (
            lambda digits: digits.plan("up5k", bits=8),
            "plan: it takes no bits=8; its arguments are device, rate_hz, board",
        ),
        (
            lambda digits: ssm_hdl.convert("checkpoints/digits.safetensors", progress=3),
            "progress is 3; it must be callable",
        ),
        (lambda digits: digits.save(""), "save: folder is empty; name a path"),
        (lambda digits: digits.save(None), "save: folder is None; it must be a string"),
        (lambda digits: ssm_hdl.load(3), "load: path is 3; it must be a string"),
        (
            lambda digits: ssm_hdl.convert(3),
            "model is 3; give the path of a checkpoint, or a module of PyTorch",
        ),
        (lambda digits: ssm_hdl.convert("checkpoints/digits.safetensors", 3), "data is 3; give"),
        (
            lambda digits: ssm_hdl.convert(torch.nn.Linear(2, 2), "digits"),
            r"Linear has .* give renamed=\{'OLD': 'NEW'\}",
        ),
        (
            lambda digits: ssm_hdl.convert(torch.nn.Linear(2, 2), "digits", mean="a"),
            "mean is 'a'; give a number",
        ),
    ],
)
def test_a_wrong_argument_is_named_as_the_caller_knows_it(digits, call, words):
    with pytest.raises(ssm_hdl.SsmHdlError, match=words) as error:
        call(digits)
    assert "--" not in str(error.value)


def test_numbers_of_numpy_are_numbers(digits):
    assert (
        digits.plan("up5k", np.int64(16000)).sized.plan
        == digits.plan("up5k", 16e3, folding={}).sized.plan
    )


def test_what_an_array_or_a_name_is_not_is_said(digits, samples, tmp_path):
    codes, design = samples.codes[:2], digits.plan()
    masked = np.ma.masked_array(codes, codes > 3)
    for call, words in (
        (lambda: digits.predict([[1, 2], [3]]), "x is no array"),
        (lambda: digits.predict(masked), "masked"),
        (lambda: design.verilog("module"), "'module' is a keyword"),
        (lambda: design.write(tmp_path / "x.v", "a b"), "name 'a b' is no name of a module"),
        (lambda: design.write(""), "write: path is empty; name a path"),
        (lambda: design.write("."), "name a file, such as digits.v"),
    ):
        with pytest.raises(ssm_hdl.SsmHdlError, match=words):
            call()
    assert np.array_equal(digits.predict(np.ma.masked_array(codes)), digits.predict(codes))
    assert not [*tmp_path.iterdir()]
