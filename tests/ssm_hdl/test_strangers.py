"""Manifests from strangers: whatever a file holds, it runs, or is refused by name with one line,
quickly."""

import json
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from ssm_hdl import SQ, Format, Manifest, SsmHdlError
from ssm_hdl.document import parse
from ssm_hdl.families import DEVICES
from ssm_hdl.fixed import MAX_WIDTH
from ssm_hdl.gen.size.planner import plan_for
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Add, Dense, Edge, Multiply, Pool, Tensor, Tensors
from ssm_hdl.sim.golden import evaluate, run
from ssm_hdl.sim.verilated import VerilatedModel
from ssm_hdl.sw.qat.model import QatModel

DENSE = (
    "{name: y, op: dense, input: x, weight: {tensor: w, format: 'SQ(1, 7)'}, format: 'SQ(4, 5)'}"
)
SCAN = (
    "{name: s, op: scan, input: %s, transition: {tensor: a, format: 'SQ(1, 7)'}, exponent: e, "
    "format: 'SQ(3, 5)'}"
)


def text(*operations, name="t", steps="4", size="2", format="SQ(3, 5)", output="y", more=""):
    lines = "".join(f"- {operation}\n" for operation in operations or (DENSE,))
    return (
        f"schema_version: 1\nname: {name}\nsteps: {steps}\n{more}input: {{name: x, size: {size}, "
        f"format: '{format}'}}\noperations:\n{lines}output: {output}\n"
    )


def write(folder, yaml=None, arrays=None, metadata=None):
    (folder / "manifest.yaml").write_text(text() if yaml is None else yaml)
    arrays = {"w": np.ones((2, 2), np.int8)} if arrays is None else arrays
    (folder / "weights.safetensors").write_bytes(save(arrays, metadata=metadata))


def refusal(folder):
    """The message of `Manifest.load`: one short line, within 2 seconds."""
    began = time.process_time()
    with pytest.raises(SsmHdlError) as caught:
        Manifest.load(folder)
    assert time.process_time() - began < 2
    message = str(caught.value).replace(str(folder), "")
    assert "\n" not in message and len(message) < 500
    return message


@pytest.mark.parametrize(
    "yaml,message",
    [
        pytest.param(text(steps="010"), "steps: must be an integer (it is '010')", id="octal"),
        pytest.param(text(steps="1:30"), "steps: must be an integer (it is '1:30')", id="base 60"),
        pytest.param(
            text(steps="1_000"), "steps: must be an integer (it is '1_000')", id="underscore"
        ),
        pytest.param(
            text(steps="0x10"), "steps: must be an integer (it is '0x10')", id="hexadecimal"
        ),
        pytest.param(text(steps="4.0"), "steps: must be an integer (it is '4.0')", id="float"),
        pytest.param(text(size="true"), "input.size: must be an integer (it is True)", id="bool"),
        pytest.param(
            text(steps="7" * 5000), "steps: must be an integer (it is '7777", id="5,000 digits"
        ),
        pytest.param(
            text(size="1000000"), "input.size: must be at most 65536 (it is 1000000)", id="size"
        ),
        pytest.param(
            text(more="steps: 5\n"), "line 4: steps comes twice; remove one", id="duplicate"
        ),
        pytest.param(
            text(DENSE.replace("op: dense", "op: dense, op: scan")),
            "line 6: op comes twice; remove one",
            id="duplicate of two",
        ),
        pytest.param("[" * 2000, "nest", id="brackets"),
        pytest.param("- " * 2000, "line 1: nested more than 16 deep", id="dashes"),
        pytest.param("{a: " * 2000, "line 1: nested more than 16 deep", id="braces"),
        pytest.param(
            "? " * 2000, "line 1: a key is a list, a mapping or an alias", id="complex keys"
        ),
        pytest.param("a: &a [*a]\n", "line 1: *a refers to no value above it", id="recursion"),
        pytest.param(
            text(more="description: !!python/name:os.system\n"),
            "line 4: the tag tag:yaml.org,2002:python/",
            id="tag",
        ),
        pytest.param("--- 1\n--- 2\n", "a second document begins", id="documents"),
        pytest.param("a\x00b", "is not YAML", id="control characters"),
        pytest.param("#" * (1 << 20) + "\n", "is longer than 1,048,576 bytes", id="long file"),
        pytest.param(
            text(format="SQ(1000008, -1000000)"),
            "input.format: 'SQ(1000008, -1000000)' is not a format",
            id="far point",
        ),
        pytest.param(
            text(DENSE.replace("'SQ(4, 5)'", "[SQ]")),
            "y.format: a list is not a format; write SQ(i, f)",
            id="list",
        ),
        pytest.param(
            text(DENSE.replace("'SQ(4, 5)'", "null")), "y.format: None is not a format", id="null"
        ),
        pytest.param(text("[y]"), "operation 0: must be a mapping", id="operation"),
        pytest.param(text("{op: [dense]}"), "operation 0", id="op"),
        pytest.param(
            text(DENSE.replace("y", "y" * 65)), "must have at most 64 characters", id="long name"
        ),
        pytest.param(
            text(more="weights: ../../etc/passwd\n"),
            "weights: must match pattern",
            id="other folder",
        ),
        pytest.param(
            text(more="weights: /etc/passwd\n"), "weights: must match pattern", id="absolute"
        ),
        pytest.param(text(more="weights: ..\n"), "weights: must match pattern", id="parent"),
        pytest.param(
            "schema_version: true\n", "schema_version is True, this ssm-hdl reads 1", id="version"
        ),
    ],
)
def test_text(tmp_path, yaml, message):
    write(tmp_path, yaml)
    assert message in refusal(tmp_path)


