# amaranth: UnusedElaboratable=no
"""PTQ and QAT of a deep S4D: the manifest computes the model, with all options;
RTL with layers of its own and shared."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ssm_hdl import Manifest
from ssm_hdl.gen.depth import find_layers
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.operations import Norm, Scan, Slice
from ssm_hdl.sim.golden import run
from ssm_hdl.sim.verilated import VerilatedModel
from ssm_hdl.sw import checkpoint as checkpoints
from ssm_hdl.sw.data import SPECS, Dataset, Split
from ssm_hdl.sw.models.s4d import DeepS4DConfig
from ssm_hdl.sw.qat.model import QatModel, outputs
from ssm_hdl.sw.quantize import Recipe, effort, program, quantize
from ssm_hdl.sw.quantize.bench import Bench, Subject
from ssm_hdl.sw.quantize.s4d import DeepS4DLowering

ROOT = Path(__file__).parents[2]
SMALL = {"default": 16, "readout": 12, "mixing": 12, "gate": 12, "ff_enc": 12}
WIDE = Recipe(name="wide", weights=16, activations=SMALL, pool=16, samples=32, state_margin=1.0)


@pytest.mark.parametrize(
    ("options", "norms"),
    [
        ({"order": "postnorm"}, 2),
        ({"final_norm": True, "pooling": "max"}, 3),
        ({"norm": "layer"}, 2),
        ({"norm": "batch", "final_norm": True}, 0),
        ({"norm": "batch", "order": "postnorm", "gate": "half_glu1"}, 0),
        ({"norm": "none", "gate": "full_glu", "gelu": "tanh"}, 0),
        ({"skip": "norm", "hidden": 7, "gate": "none"}, 4),
        ({"pooling": "none", "order": "postnorm"}, 2),
    ],
    ids=str,
)
def test_wide_integers_are_the_float_model(digits, options, norms, untrained, sqnr):
    small = untrained(
        DeepS4DConfig,
        replace(SPECS["digits"], per_step=options.get("pooling") == "none"),
        **options,
    )
    x = torch.from_numpy(small.inputs.normalise(digits.test.codes[:8])).double()
    with torch.no_grad():
        model = small.model.double()
        torch.testing.assert_close(model(x), model.forward_recurrent(x), atol=1e-12, rtol=0)
        small.model.float()
    quantized = quantize(small, digits, WIDE)
    assert sqnr(quantized.manifest, small, digits.test.codes[:50]) > 55
    nodes = quantized.manifest.nodes
    slices = [
        name for name, node in nodes.items() if isinstance(node.op, Slice) and name.startswith("ff")
    ]
    assert set(quantized.errors) == {
        name for name, node in nodes.items() if not isinstance(node.op, Scan)
    } - set(slices)
    assert sum(isinstance(node.op, Norm) for node in nodes.values()) == norms
    codes = digits.test.codes[:20]
    assert np.array_equal(
        outputs(QatModel(quantized.manifest), codes), run(quantized.manifest, codes).outputs
    )


def test_a_gain_alone_is_folded_into_the_readout(digits, untrained):
    """Without a bias the scan reads the norm itself;
    with one it reads a dense of the gain and the bias."""
    for norm, source in (("layer", "norm_1"), ("layer_bias", "carry_1")):
        lowering = DeepS4DLowering(
            untrained(DeepS4DConfig, SPECS["digits"], norm=norm), digits.train.head(16), WIDE
        )
        assert lowering.lower({}).manifest.nodes["ssm_1"].op.input == source


def test_several_inputs_have_a_normalisation_each(digits, untrained, sqnr):
    spec = replace(SPECS["digits"], mean=(0.4, 0.1), std=(0.3, 0.6), name="two")
    codes = np.concatenate([digits.train.codes[:48], digits.train.codes[48:96] // 2], axis=2)
    split = Split(codes, digits.train.labels[:48])
    dataset = Dataset(**vars(spec), train=split, val=split, test=split)
    small = untrained(DeepS4DConfig, spec, order="postnorm")
    manifest = quantize(small, dataset, WIDE).manifest
    assert manifest.input.size == 2 and sqnr(manifest, small, codes) > 55


def test_progress_adds_up_and_every_part_has_its_width(digits, tmp_path, untrained):
    small, done = untrained(DeepS4DConfig, SPECS["digits"], order="postnorm"), []
    recipe = Recipe(name="few", samples=16)
    quantize(small, digits, recipe, done.append)
    assert sum(done) == effort(small, digits, recipe)
    bench = Bench(
        Subject(small.save(tmp_path / "small.safetensors"), None, samples=16, images=20), digits
    )
    names = [
        part.partition(".")[2] for part in bench.subject.parts if part.startswith("activations.")
    ]
    own = Recipe(
        name="own",
        activations={"default": 8} | {name: 5 + at % 7 for at, name in enumerate(names)},
        state_margin=1.0,
    )
    manifest, _ = program(
        bench.checkpoint, digits, own.model_copy(update={"samples": 16}), bench.calibration
    )
    stream = dict.fromkeys(("glu", "residual", "norm", "carry"), own.activations.stream)
    for name, width in (
        {name: own.activations[name] for name in set(names) - {"stream"}} | stream
    ).items():
        assert manifest.nodes[f"{name}_1"].output.format.width == width, name
    assert bench.measure(own).sqnr_db > 0


@pytest.mark.parametrize("order", ["prenorm", "postnorm"])
def test_layers_share_stages_and_rtl_equals_the_golden_model(digits, order, untrained):
    small = untrained(DeepS4DConfig, SPECS["digits"], order=order, layers=3)
    manifest = quantize(small, digits, Recipe(name="w8a8", samples=16, state_margin=1.0)).manifest
    assert len(find_layers(manifest).blocks) == 3
    codes = digits.test.codes[:3]
    for share in (True, False)[: 1 + (order == "postnorm")]:
        plan = plan_for(manifest, dsp=40, share_layers=share).plan
        result = VerilatedModel(manifest, plan, optimise=0).run(codes)
        assert np.array_equal(result.outputs, run(manifest, codes).outputs)


def test_the_paper_s_model_is_quantized_to_the_committed_bits(digits):
    """One layer without norm goes its own way, with equalised channels;
    its manifests stay what they were."""
    committed = Manifest.load(ROOT / "manifests" / "digits")
    manifest = quantize(
        checkpoints.load(ROOT / "checkpoints" / "digits.safetensors"), digits, Recipe.load("w8a8")
    ).manifest
    assert manifest.graph == committed.graph
    different = [
        name
        for name, codes in committed.tensors.codes.items()
        if not np.array_equal(manifest.tensors.codes[name], codes)
    ]
    assert different == []
