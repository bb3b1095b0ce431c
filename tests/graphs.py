"""Random small pipelines: graphs of every kind of operation, and plans of every kind of folding."""

import math

import numpy as np

from ssm_hdl import Manifest
from ssm_hdl.gateware.dense_folding import DenseFolding
from ssm_hdl.gateware.folding import divisors
from ssm_hdl.gateware.norm import NormFolding
from ssm_hdl.gateware.scan_folding import ScanFolding
from ssm_hdl.gateware.stream import reals
from ssm_hdl.gen.plan import Plan
from ssm_hdl.gen.stage_plan import StagePlan
from ssm_hdl.gen.structure import Structure
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Tensors

FORMAT = "SQ(2, 6)"
FAMILIES = ("generic", "ice40", "ecp5")
FOLDINGS = {"dense": DenseFolding, "scan": ScanFolding, "norm": NormFolding}


class _Graph:
    """A graph that grows."""

    def __init__(self, dice: np.random.Generator) -> None:
        self.dice, self.codes = dice, dict[str, np.ndarray]()
        self.operations, self.sizes, self.read = list[dict](), dict[str, int](), set[str]()

    def pick(self, *numbers: int) -> int:
        return int(self.dice.choice(numbers))

    def add(self, op: str, numbers: int, *sources: str, **fields: object) -> str:
        name = f"{op}_{len(self.operations)}"
        given = {"inputs": list(sources)} if len(sources) > 1 else {"input": sources[0]}
        self.operations.append({"name": name, "op": op, **given, **fields})
        self.sizes[name] = numbers
        self.read |= set(sources)
        return name

    def tensor(self, *shape: int, format: str = "SQ(1, 3)") -> dict[str, str]:
        name = f"tensor_{len(self.codes)}"
        self.codes[name] = self.dice.integers(-8, 8, shape)
        return {"tensor": name, "format": format}

    def dense(self, source: str, rows: int) -> str:
        return self.add("dense", rows, source, weight=self.tensor(rows, self.sizes[source]), format=FORMAT)

    def grow(self, source: str) -> None:
        """Add something that reads a stream."""
        size = self.sizes[source]
        kind = self.dice.choice(["lookup", "dense", "dense", "grouped", "slice", "scan", "scan", "norm", "add", "add"])
        if kind == "lookup":
            self.add("lookup", size, source, function="gelu", format=FORMAT)
        elif kind == "dense":
            self.dense(source, self.pick(1, 2, 3, 4, 6, 9))
        elif kind == "grouped":
            groups, rows = self.pick(*divisors(size)), self.pick(1, 2, 3)
            weight = self.tensor(groups, rows, size // groups)
            self.add("dense", groups * rows, source, weight=weight, format=FORMAT)
        elif kind == "slice" and size > 1:
            part = self.pick(*range(1, size))
            start = self.pick(*range(size - part + 1))
            self.add("slice", part, source, start=start, size=part)
        elif kind == "scan":
            self.scan(source)
        elif kind == "norm" and size > 1:
            self.add("norm", size, source, epsilon=3, format=FORMAT)
        elif kind == "add":
            same = [name for name, other in self.sizes.items() if other == size]
            self.add(str(self.dice.choice(["add", "multiply"])), size, source, str(self.dice.choice(same)), format=FORMAT)

    def scan(self, source: str) -> None:
        """States, and the dense that reads them, by channels or all of them."""
        channels, modes, rows = self.sizes[source], self.pick(1, 2, 3, 5), self.pick(1, 2, 3)
        if self.dice.random() < 0.3:
            channels = self.pick(1, 2, 4)
            weight = self.tensor(2 * channels, self.sizes[source])
            source = self.add("dense", channels, source, weight=weight, result="complex", format=FORMAT)
            del self.sizes[source]  # nothing but a scan reads complex numbers
        exponent = f"tensor_{len(self.codes)}"
        self.codes[exponent] = self.dice.integers(-2, 1, (channels, modes))
        transition = self.tensor(channels, modes, 2)
        delta = bool(self.dice.random() < 0.3)
        poles = self.dice.integers(-4, 5, (channels, modes, 2))  # inside the unit circle
        poles[..., 0] = np.where(delta, abs(poles[..., 0]) - 8, poles[..., 0])
        self.codes[transition["tensor"]] = poles
        scan = self.add("scan", channels * modes, source, transition=transition, exponent=exponent, delta=delta, format=FORMAT)
        for _ in range(self.pick(1, 1, 2)):
            if self.dice.random() < 0.7:
                self.add("dense", channels * rows, scan, weight=self.tensor(channels, rows, modes, 2), format=FORMAT)
            else:
                self.add("dense", rows, scan, weight=self.tensor(rows, channels * modes, 2), format=FORMAT)
        del self.sizes[scan]

    def join(self, names: list[str]) -> str:
        """One stream of several."""
        whole = names[0]
        for name in names[1:]:
            if self.sizes[name] != self.sizes[whole]:
                name = self.dense(name, self.sizes[whole])
            whole = self.add("add", self.sizes[whole], whole, name, format=FORMAT)
        return whole

    def unread(self) -> list[str]:
        return [name for name in self.sizes if name not in self.read]


def random_graph(seed: int) -> Manifest:
    """A manifest of up to a dozen operations: forks, joins, slices, groups, states, norms, results each step or once."""
    dice = np.random.default_rng(seed)
    graph = _Graph(dice)
    tokens, steps = dice.random() < 0.2, graph.pick(1, 2, 4, 8, 64)
    size = graph.pick(1, 2, 3, 4, 6, 8)
    graph.sizes["x"] = size
    if tokens:
        graph.add("embedding", 3 * size, "x", weight=graph.tensor(5, 3))
        del graph.sizes["x"]
    for _ in range(graph.pick(2, 3, 4, 6, 8)):
        graph.grow(str(dice.choice(list(graph.sizes))))
    whole = graph.join(graph.unread())
    if whole == "x":
        whole = graph.dense("x", 2)
    if dice.random() < 0.5:
        shift = steps.bit_length() - 1
        parts = []
        for _ in range(graph.pick(1, 1, 2)):
            pool = graph.add("pool", graph.sizes[whole], whole, shift=shift, format="SQ(4, 6)")
            parts.append(graph.dense(pool, graph.pick(1, 3, 4)))
        whole = graph.join(parts)
    x = {"name": "x", "size": size, "format": "UQ(3, 0)" if tokens else FORMAT}
    fields = {"schema_version": 1, "name": f"graph_{seed}", "steps": steps, "input": x, "output": whole}
    return Manifest(Graph.model_validate(fields | {"operations": graph.operations}), Tensors(graph.codes, {}))


def random_plan(manifest: Manifest, seed: int, share_layers: bool = False) -> Plan:
    """Some folding, lanes and pace of every stage, for some family."""
    dice = np.random.default_rng(seed)
    target = str(dice.choice(FAMILIES))
    structure = Structure.of(manifest, share_layers, target)
    order: dict[str, object] = {}  # what a scan interleaves, by the denses that have to read it so
    stages, rate = {}, int(dice.choice([1, 1, 2, 8, 40]))
    for name, layers in structure.stages.items():
        node, op = layers.node, layers.node.op.op
        kind = str(dice.choice(["lut", "dsp" if target == "generic" else target]))
        pace = max(1, int(rate * dice.random() * 2))
        if op in FOLDINGS:
            readers = structure.readers_of(name)
            grouped = [
                reader
                for reader in readers
                if op == "scan" and structure.stages[reader].node.arrays["weight"].shape[0] == len(node.arrays["scale"]) > 1
            ]
            alike = bool(grouped) and len(grouped) == len(readers)
            ways = [way for way in FOLDINGS[op].choices(layers) if (kind == "lut" and op != "scan") or way.suits(kind)]
            ways = ways or [way for way in FOLDINGS[op].choices(layers) if way.suits("lut")]
            if name in order:
                ways = [way for way in ways if way.interleaved == order[name]]
            elif not alike and op != "norm":
                ways = [way for way in ways if way.plain]
            elif alike:
                offered = [{way.interleaved for way in DenseFolding.choices(structure.stages[reader])} for reader in readers]
                ways = [way for way in ways if all(way.interleaved in each for each in offered)]
            way = ways[dice.integers(len(ways))]
            if not way.suits(kind):
                kind = "lut"
            if alike:
                order |= dict.fromkeys(readers, way.interleaved)
            even = op == "dense" and any(structure.stages[reader].node.op.op == "scan" for reader in readers)
            stages[name] = StagePlan(way.o_lanes, way.name, way.multipliers, kind, pace, even, bool(dice.random() < 0.3))
        else:
            unit = math.gcd(reals(node.inputs[0]), getattr(node.op, "start", 0), reals(node.output))
            lanes = 1 if op == "embedding" else int(dice.choice(divisors(unit)))
            stages[name] = StagePlan(lanes, "", lanes, kind, pace, registers=bool(dice.random() < 0.3))
    return Plan(target, stages, share_layers)