@pytest.mark.parametrize(
    "field", ["format: *z9", "inputs: *z9", "name: *z9", "unknown: *z9", "op: *z9"]
)
def test_alias_bomb(tmp_path, field):
    """Ten aliases of ten aliases .. 10**10 values if they are walked."""
    bomb = "".join(
        f"  - &z{k} [{', '.join([f'*z{k - 1}' if k else 'z'] * 10)}]\n" for k in range(10)
    )
    write(
        tmp_path, f"description:\n{bomb}" + text(f"{{name: y, op: add, inputs: [x, x], {field}}}")
    )
    assert "(it is" not in refusal(tmp_path)  # the value is not shown


def test_what_people_read(tmp_path):
    yaml = text(DENSE.replace("tensor: w", "tensor: 1"), more="description: 2024-13-45\n")
    write(tmp_path, yaml, {"1": np.ones((2, 2), np.int8)})
    manifest = Manifest.load(tmp_path)
    assert manifest.graph.description == "2024-13-45"
    assert parse("{a: no, b: 1e3, c: '12', d: -7, e: ~, f: &x true, g: *x, h: 0, on: }") == {
        **{
            "a": "no",
            "b": "1e3",
            "c": "12",
            "d": -7,
            "e": None,
            "f": True,
            "g": True,
            "h": 0,
            "on": None,
        }
    }


@given(st.text(), st.text(st.characters(categories=["L", "N", "P"]), min_size=1))
def test_any_text_survives(description, tensor):
    graph = Graph.model_validate(parse(text()) | {"description": description})
    graph = graph.model_copy(
        update={
            "operations": (
                graph.operations[0].model_copy(
                    update={"weight": Tensor(tensor=tensor, format=SQ(1, 7))}
                ),
            )
        }
    )
    manifest = Manifest(graph, Tensors({tensor: np.ones((2, 2), np.int64)}, {}))
    try:
        again = Graph.model_validate(parse(manifest.to_yaml()))
    except UnicodeEncodeError:
        return
    assert again == graph


@pytest.mark.parametrize(
    "name", ["clk", "rst", "i_valid", "o_last", "w_data", "reg", "logic", "module", "std"]
)
def test_model_that_cannot_be_a_module(tmp_path, name):
    write(tmp_path, text(name=name))
    assert f"name: {name!r} is a " in refusal(tmp_path) and f"{name}_model" in refusal(tmp_path)


