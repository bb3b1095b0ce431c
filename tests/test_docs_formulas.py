# amaranth: UnusedElaboratable=no
"""The formulas in docs/stages.md and docs/multipliers.md, evaluated as they stand there,
equal what the gateware says."""

import ast
import math
import random
import re
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from subprocess import run
from typing import get_args

import numpy as np
import pytest
from amaranth.hdl import Shape
from graphs import selective_layers

from ssm_hdl import SQ
from ssm_hdl.document import MAX_BYTES
from ssm_hdl.families import FAMILIES
from ssm_hdl.fixed import MAX_WIDTH
from ssm_hdl.gateware.add import Add
from ssm_hdl.gateware.argmax import Argmax
from ssm_hdl.gateware.compact_dense import CompactDense
from ssm_hdl.gateware.dense import Dense
from ssm_hdl.gateware.dense_folding import DenseFolding
from ssm_hdl.gateware.embedding import Embedding
from ssm_hdl.gateware.gumbel import Gumbel
from ssm_hdl.gateware.hadamard import Hadamard
from ssm_hdl.gateware.largest import Largest
from ssm_hdl.gateware.last import Last
from ssm_hdl.gateware.layers import Layers
from ssm_hdl.gateware.lookup import Lookup
from ssm_hdl.gateware.mean import Mean
from ssm_hdl.gateware.multiply import Multiply
from ssm_hdl.gateware.norm import Norm
from ssm_hdl.gateware.pool import Pool
from ssm_hdl.gateware.ring import Ring
from ssm_hdl.gateware.scan import Scan
from ssm_hdl.gateware.scan_folding import ScanFolding
from ssm_hdl.gateware.selective import Selective
from ssm_hdl.gateware.selective_folding import SelectiveFolding, drives
from ssm_hdl.gateware.shift import Shifts, shift_latency
from ssm_hdl.gateware.slice import Slice
from ssm_hdl.gateware.stream import reals
from ssm_hdl.gateware.taps import Taps
from ssm_hdl.gen.structure import Structure
from ssm_hdl.hadamard import split
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Argmax as ArgmaxOperation
from ssm_hdl.operations import Edge, Node, Tensors
from ssm_hdl.operations import Hadamard as HadamardOperation
from ssm_hdl.operations import Largest as LargestOperation
from ssm_hdl.operations import Last as LastOperation
from ssm_hdl.operations import Scan as ScanOperation
from ssm_hdl.operations import Taps as TapsOperation
from ssm_hdl.operations.base import MAX_SIZE, MAX_SPREAD, Name
from ssm_hdl.operations.embedding import MAX_TOKEN_BITS
from ssm_hdl.operations.gumbel import Gumbel as GumbelOperation
from ssm_hdl.operations.lookup import MAX_ADDRESS_BITS, MAX_RESULT_BITS
from ssm_hdl.operations.norm import MAX_RESULT
from ssm_hdl.weights import MAX_INTEGERS

DOCS = Path(__file__).parents[1] / "docs"
TRIES = 12
"""Random foldings, kinds of multipliers and paces of a stage."""

MODELS = (
    {"channels": 12, "modes": 5, "features": ("exponent", "delta", "dither", "mean")},
    {"channels": 4, "modes": 3, "features": ("exponent", "narrow"), "classes": 6},
    {"channels": 8, "modes": 6, "layers": 2, "alike": True, "features": ("exponent", "delta")},
    {"channels": 64, "modes": 4, "layers": 1, "tokens": 11},
)


