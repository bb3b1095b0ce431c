# amaranth: UnusedElaboratable=no
"""PTQ of a Mamba: the manifest computes the model, with all options and by all recipes."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from random_graphs.plans import stagewise

from ssm_hdl import SsmHdlError, convert
from ssm_hdl.operations import Dense, Embedding, Lookup, Norm, Slice, Taps
from ssm_hdl.sim.compare import compare
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.verilated import VerilatedModel
from ssm_hdl.sw import checkpoint as checkpoints
from ssm_hdl.sw.checkpoint import Checkpoint
from ssm_hdl.sw.data import SPECS, Dataset, Split, load
from ssm_hdl.sw.models.mamba import MambaConfig
from ssm_hdl.sw.qat.finetune import finetune
from ssm_hdl.sw.qat.finetune_config import FinetuneConfig
from ssm_hdl.sw.qat.model import QatModel, outputs
from ssm_hdl.sw.quantize import PRESETS, Recipe, effort, program, quantize
from ssm_hdl.sw.quantize.bench import Bench, Subject
from ssm_hdl.sw.quantize.mamba import MambaLowering
from ssm_hdl.sw.quantize.parts import with_widths
from ssm_hdl.sw.train import logits

CHECKPOINT = Path(__file__).parents[2] / "checkpoints" / "mamba-digits.safetensors"
TABLES = dict.fromkeys(("conv", "gate", "dt"), 12)
WIDE = Recipe(
    name="wide",
    weights=16,
    activations={"default": 16, "drive": 14, **TABLES},
    transition=12,
    state=16,
    pool=16,
    samples=24,
    clip="minmax",
    state_margin=1.0,
)
RECIPES = [name for name in PRESETS if name.startswith("mamba")]


@pytest.fixture(scope="module")
def trained():
    return checkpoints.load(CHECKPOINT)


@pytest.fixture(scope="module")
def bench(digits):
    return Bench(Subject(CHECKPOINT, None, samples=48, images=150), digits)


def untrained(spec, **options):
    """A model with random gains and skips, which are 1 before training."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = (
            MambaConfig(**{"width": 6, "modes": 3, "layers": 2, "dt_range": (1e-2, 1), **options})
            .build(spec)
            .eval()
        )
        for name, values in model.named_parameters():
            if "norm" in name or name.endswith(".D"):
                values.data = torch.rand_like(values) - 0.3
    return Checkpoint(model, spec, {"name": "small"})


def relative_error(manifest, checkpoint, codes):
    """Of the logits."""
    wanted = logits(checkpoint.model, torch.from_numpy(checkpoint.inputs.normalise(codes))).numpy()
    noise = outputs(QatModel(manifest), codes) * manifest.output.format.lsb - wanted
    return float(np.sqrt((noise**2).sum() / (wanted**2).sum()))


def few(name, samples=24):
    return Recipe.load(name).model_copy(update={"samples": samples})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {
            "norm": "none",
            "final_norm": False,
            "residual": False,
            "layers": 1,
            "width": 8,
            "taps": 2,
        },
        {"pooling": "max", "width": 20, "expand": 1, "rank": 3},
        {"pooling": "last", "norm": "none", "expand": 1, "width": 8},
        {"norm": "none", "layers": 1, "taps": 1},
    ],
    ids=lambda options: "-".join(map(str, options.values())) or "default",
)
def test_wide_integers_are_the_float_model(digits, options):
    small = untrained(SPECS["digits"], **options)
    hadamard = small.model.config.inner in (8, 16, 20)  # 12 has a transform too
    quantized = quantize(small, digits, with_widths(WIDE, {}, hadamard=hadamard, fit=False))
    assert relative_error(quantized.manifest, small, digits.test.codes[:50]) < 0.001
    assert min(error.sqnr_db for error in quantized.errors.values()) > 40
    nodes = quantized.manifest.nodes
    assert list(quantized.errors) == [
        name for name, node in nodes.items() if not isinstance(node.op, Taps)
    ]
    config = small.model.config
    assert (
        sum(isinstance(node.op, Norm) for node in nodes.values())
        == config.layers * (config.norm != "none") + config.final_norm
    )
    assert ("residual_0" in nodes) == config.residual and ("hadamard_0" in nodes) == hadamard
    assert ("carry_f" in nodes) == (config.pooling == "max")


def test_a_step_of_time_that_underflows_holds_the_state(digits):
    small = untrained(SPECS["digits"], layers=1)
    dt = small.model.blocks[0].mixer.dt_proj
    x = torch.from_numpy(small.inputs.normalise(digits.test.codes[:50]))
    with torch.no_grad():
        rank = small.model.trace(x)["rank_0"]
        dt.weight.fill_(150 / (rank.max() - rank.min()))
        dt.bias.copy_(-dt.weight[:, 0] * rank.max())  # from -150, whose softplus is 0, to 0
        assert (small.model.trace(x)["step_0"] == 0).any()
    manifest = quantize(small, digits, with_widths(WIDE, {}, fit=False)).manifest
    assert relative_error(manifest, small, digits.test.codes[:50]) < 0.01