def test_a_tensor_that_comes_twice(tmp_path):
    write(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes(
        b'\x70\0\0\0\0\0\0\0{"w":{"dtype":"I8","shape":[2,2],"data_offsets":[0,4]},'
        b'"w":{"dtype":"U8","shape":[2,2],"data_offsets":[0,4]}}     \xff\xff\xff\xff'
    )
    assert "'w' comes twice in its header; remove one" in refusal(tmp_path)


RAW = {"F8_E4M3": 1, "F8_E5M2": 1, "BF16": 2, "F16": 2, "F32": 4, "F64": 8, "BOOL": 1}


@pytest.mark.parametrize("kind", RAW)
def test_tensors_that_are_no_integers(tmp_path, kind):
    write(tmp_path)
    size = 4 * RAW[kind]
    header = json.dumps({"w": {"dtype": kind, "shape": [2, 2], "data_offsets": [0, size]}}).encode()
    (tmp_path / "weights.safetensors").write_bytes(
        len(header).to_bytes(8, "little") + header + bytes(size)
    )
    assert f"tensor 'w' holds {kind} numbers; it must hold integer codes" in refusal(tmp_path)


@pytest.mark.parametrize(
    "formats,message",
    [
        (
            '["SQ(1, 7)"]',
            "the metadata 'formats' is ['SQ(1, 7)']; it must map each tensor to its format",
        ),
        ("null", "the metadata 'formats' is None"),
        ("7", "the metadata 'formats' is 7"),
        ("7" * 5000, "the metadata 'formats' is not JSON"),
        ("[" * 100_000, "the metadata 'formats' is not JSON"),
        ("{", "the metadata 'formats' is not JSON"),
        ('{"w": "SQ(1, 7)", "w": "SQ(2, 6)"}', "the metadata 'formats' has 'w' twice; remove one"),
        ('{"w": "int8"}', "the metadata 'formats' of tensor 'w': 'int8' is not a format"),
        ('{"w": ["SQ(1, 7)"]}', "the metadata 'formats' of tensor 'w': a list is not a format"),
        ('{"w": "SQ(60, -52)"}', "y: tensor 'w' in SQ(60, -52) is shifted left by 59 bits"),
        ('{"w": "SQ(-68, 70)"}', "y: tensor 'w' in SQ(-68, 70) drops 63 bits"),
    ],
)
def test_metadata(tmp_path, formats, message):
    write(
        tmp_path,
        arrays={"w": np.full((2, 2), 1 if "-68" in formats else 15)},
        metadata={"formats": formats},
    )
    assert message in refusal(tmp_path)


@pytest.mark.parametrize(
    "operations,arrays,message",
    [
        (
            (DENSE,),
            {"w": np.full((2, 2), 2**64 - 1, np.uint64)},
            "tensor 'w' holds 18446744073709551615; a code has at most 62 bits",
        ),
        (
            (DENSE,),
            {"w": np.full((2, 2), -(2**63))},
            "tensor 'w' holds -9223372036854775808; a code has at most 62 bits",
        ),
        (
            (DENSE,),
            {"w": np.ones((0, 2), int)},
            "y: tensor 'w' has shape (0, 2); every axis needs at least one element",
        ),
        ((DENSE,), {"w": np.ones((2, 0, 1), int)}, "y: tensor 'w' has shape (2, 0, 1)"),
        (
            (DENSE,),
            {"w": np.ones((1 << 17, 2), int)},
            "y: a packet of 131,072 elements; there are at most 65,536",
        ),
        (
            (DENSE,),
            {"w": np.ones((1 << 22, 2), np.int8)},
            "holds 8,388,608 integers; at most 4,194,304 are read",
        ),
        (
            (SCAN % "x",),
            {"a": np.ones((2, 0, 2), int), "e": np.ones((2, 0), int)},
            "s: tensor 'a' has shape (2, 0, 2)",
        ),
        (
            ("{name: p, op: pool, input: x, shift: 0, format: 'SQ(3, 5)'}", SCAN % "p"),
            {"a": np.ones((2, 1, 2), int), "e": np.ones((2, 1), int)},
            (
                "s: its input p comes once per sequence, after a pool; "
                "a scan needs an input every time step"
            ),
        ),
        (
            (
                "{name: p, op: pool, input: x, shift: 0, format: 'SQ(3, 5)'}",
                "{name: y, op: add, inputs: [x, p], format: 'SQ(3, 5)'}",
            ),
            {},
            "y: p comes once per sequence and x every time step; pool x first",
        ),
    ],
)
def test_arrays(tmp_path, operations, arrays, message):
    write(tmp_path, text(*operations), arrays)
    assert message in refusal(tmp_path)


def test_training_refuses_what_float64_does_not_hold(tmp_path):
    write(tmp_path, text(DENSE.replace("'SQ(4, 5)'", "'SQ(40, 15)'")))
    with pytest.raises(SsmHdlError, match=r"^y: sums of 55 bits; training takes at most 51$"):
        QatModel(Manifest.load(tmp_path))


def test_embedding_of_no_columns(tmp_path):
    embedding = "{name: y, op: embedding, input: x, weight: {tensor: w, format: 'SQ(1, 7)'}}"
    write(tmp_path, text(embedding, format="UQ(3, 0)"), {"w": np.ones((8, 0), np.int8)})
    assert "y: tensor 'w' has shape (8, 0)" in refusal(tmp_path)


@pytest.mark.parametrize(
    "operation,format,codes,message",
    [
        (
            "{name: y, op: add, inputs: [x, x], format: 'SQ(4, 56)'}",
            "UQ(8, 0)",
            {},
            "y: rounding its exact result SQ(10, 0) to SQ(4, 56)",
        ),
        (
            DENSE.replace("'SQ(1, 7)'}", "'SQ(1, 7)', exponent: e}"),
            "SQ(3, 5)",
            {"w": [[1]], "e": [-70]},
            "y: rounding its exact result SQ(66, -58) to SQ(4, 5) shifts left by 63 bits",
        ),
        (
            DENSE.replace("weight", "bias: {tensor: b, format: 'SQ(60, -52)'}, weight"),
            "SQ(3, 5)",
            {"w": [[1]], "b": [5]},
            "y: bias 'b' in SQ(60, -52) is shifted left by 64 bits",
        ),
        (
            "{name: y, op: gumbel, input: x, temperature: 1024.0, seed: 1, format: 'SQ(4, 5)'}",
            "SQ(-50, 58)",
            {},
            "y: the exact result of x in SQ(-50, 58), noise of temperature 1024 has 72 bits",
        ),
        (
            "{name: y, op: multiply, inputs: [x, x], format: 'SQ(4, 5)'}",
            "SQ(16, 16)",
            {},
            "y: the exact result of x in SQ(16, 16), x in",
        ),
        (
            "{name: y, op: pool, input: x, shift: 0, format: 'SQ(4, 5)'}",
            "SQ(31, 31)",
            {},
            "y: the exact result of x in SQ(31, 31), 4",
        ),
        (
            "{name: y, op: pool, input: x, shift: 32, format: 'SQ(40, -32)'}",
            "SQ(3, 5)",
            {},
            "y: rounding its exact result SQ(-27, 37)",
        ),
        (
            "{name: y, op: norm, center: false, format: 'SQ(4, 5)'}",
            "UQ(31, 0)",
            {},
            "y: the squares of 1 elements of UQ(31, 0)",
        ),
        (
            "{name: y, op: norm, center: false, format: 'SQ(-88, 99)'}",
            "SQ(3, 5)",
            {},
            "y: rounding its exact result",
        ),
        (
            "{name: y, op: norm, center: false, format: 'SQ(99, -88)'}",
            "SQ(3, 5)",
            {},
            "y: no result of a norm reaches a code of SQ(99",
        ),
        (
            "{name: y, op: norm, center: false, epsilon: %s, format: 'SQ(4, 5)'}" % ("9" * 39),
            "SQ(3, 5)",
            {},
            "y.epsilon: must be less than 4611686018427387904 (it is 999",
        ),
    ],
)
def test_sums_that_are_not_exact(tmp_path, operation, format, codes, message):
    operation = (
        operation if "input" in operation else operation.replace("op: norm", "op: norm, input: x")
    )
    write(
        tmp_path,
        text(operation, size="1", format=format),
        {name: np.array(values) for name, values in codes.items()},
    )
    assert message in refusal(tmp_path)


@pytest.mark.parametrize("width,message", [(30, "sums of x in"), (22, "the exact result of x in")])
def test_a_sum_of_many_products_does_not_wrap(width, message):
    """2**12 products of 2**58 or 2**50: in int64 the first sum wraps to 0,
    the second is one bit too wide."""
    op = Dense(name="y", input="x", weight=Tensor(tensor="w", format=SQ(30, 0)), format=SQ(30, 0))
    tensors = Tensors({"w": np.full((1, 1 << 12), -(1 << 29))}, {})
    with pytest.raises(SsmHdlError, match=f"^y: {message}"):
        op.bind((Edge("x", 1 << 12, SQ(width, 0)),), tensors, 1)


FORMATS = st.builds(
    lambda signed, width, f_bits: Format(signed, width - f_bits, f_bits),
    st.booleans(),
    st.integers(2, 62),
    st.integers(-70, 70),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["add", "multiply", "pool", "dense"]), FORMATS, FORMATS, FORMATS, st.data())