def column(page: str, header: str) -> dict[str, str]:
    """A column of the table of a page that has it, by the cells of the first column."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        for line in lines
    ]
    start = next(
        k for k, row in enumerate(rows) if header in row and re.fullmatch(r"[|: -]+", lines[k + 1])
    )
    index, found = rows[start].index(header), {}
    for row in rows[start + 2 :]:
        if not row:
            break
        found |= dict.fromkeys(re.findall(r"`(\w+)`", row[0]) or [row[0]], row[index].strip("`"))
    return found


CYCLES, LATENCY = (column("stages.md", header) for header in ("cycles per packet", "latency"))
TERMS = column("stages.md", "value")
PRODUCTS, SIDES = column("stages.md", "multiplications"), column("stages.md", "multipliers")
MULTIPLIER = column("multipliers.md", "`multiplier`")

FUNCTIONS = {"max": max, "ceil": math.ceil, "floor": math.floor, "log2": math.log2}


def value(formula: str, names: dict[str, int]) -> Fraction:
    """The value of a formula; a name that is not given has one among `TERMS`."""

    def walk(node: ast.expr) -> Fraction:
        match node:
            case ast.Constant(value=int(number)):
                return Fraction(number)
            case ast.Name(id=name):
                return Fraction(int(names[name])) if name in names else value(TERMS[name], names)
            case ast.Call(func=ast.Name(id=name), args=args):
                return Fraction(FUNCTIONS[name](*map(walk, args)))
            case ast.BinOp(left=left, op=op, right=right):
                a, b = walk(left), walk(right)
                return {
                    ast.Add: a.__add__,
                    ast.Sub: a.__sub__,
                    ast.Mult: a.__mul__,
                    ast.Div: a.__truediv__,
                }[type(op)](b)
        raise AssertionError(f"{formula}: {ast.dump(node)} is not arithmetic")

    return walk(ast.parse(formula, mode="eval").body)


def late_drive() -> Node:
    """A scan whose drive is shifted for longer than its narrow products take."""
    dice = np.random.default_rng(2)
    codes = {"a": dice.integers(-7, 8, (3, 4, 2)), "e": dice.integers(-3, 5, (3, 4))}
    op = ScanOperation.model_validate(
        {
            "name": "late",
            "input": "u",
            "transition": {"tensor": "a", "format": SQ(1, 4)},
            "exponent": "e",
            "format": SQ(1, 5),
        }
        | {"op": "scan", "delta": True}
    )
    codes["a"][..., 0] = -abs(codes["a"][..., 0]) - 1
    return op.bind((Edge("u", 3, SQ(2, 4)),), Tensors(codes, {}), steps=8)


def once() -> list[Node]:
    """What no model of the tests has."""
    x = Edge("x", 6, SQ(3, 5))
    operations = [
        operation(name="y", input="x")
        for operation in (LargestOperation, LastOperation, ArgmaxOperation)
    ]
    operations += [TapsOperation(name="y", input="x", taps=taps) for taps in (2, 5)]
    operations.append(
        GumbelOperation(name="y", input="x", temperature=1.0, seed=1, format=SQ(5, 3))
    )
    nodes = [operation.bind((x,), Tensors({}, {}), steps=8) for operation in operations]
    hadamard = HadamardOperation(name="y", input="x", shift=2, format=SQ(3, 5))
    sizes = (1, 2, 64, 12, 80)
    nodes += [
        hadamard.bind((Edge("x", size, SQ(3, 5)),), Tensors({}, {}), steps=8) for size in sizes
    ]
    return [*nodes, selective_layers(1, channels=7, modes=6).nodes["scan_1"]]


def dense(layers, dice: random.Random):
    folding, kind = dice.choice(DenseFolding.choices(layers)), dice.choice(("dsp", "lut"))
    stage = Dense(layers, folding.name, kind, pace := dice.choice((1, 2, 5)))
    groups, rows, *columns = layers.node.arrays["weight"].shape
    sizes = {"G": groups, "M": rows, "N": math.prod(columns), "columns": folding.columns}
    side = {
        "groups": folding.groups,
        "rows": folding.rows,
        "pace": pace,
        "align": stage._scale.latency,
    }
    assert (
        value(SIDES["dense" if groups == 1 else "dense of several groups"], sizes | side)
        == folding.multipliers
    )
    return stage, sizes | side | {"multiplier": folding.latency(kind)}


def compact_dense(layers, dice: random.Random):
    stage = CompactDense(
        layers,
        kind := dice.choice(("dsp", "lut")),
        pace := dice.choice((1, 5, 40)),
        dice.choice((False, True)),
    )
    groups, rows, *columns = layers.node.arrays["weight"].shape
    names = {
        "G": groups,
        "M": rows,
        "N": math.prod(columns),
        "pace": pace,
        "kept": rows > 1 and math.prod(columns) > 1,
    }
    names |= {"read": not layers.family.fast_rams, "places": stage.queue.depth}
    return (
        stage,
        names | {"accumulate": layers.family.multiplier(kind).sum_latency(*stage._factors)},
    )


def scan(layers, dice: random.Random):
    kind = dice.choice(("dsp", "lut"))
    folding = dice.choice([each for each in ScanFolding.choices(layers) if each.suits(kind)])
    stage = Scan(layers, folding.name, kind, pace := dice.choice((1, 2, 7)))
    code, state, align = folding.operands(kind)
    channels, modes = layers.node.arrays["scale"].shape
    names = {
        "C": channels,
        "N": modes,
        "channels": folding.channels,
        "modes": folding.within,
        "pace": pace,
        "align": align,
    }
    names |= {
        "terms": folding.terms,
        "phases": folding.phases,
        "sum": folding.terms == 3,
        "delta": layers.node.op.delta,
    }
    names |= {"multiplier": layers.family.multiplier(kind).latency(code, state)}
    names |= {"drive": Shifts(folding.amounts(layers, "shift")).latency}
    names |= {"K": (layers.node.arrays["transition"] != 0).any(axis=-1).sum()}
    assert value("loop", names) == stage.loop
    assert value(SIDES["scan, several cycles for a mode"], names) == folding.multipliers
    if folding.phases == 1:
        assert value(SIDES["scan"], names) == folding.multipliers
    return stage, names


def selective(layers, dice: random.Random):
    kind = dice.choice(("dsp", "lut"))
    folding = dice.choice(SelectiveFolding.choices(layers))
    stage = Selective(layers, folding.name, kind, pace := dice.choice((1, 2, 7)))
    channels, modes = layers.node.arrays["code"].shape
    names = {"C": channels, "N": modes, "modes": folding.modes, "pace": pace}
    names |= dict(
        zip(("drive", "align"), (shifts.latency for shifts in drives(layers, kind)), strict=True)
    )
    cycles = (folding.cycles_of(kind, product) for product in range(3))
    assert value(SIDES["selective"], names) == folding.multipliers
    return (
        stage,
        names | dict(zip(("multiplier", "multiplier_v", "multiplier_y"), cycles, strict=True)),
    )


def norm(layers, dice: random.Random):
    stage = Norm(layers, kind := dice.choice(("dsp", "lut")), pace := dice.choice((1, 2, 5)))
    signed, width = stage.deviation.x.signed, stage.deviation.x.width
    factor = Shape(max(width, int(layers.node.arrays["slope"].max()).bit_length() + signed))
    names = {
        "n": layers.node.output.size,
        "width": stage.deviation.root.width,
        "ones": stage.size.bit_count(),
        "pace": pace,
    }
    names |= {
        "square": layers.family.lut.latency(factor, factor),
        "bits": stage.deviation.most.bit_length(),
    }
    return stage, names | {"multiplier": stage.folding.latency(kind), "places": stage.queue.depth}


def elementwise(make) -> Callable:
    def build(layers, dice: random.Random):
        size = math.gcd(
            reals(layers.node.output),
            reals(layers.node.inputs[0]),
            getattr(layers.node.op, "start", 0),
        )
        lanes = dice.choice([n for n in range(1, size + 1) if size % n == 0])
        return make(layers, lanes, dice)

    return build


def lookup(layers, lanes, dice):
    stage = Lookup(layers, lanes, pace := dice.choice((1, 3)))
    return stage, {
        "n": reals(layers.node.output),
        "lanes": lanes,
        "pace": pace,
        "read": not layers.family.fast_rams,
    }


def multiply(layers, lanes, dice):
    kind, pace, compact = (
        dice.choice(("dsp", "lut")),
        dice.choice((1, 3)),
        dice.choice((False, True)),
    )
    stage = Multiply(layers, lanes, kind, pace, compact)
    a, b = (Shape(edge.format.width, edge.format.signed) for edge in layers.node.inputs)
    product = layers.family.multiplier(kind).latency(a, b)
    return stage, {
        "n": reals(layers.node.output),
        "lanes": lanes,
        "pace": pace,
        "multiplier": product,
        "round": 2 * (not compact),
    }


def add(layers, lanes, dice):
    return (
        Add(layers, lanes, pace := dice.choice((1, 3))),
        {"n": reals(layers.node.output), "lanes": lanes, "pace": pace},
    )


def compact_add(layers, lanes, dice):
    stage = Add(layers, lanes, pace := dice.choice((1, 3, 20)), compact=True)
    return stage, {"n": reals(layers.node.output), "lanes": lanes, "pace": pace}


def gumbel(layers, lanes, dice):
    stage = Gumbel(
        layers, 1, pace := dice.choice((1, 3, 20)), compact := dice.choice((False, True))
    )
    return stage, {"n": reals(layers.node.output), "pace": pace, "round": 2 * (not compact)}


def slice_(layers, lanes, dice):
    op = layers.node.op
    return (
        Slice(layers, lanes),
        {"n": reals(layers.node.inputs[0]), "lanes": lanes, "start": op.start, "size": op.size},
    )


def pool(layers, lanes, dice):
    stage = Pool(
        layers,
        lanes,
        registers=dice.choice((False, True)),
        compact=(compact := dice.choice((False, True))),
    )
    return stage, {
        "n": reals(layers.node.inputs[0]),
        "lanes": lanes,
        "memory": not stage.sums.registers,
        "round": 2 * (not compact),
    }


def largest(layers, lanes, dice):
    stage = Largest(layers, lanes, registers=dice.choice((False, True)))
    return (
        stage,
        {"n": reals(layers.node.inputs[0]), "lanes": lanes, "memory": not stage.sums.registers},
    )


def last(layers, lanes, dice):
    return Last(layers, lanes), {"n": reals(layers.node.inputs[0]), "lanes": lanes}


def mean(layers, lanes, dice):
    stage, node = Mean(layers, lanes, dice.choice((False, True))), layers.node
    names = {
        "n": reals(node.inputs[0]),
        "lanes": lanes,
        "T": int(node.arrays["steps"][0]),
        "bits": node.output.format.width,
    }
    return stage, names | {"memory": not stage.sums.sums.registers}


def embedding(layers, dice: random.Random):
    stage, width = (
        Embedding(layers.node, pace := dice.choice((1, 3))),
        layers.node.arrays["code"].shape[1],
    )
    return (
        stage,
        {"n": layers.node.inputs[0].size, "M": width, "ones": width.bit_count(), "pace": pace},
    )


def taps(layers, dice: random.Random):
    (x,) = layers.node.inputs
    lanes = dice.choice([n for n in range(1, x.size + 1) if x.size % n == 0])
    stage = Taps(layers, lanes, pace := dice.choice((1, 3)), dice.choice((False, True)))
    return stage, {"n": x.size, "lanes": lanes, "pace": pace, "memory": not stage.line.registers}


def hadamard(layers, dice: random.Random):
    stage = Hadamard(layers, pace := dice.choice((1, 3, 20)), compact := dice.choice((False, True)))
    rows, levels = split(n := layers.node.output.size)
    adds = layers.drop > 0 and (rows > 1 or not levels or any(layers.lift))
    return stage, {
        "n": n,
        "m": rows,
        "pace": pace,
        "line": 1 if n == 1 else 2 * any(s.block for s in stage.storage if s.name == "sums"),
        "round": 2 * (adds and not compact),
        "places": stage.queue.depth,
    }


def argmax(layers, dice: random.Random):
    return Argmax(layers), {"n": layers.node.inputs[0].size}


BUILD = {
    "taps": taps,
    "hadamard": hadamard,
    "hadamard, Paley": hadamard,
    "argmax": argmax,
    "dense": dense,
    "dense, compact": compact_dense,
    "scan": scan,
    "selective": selective,
    "norm": norm,
    "embedding": embedding,
} | {
    name: elementwise(make)
    for name, make in {
        "lookup": lookup,
        "multiply": multiply,
        "add": add,
        "add, compact": compact_add,
        "gumbel": gumbel,
        "slice": slice_,
        "pool": pool,
        "largest": largest,
        "last": last,
        "mean": mean,
    }.items()
}


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
@pytest.mark.parametrize("name", [name for name in CYCLES if not name.startswith("ring")])
def test_a_stage_takes_the_cycles_of_the_page(random_manifest, name, family):
    dice, tries = random.Random(name), 0
    for model in MODELS:
        structure = Structure.of(random_manifest(**model), model.get("alike", False), family)
        for layers in (
            *structure.stages.values(),
            *(Layers([node], family=family) for node in (late_drive(), *once())),
        ):
            op = layers.node.op.op
            if op != name.partition(",")[0] or (
                op == "hadamard" and (split(layers.node.output.size)[0] > 1) != ("," in name)
            ):
                continue
            for _ in range(TRIES):
                stage, names = BUILD[name](layers, dice)
                names |= {"queue": stage.queue.latency} if hasattr(stage, "queue") else {}
                assert value(CYCLES[name], names) == stage.cycles
                assert value(LATENCY[name], names) == stage.latency
                assert (
                    value(PRODUCTS.get(layers.node.op.op, PRODUCTS["all others"]), names)
                    == layers.node.multiplications
                )
                tries += 1
    assert tries


def test_terms_of_the_page():
    for most in range(200):
        assert value(TERMS["shift"], {"bits": most.bit_length()}) == shift_latency(most)
    for layers, beats in ((2, 3), (4, 32)):
        assert (
            value(CYCLES["ring of shared layers"], {"L": layers, "beats": beats})
            == Ring(Shape(8), 1, beats, layers, 2).cycles
        )


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_multipliers_of_the_page(family):
    whole, half = (
        MULTIPLIER.get(f"{part} of a DSP block, {family.name}", MULTIPLIER["DSP block"])
        for part in ("all", "half")
    )
    assert value(whole, {}) == family.dsp.latency(Shape(16, True), Shape(16, True), shared=2)
    assert value(half, {}) == family.dsp.latency(Shape(4, True), Shape(8), shared=2)
    luts = MULTIPLIER.get(f"LUTs, {family.name}", MULTIPLIER["LUTs"])
    for bits in range(1, 18):
        assert value(luts, {"bits": bits}) == family.lut.latency(Shape(bits), Shape(18))


def test_limits_of_the_page():
    page = {
        name: int(cell.replace(",", "")) for name, cell in column("manifest.md", "at most").items()
    }
    steps, name = Graph.model_fields["steps"].metadata, get_args(Name)[1].metadata
    assert page == {
        "bits of a format, of a product, of a sum": MAX_WIDTH,
        "elements of a packet": MAX_SIZE,
        "steps": next(each.le for each in steps if hasattr(each, "le")),
        "distance of exponents of one tensor": MAX_SPREAD,
        "lookup": MAX_ADDRESS_BITS,
        "i and f of a format, without their signs": 99,
        "bits of the output of a norm": MAX_RESULT,
        "bits of the output of a lookup": MAX_RESULT_BITS,
        "bits of a token": MAX_TOKEN_BITS,
        "integers in the weights file": MAX_INTEGERS,
        "bytes of `manifest.yaml`": MAX_BYTES,
        "characters of a name": next(
            each.max_length for each in name if hasattr(each, "max_length")
        ),
    }


def test_limits_of_fields_are_those_of_the_schema():
    page = {name.strip("`"): cell for name, cell in column("manifest.md", "greatest").items()}
    least = {name.strip("`"): cell for name, cell in column("manifest.md", "least").items()}
    schema = Graph.model_json_schema()
    limits = {}
    for each in (schema, *schema["$defs"].values()):
        for name, field in each["properties"].items():
            if "maximum" in field or "exclusiveMaximum" in field:
                low = (
                    field["minimum"]
                    if "minimum" in field
                    else f"above {field['exclusiveMinimum']:g}"
                )
                limits[name] = (
                    str(low),
                    f"{int(field.get('maximum', field.get('exclusiveMaximum', 1) - 1)):,}",
                )
    assert {name: (least[name], page[name]) for name in page} == limits


def test_tables_of_the_pages_are_those_of_the_results():
    run([sys.executable, str(DOCS / "tables.py"), "--check"], check=True, timeout=60)
