"""The manifest: a quantised model as a graph of integer operations, the one thing that all parts of the project share.

``manifest.yaml`` is for people to read and edit, ``weights.safetensors`` beside it holds the integer arrays.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ssm_hdl.errors import SsmHdlError
from ssm_hdl.files import write_atomically
from ssm_hdl.fixed import Codes, Format
from ssm_hdl.operations import AnyOperation, Edge, Node, Tensors
from ssm_hdl.operations.base import Name, Strict

SCHEMA_VERSION = 1
HEADER = """\
# The integer program of one quantised model; every tool of ssm-hdl runs it to the same bits.
# Formats: SQ(i, f) is signed with i integer bits (sign included) and f fraction bits, UQ(i, f) is unsigned.
# Edit any format and generate again; `ssm-hdl info` shows what follows from it.
"""


class Input(Strict):
    """The samples that the pipeline takes: ``size`` elements a time step."""

    name: Name
    size: Annotated[int, Field(ge=1)]
    format: Format


class Graph(Strict):
    """The fields of ``manifest.yaml``.

    Attributes:
        schema_version: version of this vocabulary, 1.
        name: name of the model, and of the Verilog module.
        description: where it comes from, for people.
        steps: longest sequence in time steps; the accumulators over time are sized for it.
        weights: file of the integer arrays, beside the manifest.
        input: the samples.
        operations: in an order in which each reads only what stands above it.
        output: the operation whose output leaves the pipeline.
    """

    schema_version: Literal[1]
    name: Name
    description: str = ""
    steps: Annotated[int, Field(ge=1, le=1 << 24)]
    weights: str = "weights.safetensors"
    input: Input
    operations: Annotated[tuple[AnyOperation, ...], Field(min_length=1)]
    output: Name


class Manifest:
    """A graph with its arrays, checked: every operation is bound to its edges and its codes.

    Args:
        graph: the fields of ``manifest.yaml``.
        tensors: the arrays and the formats that they were stored in.

    Raises:
        SsmHdlError: the graph, a shape, a format or a value does not fit; the message names it.

    Attributes:
        nodes: the bound operations by name, in the order of the manifest.
    """

    def __init__(self, graph: Graph, tensors: Tensors) -> None:
        self.graph = graph
        self.tensors = tensors
        self.nodes: dict[str, Node] = {}
        edges = {graph.input.name: self.input}
        for op in graph.operations:
            if op.name in edges:
                raise SsmHdlError(f"{op.name}: two operations, or an operation and the input, have this name")
            for source in op.sources:
                if source not in edges:
                    raise SsmHdlError(f"{op.name}: its input {source!r} is not defined above it; known there: {', '.join(edges)}")
            node = op.bind(tuple(edges[source] for source in op.sources), tensors, graph.steps)
            self.nodes[op.name] = node
            edges[op.name] = node.output
        if graph.output not in self.nodes:
            raise SsmHdlError(f"output {graph.output!r} is not an operation; there are {', '.join(self.nodes)}")
        for name in edges:
            if name != graph.output and not self.consumers(name):
                raise SsmHdlError(f"{name}: nothing reads it; remove it or make it the output")
        if self.output.is_complex:
            raise SsmHdlError(f"output {graph.output!r} is complex; end with a complex dense, which takes the real part")

    @property
    def name(self) -> str:
        """Name of the model."""
        return self.graph.name

    @property
    def steps(self) -> int:
        """Longest sequence, in time steps."""
        return self.graph.steps

    @cached_property
    def input(self) -> Edge:
        """The edge of the samples."""
        return Edge(self.graph.input.name, self.graph.input.size, self.graph.input.format)

    @property
    def output(self) -> Edge:
        """The edge that leaves the pipeline."""
        return self.nodes[self.graph.output].output

    def consumers(self, name: str) -> list[str]:
        """Names of the operations that read an edge, once for each time they read it."""
        return [node.name for node in self.nodes.values() for source in node.op.sources if source == name]

    def check_samples(self, samples: np.ndarray[Any, Any]) -> Codes:
        """Samples as int64 codes of the input format, shape (batch, steps, size).

        Raises:
            SsmHdlError: a shape, a type, a length or a value that the manifest does not take.
        """
        edge = self.input
        if samples.ndim != 3 or samples.shape[2] != edge.size or not np.issubdtype(samples.dtype, np.integer):
            raise SsmHdlError(
                f"samples of shape {samples.shape} and type {samples.dtype}; {self.name} takes integers of shape "
                f"(batch, steps, {edge.size}), codes of {edge.format}"
            )
        if not 1 <= samples.shape[1] <= self.steps:
            raise SsmHdlError(f"a sequence of {samples.shape[1]} steps; {self.name} takes 1 to {self.steps}")
        codes = samples.astype(np.int64)
        bad = (codes < edge.format.min) | (codes > edge.format.max)
        if bad.any():
            b, t, i = np.argwhere(bad)[0]
            raise SsmHdlError(
                f"sample {codes[b, t, i]} (sequence {b}, step {t}, element {i}) is outside {edge.format}, "
                f"whose codes are {edge.format.min} to {edge.format.max}"
            )
        return codes

    @classmethod
    def load(cls, path: Path | str) -> "Manifest":
        """Read and check a manifest.

        Args:
            path: ``manifest.yaml``, or the folder that holds it.

        Raises:
            SsmHdlError: whatever does not fit, named, with the way out.
        """
        path = Path(path)
        path = path / "manifest.yaml" if path.is_dir() else path
        graph = _parse(path)
        return cls(graph, load_tensors(path.parent / graph.weights))

    def save(self, folder: Path | str) -> Path:
        """Write ``manifest.yaml`` and its weights to a folder, each whole or not at all; the path of the former."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / self.graph.weights, tensors_to_bytes(self.tensors))
        path = folder / "manifest.yaml"
        write_atomically(path, self.to_yaml().encode())
        return path

    def to_yaml(self) -> str:
        """The text of ``manifest.yaml``."""
        fields = self.graph.model_dump(mode="json", exclude_none=True)
        operations = [{"name": op.pop("name"), "op": op.pop("op"), **op} for op in fields.pop("operations")]
        output = fields.pop("output")
        fields["operations"] = operations
        fields["output"] = output
        return HEADER + yaml.dump(fields, Dumper=_Dumper, sort_keys=False, width=120, default_flow_style=False)


