"""Random small pipelines: graphs of every kind of operation."""

import numpy as np

from ssm_hdl import Manifest
from ssm_hdl.gateware.folding import divisors
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Tensors

FORMAT = "SQ(2, 6)"
MORE = ["taps", "hadamard", "argmax"]


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
        return self.add(
            "dense", rows, source, weight=self.tensor(rows, self.sizes[source]), format=FORMAT
        )

    def grow(self, source: str) -> None:
        """Add something that reads a stream."""
        size = self.sizes[source]
        kinds = [
            "lookup",
            "dense",
            "dense",
            "grouped",
            "slice",
            "scan",
            "scan",
            "selective",
            "norm",
            "add",
            "add",
            *MORE,
        ]
        kind = self.dice.choice(kinds)
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
        elif kind == "selective":
            self.selective(source)
        elif kind == "norm" and size > 1:
            self.add("norm", size, source, epsilon=3, format=FORMAT)
        elif kind == "taps":
            self.add("taps", 2 * size, source, taps=2)
        elif kind == "hadamard" and size in (1, 2, 4, 8, 12):
            self.add("hadamard", size, source, shift=2, format=FORMAT)
        elif kind == "argmax" and size > 1:
            self.dense(self.add("argmax", 1, source), self.pick(1, 2))
        elif kind == "add":
            same = [name for name, other in self.sizes.items() if other == size]
            self.add(
                str(self.dice.choice(["add", "multiply"])),
                size,
                source,
                str(self.dice.choice(same)),
                format=FORMAT,
            )

    def scan(self, source: str) -> None:
        """States, and the dense that reads them, by channels or all of them."""
        channels, modes, rows = self.sizes[source], self.pick(1, 2, 3, 5), self.pick(1, 2, 3)
        if self.dice.random() < 0.3:
            channels = self.pick(1, 2, 4)
            weight = self.tensor(2 * channels, self.sizes[source])
            source = self.add(
                "dense", channels, source, weight=weight, result="complex", format=FORMAT
            )
            del self.sizes[source]  # nothing but a scan reads complex numbers
        exponent = f"tensor_{len(self.codes)}"
        self.codes[exponent] = self.dice.integers(-2, 1, (channels, modes))
        transition = self.tensor(channels, modes, 2)
        delta = bool(self.dice.random() < 0.3)
        poles = self.dice.integers(-4, 5, (channels, modes, 2))  # inside the unit circle
        poles[..., 0] = np.where(delta, abs(poles[..., 0]) - 8, poles[..., 0])
        self.codes[transition["tensor"]] = poles
        scan = self.add(
            "scan",
            channels * modes,
            source,
            transition=transition,
            exponent=exponent,
            delta=delta,
            format=FORMAT,
        )
        for _ in range(self.pick(1, 1, 2)):
            if self.dice.random() < 0.7:
                self.add(
                    "dense",
                    channels * rows,
                    scan,
                    weight=self.tensor(channels, rows, modes, 2),
                    format=FORMAT,
                )
            else:
                self.add(
                    "dense",
                    rows,
                    scan,
                    weight=self.tensor(rows, channels * modes, 2),
                    format=FORMAT,
                )
        del self.sizes[scan]

    def selective(self, source: str) -> None:
        """A selective scan whose inputs are a stream and denses of it, or one of these twice."""
        channels, modes = self.sizes[source], self.pick(1, 2, 3, 4)
        rate, b = self.dense(source, channels), self.dense(source, modes)
        c = self.dense(source, modes) if self.dice.random() < 0.7 else b
        exponent = f"tensor_{len(self.codes)}"
        self.codes[exponent] = self.dice.integers(-2, 2, channels)
        alpha = self.tensor(channels, modes)
        self.add(
            "selective",
            channels,
            rate,
            source,
            b,
            c,
            alpha=alpha,
            exponent=exponent,
            state=FORMAT,
            format=FORMAT,
        )

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
    """A manifest of up to a dozen operations: forks, joins, slices, groups, states, norms,
    results each step or once."""
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
            op = str(dice.choice(("pool", "mean", "largest", "last")))
            fields = {
                "pool": {"shift": shift, "format": "SQ(4, 6)"},
                "mean": {"format": "SQ(4, 6)"},
            }.get(op, {})
            pool = graph.add(op, graph.sizes[whole], whole, **fields)
            parts.append(graph.dense(pool, graph.pick(1, 3, 4)))
        whole = graph.join(parts)
    x = {"name": "x", "size": size, "format": "UQ(3, 0)" if tokens else FORMAT}
    fields = {
        "schema_version": 1,
        "name": f"graph_{seed}",
        "steps": steps,
        "input": x,
        "output": whole,
    }
    return Manifest(
        Graph.model_validate(fields | {"operations": graph.operations}), Tensors(graph.codes, {})
    )


