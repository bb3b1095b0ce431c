"""The manifest: round trip, editing by hand, and everything that it refuses."""

import numpy as np
import pytest
from safetensors.numpy import save

from ssm_hdl import Manifest, SsmHdlError
from ssm_hdl.sim.golden import run


@pytest.fixture
def folder(tmp_path, random_manifest):
    random_manifest().save(tmp_path)
    return tmp_path


def edit(folder, old, new):
    path = folder / "manifest.yaml"
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1))


def refused(folder, message):
    with pytest.raises(SsmHdlError, match=message):
        Manifest.load(folder)


@pytest.mark.parametrize("layers", (0, 2))
@pytest.mark.parametrize("features", [(), ("exponent", "delta", "dither")], ids=["plain", "all"])
def test_round_trip(tmp_path, random_manifest, random_samples, features, layers):
    manifest = random_manifest(channels=3, modes=2, features=features, layers=layers)
    path = manifest.save(tmp_path)
    again = Manifest.load(path)
    assert again.graph == manifest.graph
    assert again.to_yaml() == path.read_text()
    samples = random_samples(manifest)
    assert np.array_equal(run(again, samples).outputs, run(manifest, samples).outputs)


def test_activation_width_edited_by_hand(folder, random_samples):
    before = Manifest.load(folder)
    edit(folder, "function: gelu\n  format: SQ(3, 5)", "function: gelu\n  format: SQ(3, 8)")
    after = Manifest.load(folder)
    assert after.nodes["gelu"].output.format.f_bits == 8
    assert after.nodes["mixing"].accumulator.f_bits == before.nodes["mixing"].accumulator.f_bits + 3
    run(after, random_samples(after))


def test_weight_width_edited_by_hand_rounds_the_codes(folder):
    before = Manifest.load(folder).nodes["mixing"].arrays["weight"]
    edit(
        folder,
        "{tensor: mixing.weight, format: 'SQ(1, 7)'}",
        "{tensor: mixing.weight, format: 'SQ(1, 4)'}",
    )
    after = Manifest.load(folder).nodes["mixing"].arrays["weight"]
    assert np.array_equal(after, np.minimum((before + 4) >> 3, 15))


def test_accumulators_hold_the_extremes(random_manifest):
    for node in random_manifest(seed=5).nodes.values():
        if node.op.op == "dense" and not node.inputs[0].is_complex:
            x = node.inputs[0].format
            worst = np.abs(node.arrays["weight"]).sum(axis=-1).max() * max(-x.min, x.max)
            assert node.accumulator.max <= 4 * (worst + np.abs(node.arrays["bias"]).max() + 1)
            assert (
                node.arrays["weight"].clip(min=0).sum(axis=-1) * x.max
            ).max() <= node.accumulator.max


@pytest.mark.parametrize(
    "old,new,message",
    [
        (
            "tensor: encoder.weight",
            "tensor: encoder.wait",
            "encoder: tensor 'encoder.wait' is not in the weights file; it holds",
        ),
        (
            "tensor: encoder.weight",
            "tensor: " + "e" * 3000,
            r"^.{0,80}encoder: tensor 'e{50,60}\.\.\. is not in the weights file",
        ),
        ("op: lookup", "op: look", r"gelu: op 'look' is not known; there are 'add'"),
        ("format: SQ(3, 5)", "format: SQ(0, 0)", r"encoder.format: SQ\(0, 0\) has 0 bits in all"),
        ("format: SQ(3, 5)", "format: .nan", r"encoder.format: '.nan' is not a format"),
        (
            "schema_version: 1",
            "schema_version: 2",
            "schema_version is 2, this ssm-hdl reads 1; upgrade ssm-hdl",
        ),
        ("steps: 6", "steps: 0", "steps: must be at least 1"),
        ("steps: 6", "steps: .nan", "steps: must be"),
        ("steps: 6", "steps: 6\nstride: 2", "stride: is not known"),
        (
            "function: gelu",
            "function: relu",
            "gelu.function: no function 'relu'; there are gelu, gelu_tanh, log2_softplus, sigmoid",
        ),
        (
            "input: readout",
            "input: mixing",
            "gelu: its input 'mixing' is not defined above it; known there: pixel, encoder",
        ),
        ("output: decoder", "output: logits", "output 'logits' is not an operation"),
        ("output: decoder", "output: pool", "decoder: nothing reads it"),
        ("start: 2", "start: 3", "gate: elements 3 to 4 of mixing, which has 4"),
        (
            "inputs: [encoder, glu]",
            "inputs: [mixing, glu]",
            "residual: mixing has 4 elements and glu has 2; they must agree",
        ),
        (
            "name: gelu",
            "name: encoder",
            "encoder: two operations, or an operation and the input, have this name",
        ),
        (
            "format: SQ(3, 5)\n- name: gelu",
            "format: SQ(9, 5)\n- name: gelu",
            r"gelu: its input readout is SQ\(9, 5\), 14 bits",
        ),
        ("'SQ(1, 15)'}", "'SQ(1, 3)'}", r"ssm: .*(\|Abar\| >= 1|drops .* bits)"),
    ],
)
def test_bad_yaml(folder, old, new, message):
    edit(folder, old, new)
    refused(folder, message)


