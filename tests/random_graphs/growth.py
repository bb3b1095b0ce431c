"""A graph that grows by one operation at a time: what a manifest refuses is taken back."""

from random import Random
from typing import Any

import numpy as np

from ssm_hdl import Manifest, SsmHdlError, registry
from ssm_hdl.fixed import MAX_WIDTH, Codes, Format
from ssm_hdl.manifest import Graph
from ssm_hdl.operations import Edge, Node, Tensors
from ssm_hdl.sim.golden import evaluate


class Growth:
    """Edges, operations and tensors so far.

    Args:
        dice: all choices, of `random` or of Hypothesis.
        far: formats up to the limits, with binary points far from each other;
            most operations are then refused.

    Attributes:
        edges: what may be read, by name; the first is the input.
        read: names of what is read.
        nodes: the bound operations by name.
    """

    def __init__(self, dice: Random, far: bool = False) -> None:
        self.dice, self.far = dice, far
        self.steps = dice.choice([1, 2, 3, 5, 8, 16, 40])
        self.operations: list[dict[str, Any]] = []
        self.tensors = Tensors({}, {})
        tokens = dice.choice([False] * 4 + [True])
        format = (
            Format(False, dice.randint(1, 4), 0)
            if tokens
            else self.format(dice.choice([1, 2, 3, 5, 6, 8, 8, 8, 12, 24]))
        )
        x = Edge("x", dice.choice([1, 1, 2, 3, 4, 5, 6, 8, 12]), format)
        self.edges, self.read, self.nodes = {"x": x}, set[str](), dict[str, Node]()
        self.samples = {"x": self.codes(x.format.min, x.format.max, 6, min(self.steps, 8), x.size)}
        self.sizes = [1, 2, 3, 4, 6, 8]

    def format(self, bits: int = 0, signed: bool | None = None, top: int | None = None) -> Format:
        """A format, and where its most significant bit is, if that is to be chosen."""
        dice = self.dice
        if self.far and dice.choice([True, False]):
            bits, top = (
                dice.randint(1, MAX_WIDTH),
                dice.choice([-20, -3, 0, 1, 2, 9, 30, 61, bits if top is None else top]),
            )
        bits = bits or dice.choice(
            [1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 9, 10, 10, 11, 12, 12, 14, 16, 16, 18, 20, 24]
        )
        signed = dice.choice([True, True, True, False]) if signed is None else signed
        bits = max(bits, 1 + signed)
        i_bits = dice.choice([-3, 0, 1, 1, 2, 2, 3, 4, 6, bits]) if top is None else top
        return Format(signed, i_bits, bits - i_bits)

    def near(self, exact: Format) -> Format:
        """A format for exact numbers in another: some saturate, some round."""
        return self.format(top=exact.i_bits - self.dice.choice([-1, 0, 1, 1, 2, 2, 3, 4]))

    def codes(self, low: int, high: int, *shape: int) -> np.ndarray:
        """Random integers, many of them at the ends of their range."""
        random = np.random.default_rng(self.dice.getrandbits(32))
        codes = random.integers(low, high + 1, shape)
        return np.where(random.random(shape) < 0.2, random.choice([low, high], shape), codes)

    def store(self, codes: np.ndarray, format: Format | None = None) -> str:
        """The name of a new tensor."""
        name = f"t{len(self.tensors.codes)}"
        self.tensors.codes[name] = np.asarray(codes, np.int64)
        if format is not None:
            self.tensors.formats[name] = format
        return name

    def tensor(
        self, *shape: int, channels: int = 0, format: Format | None = None
    ) -> dict[str, Any]:
        """A field of a new tensor, of which the first axes may have exponents;
        it may be stored in another format."""
        dice = self.dice
        used = format or self.format(
            dice.choice([2, 3, 4, 4, 6, 8, 8, 12, 16]), top=dice.choice([-1, 0, 1, 1, 2])
        )
        stored = self.format(top=used.i_bits) if dice.choice([False] * 5 + [True]) else used
        field = {
            "tensor": self.store(self.codes(stored.min, stored.max, *shape), stored),
            "format": str(used),
        }
        if channels and dice.choice([False, False, True]):
            low, spread = dice.choice([-3, 0, 2]), dice.choice([0, 1, 3, 5, 15])
            field["exponent"] = self.store(self.codes(low, low + spread, *shape[:channels]))
        return field

    def bind(self, fields: dict[str, Any]) -> Node:
        """An operation with its edges, checked as a manifest does."""
        op = registry.operation(fields["op"]).model_validate(fields)
        return op.bind(tuple(self.edges[name] for name in op.sources), self.tensors, self.steps)

    def add(self, op: str, *sources: Edge, **fields: Any) -> Edge | None:
        """The output of a new operation; None if it is refused."""
        name = f"{op}_{len(self.operations)}"
        names = [source.name for source in sources]
        given = {"inputs": names} if len(names) > 1 else {"input": names[0]}
        whole = {"name": name, "op": op, **given, **fields}
        try:
            if "format" not in whole and "format" in registry.operation(op).model_fields:
                exact = self.bind(whole | {"format": str(Format(True, 12, 8))}).accumulator
                for _ in range(6):
                    whole["format"] = str(self.near(exact))
                    if np.ptp(self.evaluate(self.bind(whole)), axis=0).mean() > 0.3:
                        break
            return self.insert(whole)
        except SsmHdlError:
            return None

    def evaluate(self, node: Node) -> Codes:
        """Codes of an operation for some samples; where these do not differ,
        nothing upstream is tested."""
        return evaluate(node, *(self.samples[name] for name in node.op.sources)).codes

    def insert(self, fields: dict[str, Any]) -> Edge:
        """Add an operation with all its fields."""
        node = self.bind(fields)
        if node.output.size > 64:
            raise SsmHdlError(f"{node.name}: {node.output.size} elements take long to simulate")
        self.operations.append(fields)
        self.nodes[node.name] = node
        self.edges[node.name] = node.output
        self.samples[node.name] = self.evaluate(node)
        self.read |= set(node.op.sources)
        return node.output

    def pick(
        self, *, size: int | None = None, is_complex: bool = False, per_sequence: bool | None = None
    ) -> Edge | None:
        """An edge with the properties, if there is one; late ones and unread ones are likely."""
        fits = [
            edge
            for edge in self.edges.values()
            if edge.is_complex == is_complex
            and (size is None or edge.size == size)
            and (per_sequence is None or edge.per_sequence == per_sequence)
        ]
        late = [edge for edge in fits[-3:] if edge.name not in self.read]
        return self.dice.choice(fits + late * 9) if fits else None

    def unread(self) -> list[Edge]:
        """What is still to be read."""
        return [edge for name, edge in self.edges.items() if name not in self.read]

    def manifest(self, name: str, output: Edge) -> Manifest:
        """The manifest."""
        x = self.edges["x"]
        fields = {
            "schema_version": 1,
            "name": name,
            "steps": self.steps,
            "input": {"name": "x", "size": x.size, "format": str(x.format)},
            "operations": self.operations,
            "output": output.name,
        }
        return Manifest(Graph.model_validate(fields), self.tensors)