def selective_layers(
    layers: int, channels: int = 4, modes: int = 4, steps: int = 8, classes: int = 0
) -> Manifest:
    """Blocks of a dense, a selective scan of its parts, and a residual;
    they differ in binary points and constants."""
    graph = _Graph(np.random.default_rng(0))
    graph.sizes["x"] = channels

    def add(name: str, op: str, **fields: object) -> None:
        graph.operations.append({"name": name, "op": op, **fields})

    before = "x"
    for k in range(1, layers + 1):
        odd = k % 2
        sizes = {"rate": channels, "drive": channels, "b": modes, "c": modes}
        weight = graph.tensor(sum(sizes.values()), channels)
        add(f"select_{k}", "dense", input=before, weight=weight, format=f"SQ({3 + odd}, {5 - odd})")
        for place, (name, size) in enumerate(sizes.items()):
            add(
                f"{name}_{k}",
                "slice",
                input=f"select_{k}",
                start=sum([*sizes.values()][:place]),
                size=size,
            )
        exponent = f"tensor_{len(graph.codes)}"
        graph.codes[exponent] = graph.dice.integers(-1 - odd, 3, channels)
        inputs = [f"{name}_{k}" for name in ("rate", "drive", "b", "c")]
        alpha = graph.tensor(channels, modes, format=f"SQ({1 + odd}, {3 - odd})")
        state = {"state": f"SQ({4 - odd}, {4 + odd})", "format": f"SQ({2 + odd}, {6 - odd})"}
        add(f"scan_{k}", "selective", inputs=inputs, alpha=alpha, exponent=exponent, **state)
        add(
            f"residual_{k}", "add", inputs=[before, f"scan_{k}"], format=f"SQ({3 + odd}, {5 - odd})"
        )
        before = f"residual_{k}"
    if classes:
        add("largest", "largest", input=before)
        add(
            "decoder",
            "dense",
            input="largest",
            weight=graph.tensor(classes, channels),
            format="SQ(6, 4)",
        )
        before = "decoder"
    x = {"name": "x", "size": channels, "format": "SQ(3, 5)"}
    fields = {
        "schema_version": 1,
        "name": "selective_layers",
        "steps": steps,
        "input": x,
        "output": before,
    }
    return Manifest(
        Graph.model_validate(fields | {"operations": graph.operations}), Tensors(graph.codes, {})
    )


def convolutional(layers: int, size: int = 4) -> Manifest:
    """Blocks of a causal convolution, a SiLU and a Hadamard transform, which can share stages,
    and the place of the largest."""
    graph = _Graph(np.random.default_rng(layers))
    whole, graph.sizes["x"] = "x", size
    for layer in range(layers):
        formats = [f"SQ({i_bits}, {8 - i_bits})" for i_bits in (2 + layer % 2, 3 - layer % 2)]
        line = graph.add("taps", 3 * size, whole, taps=3)
        conv = graph.add("dense", size, line, weight=graph.tensor(size, 1, 3), format=formats[0])
        silu = graph.add("lookup", size, conv, function="silu", format=formats[1])
        mixed = graph.add("hadamard", size, silu, shift=1 + layer % 2, format=formats[0])
        whole = graph.add("add", size, whole, mixed, format=f"SQ({4 + layer % 2}, {4 - layer % 2})")
    graph.add("argmax", 1, whole)
    x = {"name": "x", "size": size, "format": "SQ(5, 3)"}
    fields = {
        "schema_version": 1,
        "name": "convolutional",
        "steps": 8,
        "input": x,
        "output": graph.operations[-1]["name"],
    }
    return Manifest(
        Graph.model_validate(fields | {"operations": graph.operations}), Tensors(graph.codes, {})
    )