def test_what_cannot_be_lowered_is_said(digits):
    with pytest.raises(SsmHdlError, match=r"mamba-w8a8h transforms the channels .* not for 14; t"):
        program(untrained(SPECS["digits"], width=7), digits, few("mamba-w8a8h"))
    faint = untrained(SPECS["digits"])
    with torch.no_grad():
        for parameter in faint.model.encoder.parameters():
            parameter.mul_(1e-14)
    with pytest.raises(SsmHdlError, match=r"norm_0: encoder goes up to .* vanishes beside the"):
        program(faint, digits, few("mamba-plain"))


def test_the_operations_of_a_block(digits):
    manifest = program(untrained(SPECS["digits"]), digits, few("mamba-quamba"))[0]
    block = [
        (name.removesuffix("_1"), node.op.op)
        for name, node in manifest.nodes.items()
        if name.endswith("_1")
    ]
    assert block == [
        ("norm", "norm"),
        ("inner", "dense"),
        ("gate", "dense"),
        ("taps", "taps"),
        ("conv", "dense"),
        ("active", "lookup"),
        ("select", "dense"),
        ("rank", "slice"),
        ("b", "slice"),
        ("c", "slice"),
        ("dt", "dense"),
        ("rate", "lookup"),
        ("step", "lookup"),
        ("drive", "multiply"),
        ("scan", "selective"),
        ("skip", "dense"),
        ("sum", "add"),
        ("opened", "lookup"),
        ("gated", "multiply"),
        ("hadamard", "hadamard"),
        ("out", "dense"),
        ("residual", "add"),
    ]
    assert (
        manifest.graph.description
        == "Mamba, D = 6, E = 12, N = 3, 2 layers, for digits; quantized by recipe mamba-quamba"
    )


@pytest.mark.parametrize("tied", [False, True])
def test_a_language_model(tied):
    """Its label of a step is the next token."""
    text = np.random.default_rng(0).integers(0, 9, (24, 33))
    spec = replace(SPECS["listops"], steps=32, tokens=9, classes=9, per_step=True, class_names=())
    split = Split(text[:, :-1, np.newaxis], text[:, 1:])
    dataset = Dataset(**vars(spec), train=split, val=split, test=split)
    small = untrained(spec, tied=tied, layers=1)
    manifest = quantize(small, dataset, with_widths(WIDE, {}, samples=8, fit=False)).manifest
    assert isinstance(manifest.nodes["encoder"].op, Embedding) and not manifest.output.per_sequence
    assert relative_error(manifest, small, split.codes) < 0.02
    np.testing.assert_array_equal(
        outputs(QatModel(manifest), split.codes), run(manifest, split.codes).outputs
    )
    tuned = finetune(manifest, dataset, FinetuneConfig(epochs=1, batch_size=12))
    assert tuned.best >= tuned.before


@pytest.mark.parametrize("name", RECIPES)
def test_the_forward_pass_of_training_is_the_golden_model(trained, digits, name):
    manifest = program(trained, digits, few(name))[0]
    codes = digits.test.codes[:20]
    np.testing.assert_array_equal(outputs(QatModel(manifest), codes), run(manifest, codes).outputs)


def test_our_recipes_are_nearer_to_the_float_model(bench):
    measured = {
        name: bench.measure(Recipe.load(name))
        for name in ("mamba-plain", "mamba-w8a8x8", "mamba-w8a8")
    }
    sqnr = [one.sqnr_db for one in measured.values()]
    assert sqnr[0] + 6 < sqnr[1] < sqnr[2] - 2
    assert measured["mamba-w8a8"].score >= bench.float_score - 0.02


def test_training_of_the_integers_pays(trained, digits):
    manifest = program(trained, digits, few("mamba-plain"))[0]
    tuned = finetune(manifest, digits, FinetuneConfig(epochs=2, images=400))
    assert tuned.best > tuned.before + 0.05


def test_every_scale_is_a_power_of_two_and_every_function_a_table(trained, digits):
    manifest = program(trained, digits, few("mamba-w8a8"))[0]
    functions = {
        node.op.function for node in manifest.nodes.values() if isinstance(node.op, Lookup)
    }
    assert functions == {"silu", "softplus", "log2_softplus"}
    slices = [node for node in manifest.nodes.values() if isinstance(node.op, Slice)]
    assert {node.inputs[0].name for node in slices} == {"select_0", "select_1"}
    kernel = manifest.nodes["conv_0"]
    assert isinstance(kernel.op, Dense) and kernel.arrays["code"].shape == (16, 1, 4)


