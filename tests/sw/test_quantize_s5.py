"""PTQ of an S5: the manifest computes the model, with all options."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ssm_hdl import SQ
from ssm_hdl.operations import Embedding, Norm, Scan, Slice
from ssm_hdl.sim.golden import run
from ssm_hdl.sw import checkpoint as checkpoints
from ssm_hdl.sw.data import SPECS, Dataset, Split, listops
from ssm_hdl.sw.models.s5 import S5Config
from ssm_hdl.sw.qat.model import QatModel, outputs
from ssm_hdl.sw.quantize import Recipe, effort, program, quantize
from ssm_hdl.sw.quantize.bench import Bench, Subject
from ssm_hdl.sw.quantize.s5 import S5Lowering
from ssm_hdl.sw.quantize.stack import affine

CHECKPOINT = Path(__file__).parents[2] / "checkpoints" / "s5-digits.safetensors"
WIDE = Recipe(
    name="wide",
    weights=16,
    activations={"default": 16, "sum": 12, "gate": 12, "ff_enc": 12},
    pool=16,
    samples=48,
)


@pytest.fixture(scope="module")
def trained():
    return checkpoints.load(CHECKPOINT)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"norm": "layer_bias", "gate": "full_glu", "discretization": "bilinear"},
        {"norm": "batch", "gate": "half_glu2", "gelu": "erf"},
        {"norm": "batch", "gate": "none"},
        {"norm": "layer_bias", "gate": "none", "gelu": "erf", "skip": "norm", "hidden": 7},
        {"norm": "batch", "skip": "norm"},
    ],
    ids=lambda options: "-".join(map(str, options.values())) or "default",
)
def test_wide_integers_are_the_float_model(digits, options, untrained, sqnr):
    small = untrained(S5Config, SPECS["digits"], **options)
    quantized = quantize(small, digits, WIDE)
    assert sqnr(quantized.manifest, small, digits.test.codes[:50]) > 42
    measured = [
        name
        for name, node in quantized.manifest.nodes.items()
        if not isinstance(node.op, Scan | Slice)
    ]
    assert list(quantized.errors) == measured
    norms = [node for node in quantized.manifest.nodes.values() if isinstance(node.op, Norm)]
    count = 2 * small.model.config.layers if options.get("hidden") else small.model.config.layers
    assert len(norms) == (0 if options.get("norm") == "batch" else count)
    gelus = {op.function for op in quantized.manifest.graph.operations if op.op == "lookup"} - {
        "sigmoid"
    }
    assert gelus == {"gelu" if options.get("gelu") == "erf" else "gelu_tanh"}


def test_a_norm_over_the_batch_is_the_affine_map_that_folds(digits, untrained):
    """The folded model is equal to the unfolded one, but for float rounding."""
    small = untrained(S5Config, SPECS["digits"], norm="batch")
    x = torch.from_numpy(small.inputs.normalise(digits.test.codes[:8]))
    trace = {name: values.double() for name, values in small.model.trace(x).items()}
    before = ["encoder", "residual_0"]
    for k, block in enumerate(small.model.blocks):
        is_norm, gain, offset = affine(block.norm)
        assert not is_norm
        b = block.seq.discrete()[1].detach().numpy()
        folded = trace[before[k]].numpy() @ (b * gain).T + b @ offset
        drive = trace[f"drive_{k}"].numpy()
        np.testing.assert_allclose(
            np.concatenate([folded.real, folded.imag], -1), drive, atol=1e-6 * np.abs(drive).max()
        )


def test_the_committed_model_loses_little(trained, digits, sqnr):
    manifest = quantize(
        trained, digits, Recipe.load("w8a8").model_copy(update={"samples": 128})
    ).manifest
    assert sqnr(manifest, trained, digits.test.codes) > 24
    correct = (run(manifest, digits.test.codes).outputs.argmax(1) == digits.test.labels).mean()
    assert correct >= float(trained.metadata["accuracy"]) - 0.01


def test_fitting_to_the_float_model_pays(trained, digits, sqnr):
    recipe = Recipe.load("w4a6x6").model_copy(update={"samples": 128})
    plain = S5Lowering(trained, digits.train.head(128), recipe).lower({}).manifest
    assert (
        sqnr(quantize(trained, digits, recipe).manifest, trained, digits.test.codes)
        > sqnr(plain, trained, digits.test.codes) + 2
    )


def test_every_part_has_the_width_that_it_is_given(trained, digits):
    subject = Subject(CHECKPOINT, None, samples=16, images=20)
    bench = Bench(subject, digits)
    names = [part.partition(".")[2] for part in subject.parts if part.startswith("activations.")]
    recipe = Recipe(
        name="own",
        weights={"default": 8, "drive": 7, "readout": 6, "skip": 5, "gate": 4},
        activations={"default": 8} | {name: 5 + at % 7 for at, name in enumerate(names)},
        state=11,
        transition=9,
        samples=16,
        state_margin=1.0,
    )
    manifest, _ = program(bench.checkpoint, digits, recipe, bench.calibration)
    formats = manifest.tensors.formats
    for k in range(2):
        widths = [
            formats[f"{name}_{k}.weight"].width for name in ("drive", "readout", "skip", "gate")
        ]
        assert widths == [7, 6, 5, 4]
        assert (
            manifest.nodes[f"ssm_{k}"].output.format == SQ(1, 10)
            and formats[f"ssm_{k}.transition"].width == 9
        )
        for name in set(names) - {"encoder", "value", "carry", "ff_enc", "ff_dec"}:
            assert manifest.nodes[f"{name}_{k}"].output.format.width == recipe.activations[name], (
                name
            )
    assert bench.measure(recipe).sqnr_db > 0


def test_tokens_are_rows_of_a_table(untrained, sqnr):
    codes, labels = listops.generate(24, 32)
    spec = replace(SPECS["listops"], steps=32)
    split = Split(codes, labels)
    dataset = Dataset(**vars(spec), train=split, val=split, test=split)
    small = untrained(S5Config, spec)
    manifest = quantize(small, dataset, replace_samples(WIDE, 24)).manifest
    assert isinstance(manifest.nodes["encoder"].op, Embedding) and manifest.input.name == "token"
    assert sqnr(manifest, small, codes) > 42
    np.testing.assert_array_equal(outputs(QatModel(manifest), codes), run(manifest, codes).outputs)


def replace_samples(recipe, samples):
    return recipe.model_copy(update={"samples": samples})


def test_progress_adds_up(digits, untrained):
    small, done = untrained(S5Config, SPECS["digits"]), []
    recipe = Recipe(name="few", samples=20)
    quantize(small, digits, recipe, done.append)
    assert sum(done) == effort(small, digits, recipe)