@pytest.mark.parametrize(
    "old,new,message",
    [
        ("result: complex", "result: real", "drive_1.result: must be 'complex'"),
        ("center: true", "center: true\n  gain: 2", "norm_1.gain: is not known"),
        ("epsilon: 20", "epsilon: -1", "norm_1.epsilon: must be at least 0"),
        (
            "  result: complex\n",
            "",
            (
                r"ssm_1: transition \(3, 1, 2\) and exponent \(3, 1\) "
                r"do not fit the 6 elements of drive_1"
            ),
        ),
        ("output: decoder", "output: drive_1", "decoder: nothing reads it"),
    ],
)
def test_bad_yaml_of_a_deep_model(tmp_path, random_manifest, old, new, message):
    random_manifest(modes=3, layers=1).save(tmp_path)
    edit(tmp_path, old, new)
    refused(tmp_path, message)


def test_a_complex_result_has_pairs_of_rows(tmp_path, random_manifest):
    random_manifest(modes=3, layers=1).save(tmp_path)
    rewrite(tmp_path, "drive_1.weight", lambda w: np.ascontiguousarray(w[:5]))
    refused(
        tmp_path,
        r"drive_1: 5 rows of 'drive_1.weight' are no pairs \(real, imaginary\) of a complex result",
    )


def test_not_yaml_not_a_mapping_not_there(folder, tmp_path):
    (folder / "manifest.yaml").write_text("a: [")
    refused(folder, "manifest.yaml is not YAML")
    (folder / "manifest.yaml").write_text("- 1\n")
    refused(folder, "it holds no fields")
    refused(tmp_path / "nowhere", "does not exist")


def rewrite(folder, name, change):
    manifest = Manifest.load(folder)
    arrays = {key: codes.astype(np.int32) for key, codes in manifest.tensors.codes.items()}
    arrays[name] = change(arrays[name])
    (folder / "weights.safetensors").write_bytes(save(arrays))


def test_wrong_shape(folder):
    rewrite(folder, "mixing.weight", lambda w: np.ascontiguousarray(w[:, :1]))
    refused(
        folder,
        r"mixing: weight 'mixing.weight' has shape \(1, 4, 1\) .* groups x columns must be 2",
    )