def test_every_part_has_the_width_that_it_is_given(bench):
    own = {
        part: 5 + at % 6
        for at, part in enumerate(
            part for part in bench.subject.parts if part.startswith(("act", "wei"))
        )
    }
    recipe = with_widths(few("mamba-w8a8h"), own | {"state": 11, "transition": 7}, fit=False)
    manifest = program(bench.checkpoint, bench.dataset, recipe, bench.calibration)[0]
    for part, width in own.items():
        kind, _, name = part.partition(".")
        name = name if name in ("encoder", "decoder") else f"{name}_1"
        if kind == "weights":
            assert manifest.tensors.formats[f"{name}.weight"].width == width, part
        elif name != "encoder":
            assert manifest.nodes[name].output.format.width == width, part
    assert manifest.nodes["scan_1"].op.state.width == 11
    assert manifest.tensors.formats["scan_1.alpha"].width == 7


def test_a_percentile_clips_the_input_of_the_ssm_alone(bench):
    def formats(recipe):
        manifest = program(bench.checkpoint, bench.dataset, recipe, bench.calibration)[0]
        return {name: node.output.format for name, node in manifest.nodes.items()}

    clipped = with_widths(Recipe.load("mamba-percentile"), {}, percentile=90.0)
    plain, clipped = formats(Recipe.load("mamba-plain")), formats(clipped)
    assert {name.rstrip("_01") for name in plain if plain[name] != clipped[name]} == {"active"}


def test_a_decay_outside_its_table_is_refused(digits):
    small = untrained(SPECS["digits"])
    with torch.no_grad():
        small.model.blocks[1].mixer.A_log[3] -= 20.0
    with pytest.raises(
        SsmHdlError,
        match=r"dt_1: -dt A of channel 3 goes from 2\^-3.* all outside the table of decays",
    ):
        program(small, digits, few("mamba-w8a8"))


def test_states_that_stay_zero_fit(digits):
    """A pruned block: its states, and all that its SSM reads, are zero."""
    small = untrained(SPECS["digits"])
    with torch.no_grad():
        for name, values in small.model.blocks[1].mixer.named_parameters():
            if not name.startswith(("A_log", "dt_proj")):
                values.zero_()
    manifest = quantize(small, digits, few("mamba-w8a8")).manifest
    assert relative_error(manifest, small, digits.test.codes[:50]) < 0.2


def test_the_usual_recipe_is_one_for_a_mamba(cli, tmp_path):
    file, small = tmp_path / "mine.npz", tmp_path / "small.safetensors"
    random = np.random.default_rng(0)
    np.savez(file, x=random.normal(0, 1, (40, 8, 2)), y=np.arange(40) % 2)
    dataset = load(str(file))
    untrained(dataset.spec, layers=1).save(small)
    given = (small, "--data", file, "--json")
    quantized = cli("quantize", *given, "--out", tmp_path / "integers")
    assert json.loads(quantized.out)["recipe"] == "mamba-w8a8"
    assert "recipe mamba-w8a8" in convert(small, file).manifest.graph.description
    tried = ("--parts", "state", "--widths", 8, "--out", tmp_path / "parts")
    report = json.loads(cli("sensitivity", *given, *tried).out)
    assert report["identity"]["recipe"]["name"] == "mamba-w8a8x8"


def test_a_wide_dt_is_refused(digits):
    with pytest.raises(
        SsmHdlError,
        match="dt has 13 bits, and the table of log2_softplus after it takes at most 12",
    ):
        program(
            untrained(SPECS["digits"]),
            digits,
            with_widths(few("mamba-w8a8"), {"activations.dt": 13}),
        )


def test_a_size_without_a_transform_is_refused(digits):
    with pytest.raises(SsmHdlError, match=r"Hadamard matrix .* not for 14"):
        program(untrained(SPECS["digits"], width=7), digits, few("mamba-quamba"))


def test_progress_adds_up(digits):
    small, done = untrained(SPECS["digits"]), []
    for name in ("mamba-plain", "mamba-w8a8h"):
        quantize(small, digits, few(name), done.append)
        assert sum(done) == effort(small, digits, few(name)), name
        done.clear()


def test_samples_share_one_calibration(trained, digits):
    samples, recipe = digits.train.head(24), few("mamba-quamba")
    known = MambaLowering.observe(trained, samples)
    again = MambaLowering(trained, samples, recipe, known).lower({}).manifest
    assert again.to_yaml() == MambaLowering(trained, samples, recipe).lower({}).manifest.to_yaml()


def test_the_pipeline_gives_the_same_bits(digits, cache):
    small = untrained(SPECS["digits"], width=4, modes=2, layers=1, expand=1)
    manifest = program(small, digits, with_widths(few("mamba-w8a8h"), {}, fit=False))[0]
    plan = stagewise(manifest, Random(11), family="generic")  # which Verilator reads
    model = VerilatedModel(manifest, plan, optimise=0, cache=cache)
    codes = digits.test.codes[:3, :12]
    for stalls in (0.0, 0.3):
        assert compare(manifest, model, codes, stalls=stalls).differences == 0
