"""The manifest: a quantised model as a graph of integer operations,
which all parts of the project share.

``manifest.yaml`` is for people to read and edit, ``weights.safetensors`` beside it holds
the integer arrays.
"""

import math
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from ssm_hdl import document
from ssm_hdl.errors import SsmHdlError, UsageError, listing
from ssm_hdl.files import write_together
from ssm_hdl.fixed import Codes, Format
from ssm_hdl.identifiers import refuse_top, top_name
from ssm_hdl.operations import AnyOperation, Edge, Node, Tensors
from ssm_hdl.operations.base import MAX_SIZE, Name, Size, Strict
from ssm_hdl.samples import InputSpec
from ssm_hdl.schema import validated
from ssm_hdl.weights import load_tensors, tensors_to_bytes

FILE = "manifest.yaml"
"""Name of the file in its folder."""

HEADER = """\
# The integer program of one quantised model; every tool of ssm-hdl runs it to the same bits.
# Formats: SQ(i, f) is signed with i integer bits (sign included) and f fraction bits, \
UQ(i, f) is unsigned.
# Edit any format and generate again; `ssm-hdl info` shows what follows from it.
"""


class Input(Strict):
    """The samples that the pipeline takes: ``size`` elements per time step."""

    name: Name
    size: Size
    format: Format