@pytest.mark.parametrize(
    "name,change,message",
    [
        (
            "mixing.weight.exponent",
            lambda x: x[:-1],
            (
                r"mixing: exponents 'mixing.weight.exponent' have shape \(3,\); "
                r"the channels of 'mixing.weight' are \(4,\)"
            ),
        ),
        (
            "ssm.transition.exponent",
            lambda x: x[:, :-1],
            (
                r"ssm: exponents 'ssm.transition.exponent' have shape \(2, 2\); "
                r"the channels of 'ssm.transition' are \(2, 3\)"
            ),
        ),
        (
            "readout.weight.exponent",
            lambda x: x[:, 0],
            r"readout: tensor .* has shape \(2,\); 2 axes are needed",
        ),
        (
            "mixing.weight.exponent",
            lambda x: np.array([-8, 0, 0, 8]),
            (
                "mixing: exponents 'mixing.weight.exponent' go from -8 to 8; "
                "they may be at most 15 apart"
            ),
        ),
    ],
)
def test_exponents_that_do_not_fit(tmp_path, random_manifest, name, change, message):
    random_manifest(features=("exponent",)).save(tmp_path)
    rewrite(tmp_path, name, lambda x: np.ascontiguousarray(change(x).astype(np.int32)))
    refused(tmp_path, message)


def test_nan(folder):
    rewrite(
        folder, "mixing.weight", lambda w: np.where(w > 0, np.float32("nan"), w.astype(np.float32))
    )
    refused(folder, "tensor 'mixing.weight' holds F32 numbers; it must hold integer codes")


def test_codes_beyond_their_format(folder):
    rewrite(folder, "mixing.weight", lambda w: w * 1000)
    refused(folder, r"mixing: tensor 'mixing.weight' holds codes from .* outside SQ\(1, 7\)")


def test_unstable_pole(folder):
    rewrite(folder, "ssm.transition", lambda a: np.full_like(a, 30000))
    refused(folder, r"ssm: \|Abar\| >= 1 in 6 modes of 'ssm.transition' .* channel 0, mode 0")


def test_truncated_weights(folder):
    path = folder / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    refused(folder, "weights.safetensors is damaged or not a safetensors file")
    path.unlink()
    refused(folder, "weights.safetensors does not exist")


@pytest.mark.parametrize(
    "samples,message",
    [
        (
            np.full((1, 6, 1), 256),
            r"sample 256 \(sequence 0, step 0, element 0\) is outside UQ\(0, 8\), .* 0 to 255",
        ),
        (np.zeros((1, 7, 1), dtype=int), "a sequence of 7 steps; random_s4d takes 1 to 6"),
        (np.zeros((1, 6), dtype=int), r"samples of shape \(1, 6\)"),
        (np.zeros((1, 6, 1)), "type float64"),
        (np.zeros((1, 6, 1), "m8[s]"), "type timedelta64"),
        (np.full((1, 6, 1), 2**64 - 1, np.uint64), "sample 18446744073709551615 "),
    ],
)
def test_samples_that_do_not_fit(random_manifest, samples, message):
    with pytest.raises(SsmHdlError, match=message):
        random_manifest().check_samples(samples)


def test_a_model_that_answers_at_every_step_takes_sequences_of_any_length(
    random_manifest, random_samples
):
    manifest = random_manifest(steps=6, pooled=False)
    samples = random_samples(manifest, 1, 50)
    outputs = run(manifest, samples).outputs
    assert (
        outputs.shape[1] == 50 and (outputs[:, :6] == run(manifest, samples[:, :6]).outputs).all()
    )


def test_a_description_says_once_what_was_done(random_manifest):
    manifest, known = random_manifest(channels=2, modes=2, steps=4), "of somebody"
    plain = Manifest(manifest.graph.model_copy(update={"description": known}), manifest.tensors)
    once = plain.described("trained")
    assert once.graph.description == "of somebody; trained"
    assert once.described("trained").graph == once.graph


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("mine-w4a8", "mine_w4a8"), ("Mine W4/A8", "mine_w4_a8"), ("2024", "tiny_2024"),
        ("模型", "tiny"), ("reg", "reg_model"), ("a" * 80, "a" * 64), ("", "tiny"),
    ],
)  # fmt: skip
def test_a_manifest_under_the_name_of_a_folder(random_manifest, tmp_path, folder, name):
    manifest = random_manifest(channels=2, modes=2, steps=4).named("tiny")
    manifest.named(folder).save(tmp_path)
    again = Manifest.load(tmp_path)
    assert again.name == name and again.named("tiny").graph == manifest.graph