def test_what_is_accepted_is_exact(kind, a, b, y, data):
    """The golden model in int64 and in Python's integers agree, or the operation is refused."""
    shift = data.draw(st.integers(0, 32))
    op = {
        "add": lambda: Add(name="y", inputs=("a", "b"), format=y),
        "multiply": lambda: Multiply(name="y", inputs=("a", "b"), format=y),
        "pool": lambda: Pool(name="y", input="a", shift=shift, format=y),
        "dense": lambda: Dense(
            name="y",
            input="a",
            weight=Tensor(tensor="w", format=SQ(1, 7)),
            bias=Tensor(tensor="b", format=b),
            format=y,
        ),
    }[kind]()
    codes = {"w": np.array([[-128, 127, 3]]), "b": np.array([data.draw(st.integers(b.min, b.max))])}
    edges = (Edge("a", 3, a), Edge("b", 3, b))[: len(op.sources)]
    try:
        node = op.bind(edges, Tensors(codes, {}), 4)
    except SsmHdlError:
        return
    ends = [
        st.sampled_from([edge.format.min, edge.format.max])
        | st.integers(edge.format.min, edge.format.max)
        for edge in edges
    ]
    inputs = [
        np.array(data.draw(st.lists(end, min_size=12, max_size=12))).reshape(1, 4, 3)
        for end in ends
    ]
    exact = evaluate(node, *(codes.astype(object) for codes in inputs))
    assert evaluate(node, *inputs).codes.tolist() == exact.codes.tolist()
    assert node.accumulator.width <= MAX_WIDTH