class _Dumper(yaml.SafeDumper):
    """Block style, with the small things (a tensor, an input, a list of names) on one line."""

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        small = isinstance(mapping, dict) and set(mapping) - {"exponent"} in ({"tensor", "format"}, {"name", "size", "format"})
        return super().represent_mapping(tag, mapping, flow_style=True if small else flow_style)

    def represent_sequence(self, tag: str, sequence: Any, flow_style: bool | None = None) -> yaml.SequenceNode:
        names = all(isinstance(item, str) for item in sequence)
        return super().represent_sequence(tag, sequence, flow_style=True if names else flow_style)


def _parse(path: Path) -> Graph:
    """The graph of a YAML file."""
    try:
        fields = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise SsmHdlError(f"{path} does not exist; `ssm-hdl quantize` writes a manifest") from error
    except (OSError, UnicodeDecodeError) as error:
        raise SsmHdlError(f"{path} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise SsmHdlError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(fields, dict):
        raise SsmHdlError(f"{path} is not a manifest: it holds no fields")
    version = fields.get("schema_version")
    if version != SCHEMA_VERSION:
        way_out = "upgrade ssm-hdl to read it" if isinstance(version, int) and version > SCHEMA_VERSION else "quantize again"
        raise SsmHdlError(f"{path}: schema_version is {version!r}, this ssm-hdl reads {SCHEMA_VERSION}; {way_out}")
    try:
        return Graph.model_validate(fields)
    except ValidationError as error:
        raise SsmHdlError(f"{path}: {_explain(error, fields)}") from error


def _explain(error: ValidationError, fields: Mapping[str, Any]) -> str:
    """The problems that pydantic found, each with the name of its operation and the value."""
    lines = []
    for problem in error.errors():
        where = list(problem["loc"])
        if where[0] == "operations" and len(where) > 1 and isinstance(where[1], int):
            op = fields["operations"][where[1]]
            where[:2] = [op.get("name", f"operation {where[1]}") if isinstance(op, dict) else f"operation {where[1]}"]
            where = [part for i, part in enumerate(where) if i != 1 or part != (op.get("op") if isinstance(op, dict) else 0)]
        text = problem["msg"].removeprefix("Value error, ")
        value = problem["input"]
        shown = "" if isinstance(value, dict | list) or repr(value) in text else f" (it is {value!r})"
        lines.append(f"{'.'.join(map(str, where))}: {text}{shown}")
    return "; ".join(lines)


def load_tensors(path: Path) -> Tensors:
    """The integer arrays of a safetensors file and the formats they were stored in.

    Raises:
        SsmHdlError: the file is missing, truncated or not safetensors, or an array is not of integers.
    """
    codes: dict[str, Codes] = {}
    try:
        with safe_open(path, framework="numpy") as file:
            stored = json.loads((file.metadata() or {}).get("formats", "{}"))
            for name in file.keys():  # noqa: SIM118 - not a dict
                array = file.get_tensor(name)
                if not np.issubdtype(array.dtype, np.integer):
                    bad = int(np.count_nonzero(~np.isfinite(array)))
                    also = f", {bad} of them NaN or infinite" if bad else ""
                    raise SsmHdlError(f"{path}: tensor {name!r} holds {array.dtype} numbers{also}; it must hold integer codes")
                codes[name] = array.astype(np.int64)
    except FileNotFoundError as error:
        raise SsmHdlError(f"{path} does not exist; it belongs beside the manifest that names it") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise SsmHdlError(f"{path} is damaged or not a safetensors file ({error}); quantize again") from error
    return Tensors(codes, {name: Format.parse(text) for name, text in stored.items()})


def tensors_to_bytes(tensors: Tensors) -> bytes:
    """A safetensors file with every array in the narrowest integer type that holds it."""
    arrays = {}
    for name, codes in sorted(tensors.codes.items()):
        low, high = int(codes.min(initial=0)), int(codes.max(initial=0))
        arrays[name] = codes.astype(np.result_type(np.min_scalar_type(min(low, -1)), np.min_scalar_type(-high - 1)))
    formats = {name: str(format) for name, format in sorted(tensors.formats.items())}
    return save(arrays, metadata={"formats": json.dumps(formats)})