class Graph(Strict):
    """The fields of ``manifest.yaml``.

    Attributes:
        schema_version: version of this vocabulary, 1.
        name: name of the model, and of the Verilog module.
        description: origin of the model, for people.
        steps: longest sequence in time steps; the accumulators over time are sized for it.
        weights: name of the file of integer arrays, in the folder of the manifest.
        input: the samples.
        samples: what the model was trained on; manifests by hand may leave it out,
            and the hardware does not depend on it.
        operations: in an order in which each reads only the input and operations above it.
        output: the operation whose output leaves the pipeline.
    """

    schema_version: Literal[1]
    name: Name
    description: str = ""
    steps: Annotated[int, Field(strict=True, ge=1, le=1 << 24)]
    weights: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$", max_length=200)] = (
        "weights.safetensors"
    )
    input: Input
    samples: InputSpec | None = None
    operations: Annotated[tuple[AnyOperation, ...], Field(min_length=1)]
    output: Name

    @field_validator("name")
    @classmethod
    def _is_module(cls, name: str) -> str:
        refuse_top(name)
        return name


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
                raise SsmHdlError(
                    f"{op.name}: two operations, or an operation and the input, have this name"
                )
            for source in op.sources:
                if source not in edges:
                    raise SsmHdlError(
                        f"{op.name}: its input {source!r} is not defined above it; known there: "
                        f"{listing([*edges])}"
                    )
            node = op.bind(tuple(edges[source] for source in op.sources), tensors, graph.steps)
            self.nodes[op.name] = node
            if node.output.size > MAX_SIZE:
                raise SsmHdlError(
                    f"{op.name}: a packet of {node.output.size:,} elements; "
                    f"there are at most {MAX_SIZE:,}"
                )
            edges[op.name] = node.output
        if graph.output not in self.nodes:
            raise SsmHdlError(
                f"output {graph.output!r} is not an operation; there are {listing([*self.nodes])}"
            )
        read = {source for op in graph.operations for source in op.sources}
        for name in edges:
            if name != graph.output and name not in read:
                raise SsmHdlError(f"{name}: nothing reads it; remove it or make it the output")
        if self.output.is_complex:
            raise SsmHdlError(
                f"output {graph.output!r} is complex; end with a complex dense, "
                "which takes the real part"
            )
        if graph.samples is not None:
            self._check_ports(graph.samples)

    def _check_ports(self, samples: InputSpec) -> None:
        """Refuse a description of other samples than the ports take and put out."""
        output, first = (
            self.nodes[self.graph.output],
            self.nodes[self.consumers(self.input.name)[0]],
        )
        ports = {
            "channels": self.input.size,
            "input_format": str(self.input.format),
            "tokens": first.vocabulary,
            "outputs": output.choices or output.output.size,
            "per_step": not output.output.per_sequence,
        }
        for what, value in ports.items():
            if (stated := getattr(samples, what)) != value:
                raise SsmHdlError(
                    f"{self.name}: samples have {what} {stated}, the operations {value}; "
                    "change one of them"
                )

    def __repr__(self) -> str:
        return f"<Manifest {self.name}: {len(self.nodes)} operations, {self.steps} steps>"

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

    @property
    def multiplications(self) -> int:
        """Products of a time step, without what happens once per sequence."""
        return sum(
            node.multiplications for node in self.nodes.values() if not node.output.per_sequence
        )

    @property
    def feeds_back(self) -> bool:
        """Its results can be its next samples: there is one of each at every step,
        in the same format."""
        sample, result = self.input, self.output
        return (
            not result.per_sequence
            and sample.size == result.size == 1
            and sample.format == result.format
        )

    def check_feedback(self) -> None:
        """Refuse what does not feed back.

        Raises:
            SsmHdlError: its results cannot be its next samples.
        """
        if not self.feeds_back:
            raise SsmHdlError(
                f"the results of {self.name} are not its next samples; "
                "those of a language model are, with an argmax at its end"
            )

    def consumers(self, name: str) -> list[str]:
        """Names of the operations that read an edge; twice if an operation reads it twice."""
        return [
            node.name
            for node in self.nodes.values()
            for source in node.op.sources
            if source == name
        ]

    def values(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        """The values of codes (..., outputs) of the output,
        in the unit of the labels if the samples state it."""
        scale = self.graph.samples.target_scale if self.graph.samples else ()
        return outputs * (self.output.format.lsb * np.array(scale or 1.0))

    def check_samples(self, samples: np.ndarray[Any, Any]) -> Codes:
        """Samples as int64 codes of the input format, shape (batch, steps, size).

        Raises:
            SsmHdlError: a shape, a type, a length or a value that does not fit the input.
        """
        edge = self.input
        if samples.ndim != 3 or samples.shape[2] != edge.size or samples.dtype.kind not in "iu":
            raise SsmHdlError(
                f"samples of shape {samples.shape} and type {samples.dtype}; {self.name} takes "
                f"integers of shape (batch, steps, {edge.size}), codes of {edge.format}"
            )
        # Sums over time are sized for the longest sequence;
        # with an answer at every step there are none.
        if not 1 <= samples.shape[1] <= (self.steps if self.output.per_sequence else math.inf):
            raise SsmHdlError(
                f"a sequence of {samples.shape[1]} steps; {self.name} takes 1 to {self.steps}"
            )
        bad = (samples < edge.format.min) | (samples > edge.format.max)  # before uint64 could wrap
        if bad.any():
            b, t, i = np.argwhere(bad)[0]
            raise SsmHdlError(
                f"sample {samples[b, t, i]} (sequence {b}, step {t}, element {i}) "
                f"is outside {edge.format}, whose codes are {edge.format.min} to {edge.format.max}"
            )
        return samples.astype(np.int64)

    @classmethod
    def load(cls, path: Path | str) -> "Manifest":
        """Read and check a manifest.

        Args:
            path: ``manifest.yaml``, or the folder that holds it.

        Raises:
            SsmHdlError: the first thing that does not fit, with the way out.
        """
        path = file_of(Path(path))
        if path.suffix in (".safetensors", ".npz", ".npy") and path.exists():
            kind = "a checkpoint or weights" if path.suffix == ".safetensors" else "samples"
            raise UsageError(
                f"{path} is {kind}, not a manifest; name the folder that `ssm-hdl quantize` wrote"
            )
        graph = validated(path, document.read(path), Graph)
        return cls(graph, load_tensors(path.parent / graph.weights))

    def save(self, folder: Path | str) -> Path:
        """Write ``manifest.yaml`` and its weights to a folder, both whole or none;
        return the path of ``manifest.yaml``.

        Raises:
            SsmHdlError: a file cannot be written, or could not be loaded again,
                such as a format beyond 99 bits.
        """
        files = self.files(Path(folder))
        write_together(files)
        return [*files][-1]

    def named(self, title: str) -> "Manifest":
        """The same program under a name made of somebody's title, such as the name of a folder;
        its own if nothing is left."""
        name = top_name(title, self.name)
        return Manifest(self.graph.model_copy(update={"name": name}), self.tensors)

    def described(self, what: str) -> "Manifest":
        """The same program, with ``what`` at the end of its description, once."""
        known = self.graph.description.removesuffix(what).removesuffix("; ")
        text = f"{known}; {what}" if known else what
        return Manifest(self.graph.model_copy(update={"description": text}), self.tensors)

    def files(self, folder: Path) -> dict[Path, bytes | str]:
        """The contents of the weights and of ``manifest.yaml``, as `save` writes them,
        ``manifest.yaml`` last.

        Raises:
            SsmHdlError: they could not be loaded again, such as a format beyond 99 bits.
        """
        path, text = folder / FILE, self.to_yaml()
        validated(path, document.parse(text), Graph)
        return {folder / self.graph.weights: tensors_to_bytes(self.tensors), path: text}

    def to_yaml(self) -> str:
        """The text of ``manifest.yaml``."""
        fields = self.graph.model_dump(mode="json", exclude_none=True)
        operations = [
            {"name": op.pop("name"), "op": op.pop("op"), **op} for op in fields.pop("operations")
        ]
        output = fields.pop("output")
        if self.graph.samples:
            fields["samples"] = self.graph.samples.facts()
        fields["operations"] = operations
        fields["output"] = output
        return HEADER + document.dump(fields)


def file_of(path: Path) -> Path:
    """The file of a manifest that is named by its folder or by itself."""
    return path / FILE if path.is_dir() else path