def same_bits(folder, seed=1, **sizing):
    """A manifest's RTL, with stalls, gives the bits of the golden model."""
    manifest = Manifest.load(folder)
    low, high = manifest.input.format.min, manifest.input.format.max
    samples = np.random.default_rng(seed).integers(
        low, high + 1, (3, manifest.steps, manifest.input.size)
    )
    model = VerilatedModel(manifest, plan_for(manifest, **sizing).plan, optimise=0)
    return np.array_equal(model.run(samples, stalls=0.3).outputs, run(manifest, samples).outputs)


def test_operations_of_any_name(tmp_path):
    """The names of adapters, ports and keywords: none of them clashes."""
    names = (
        "x_fork y_1_queue output_repack_1 loader pipeline entry ring i__valid o__payload loaded "
        "clk i w reg logic table output t"
    )
    operations, source = [], "x"
    for name in names.split():
        operations.append(f"{{name: {name}, op: add, inputs: [{source}, x], format: 'SQ(4, 5)'}}")
        source = name
    write(tmp_path, text(*operations, output=source), {})
    assert same_bits(tmp_path)


def test_a_chain_of_doublings_is_planned_quickly(tmp_path):
    """It has 2**40 paths."""
    sources = ["x", *(f"y{k}" for k in range(40))]
    chain = [
        f"{{name: y{k}, op: add, inputs: [{x}, {x}], format: 'SQ(3, 5)'}}"
        for k, x in enumerate(sources[:-1])
    ]
    write(tmp_path, text(*chain, output="y39"), {})
    began = time.process_time()
    plan_for(Manifest.load(tmp_path), share_layers=False)
    assert time.process_time() - began < 30


def test_a_folding_whose_results_a_pool_takes_one_by_one(tmp_path):
    pool = "{name: y, op: pool, input: d, shift: 0, format: 'SQ(1, 3)'}"
    dense = (
        "{name: d, op: dense, input: x, weight: {tensor: w, format: 'SQ(1, 3)'}, "
        "format: 'SQ(1, 3)'}"
    )
    write(
        tmp_path,
        text(dense, pool, size="4", format="SQ(1, 3)"),
        {"w": np.arange(-8, 16).reshape(6, 4).clip(-8, 7)},
    )
    assert same_bits(tmp_path, folding={"d": "2x4"})


def test_a_norm_too_wide_for_a_dsp_block(tmp_path):
    """d has 18 bits, and an SB_MAC16 takes 16: the product is made of LUTs."""
    write(tmp_path, text("{name: y, op: norm, input: x, format: 'SQ(3, 9)'}", size="8"), {})
    assert same_bits(tmp_path, device=DEVICES["up5k"])


@pytest.mark.parametrize(
    "operations,format",
    [
        ((DENSE.replace("SQ(1, 7)", "SQ(2, 16)"),), "SQ(3, 5)"),
        (("{name: y, op: multiply, inputs: [x, x], format: 'SQ(4, 5)'}",), "SQ(3, 17)"),
        ((SCAN.replace("7", "19") % "x", DENSE.replace("x", "s")), "SQ(3, 5)"),
    ],
    ids=["dense", "multiply", "scan"],
)
def test_operands_too_wide_for_a_dsp_block(tmp_path, operations, format):
    draw = np.random.default_rng(1).integers
    arrays = {"a": draw(-(1 << 18), 1 << 18, (8, 2, 2)), "e": np.zeros((8, 2), int)}
    arrays["w"] = (
        draw(-128, 128, (8, 1, 2, 2)) if len(operations) > 1 else draw(-(1 << 17), 1 << 17, (16, 8))
    )
    write(tmp_path, text(*operations, size="8", format=format), arrays)
    assert same_bits(tmp_path, device=DEVICES["up5k"])


@pytest.mark.parametrize(
    "operation,format",
    [
        ("{name: y, op: add, inputs: [x, x], format: 'SQ(4, 53)'}", "UQ(7, 0)"),
        ("{name: y, op: multiply, inputs: [x, x], format: 'SQ(40, -20)'}", "SQ(20, 11)"),
        ("{name: y, op: pool, input: x, shift: 2, format: 'SQ(30, 30)'}", "SQ(29, 31)"),
    ],
)
def test_sums_of_62_bits(tmp_path, operation, format):
    write(tmp_path, text(operation, format=format), {})
    assert same_bits(tmp_path)


def test_existing_manifests_load(request):
    folders = sorted((request.config.rootpath / "manifests").glob("*/manifest.yaml"))
    assert folders
    for path in folders:
        assert Manifest.load(path).to_yaml() == path.read_text()
